/**
 * A second worker beside a world's own.
 * @module
 */
import { NativeConnection } from '@temporalio/worker';
import { inject } from 'vitest';
import { startReconciler } from '../../../activities/reconciler.ts';
import { createWorkers, runWorkers, stopWorkers } from '../../../activities/worker.ts';
import type { World } from './world.ts';

/**
 * Starts another worker, with its reconciler.
 * @param workflowBundle the file with its workflows; by default those of today.
 * @returns stops it in order.
 */
export async function startOtherWorker(
  { client, db, deps, intervals, periodicTaskQueue }: World,
  workflowBundle: string = inject('workflowBundle'),
): Promise<() => Promise<void>> {
  const { task_queue: taskQueue } = await db.selectFrom('datacenter').select('task_queue').executeTakeFirstOrThrow();
  const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
  const workers = await createWorkers(deps, {
    connection,
    namespace: client.options.namespace,
    taskQueue,
    periodicTaskQueue,
    workflowBundle: { codePath: workflowBundle },
  });
  const reconciler = startReconciler(deps, { intervals, limits: deps.limits, periodicTaskQueue });
  const done = runWorkers(workers);
  return async () => {
    stopWorkers(workers);
    await done;
    await reconciler.stop();
    await connection.close();
  };
}
