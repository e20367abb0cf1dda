/**
 * The bench's worker, a process of its own as in production: the product's queue, the baseline's and those of the
 * variants, all with the same settings.
 * @module
 */
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import type { Dependencies } from '../../activities/dependencies.ts';
import { startReconciler } from '../../activities/reconciler.ts';
import { createWorkers, runWorkers, stopWorkers } from '../../activities/worker.ts';
import { connect } from '../../db/connect.ts';
import { openSealing } from '../../db/sealing.ts';
import { loadConfig } from '../../temporal.config.ts';
import type { BaselineActivities } from './baseline-workflow.ts';
import { instantHypervisor, instantManagers, permitted } from './instant-ports.ts';
import { type Variant, variantActivities } from './variants.ts';

/** The only argument, as JSON. */
export interface WorkerOptions {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
  /** For the key that seals credentials. */
  readonly folder: string;
  readonly variants: readonly Variant[];
}

/** The worker's settings for operations (activities/worker.ts), for the queues that it does not make. */
const SETTINGS = {
  shutdownGraceTime: '5s',
  maxHeartbeatThrottleInterval: '2s',
  stickyQueueScheduleToStartTimeout: '5s',
  maxConcurrentActivityTaskExecutions: 50,
} as const;

async function run({ databaseUrl, temporalAddress, folder, variants }: WorkerOptions): Promise<void> {
  Runtime.install({ shutdownSignals: [], logger: new DefaultLogger('WARN') });
  const connection = await Connection.connect({ address: temporalAddress });
  const native = await NativeConnection.connect({ address: temporalAddress });
  const config = loadConfig({});
  const sealing = openSealing({ masterKeyFile: undefined, dataDir: folder });
  const logger = pino({ level: 'warn' });
  const databaseOf = (application: string) => connect({ url: databaseUrl, poolSize: 20, application });
  const db = databaseOf('holdfast-worker');
  const deps: Dependencies = {
    db,
    client: new Client({ connection }),
    hypervisors: () => instantHypervisor(permitted),
    managers: instantManagers(db, sealing, permitted),
    logger,
    clock: () => new Date(),
    limits: config.limits,
    intervals: config.intervals,
  };
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('workflows.ts', import.meta.url)),
    logger: new DefaultLogger('ERROR'),
  });
  const shared = { connection: native, namespace: 'default', workflowBundle };
  const { periodicTaskQueue } = config.temporal;
  const product = await createWorkers(deps, { ...shared, taskQueue: 'product', periodicTaskQueue });
  const noOps: BaselineActivities = { noOp: async (input) => answer(Number.parseInt(input, 10)) };
  const others = [
    { taskQueue: 'baseline', activities: { ...noOps } },
    ...variants.map((variant) => ({
      taskQueue: variant as string,
      activities: { ...variantActivities(variant, { deps, sealing, databaseUrl }) },
    })),
  ];
  const workers = [
    ...product,
    ...(await Promise.all(others.map((queue) => Worker.create({ ...shared, ...SETTINGS, ...queue })))),
  ];
  const { intervals, limits } = config;
  const reconciler = startReconciler(deps, { intervals, limits, periodicTaskQueue });
  process.once('SIGTERM', () => stopWorkers(workers));
  await runWorkers(workers);
  await reconciler.stop();
  process.exit(0);
}

/** A text of so many bytes as JSON. */
function answer(bytes: number): string | undefined {
  return bytes === 0 ? undefined : ''.padEnd(bytes - 2, '.');
}

await run(JSON.parse(process.argv[2] ?? '') as WorkerOptions);
