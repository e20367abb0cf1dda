/**
 * The worker process: workflows, activities, periodic work and the reconciler.
 * @module
 */
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import {
  bundleWorkflowCode,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  Worker,
  type WorkflowBundleOption,
} from '@temporalio/worker';
import type { Logger } from 'pino';
import { connect } from '../db/connect.ts';
import { openSealing } from '../db/sealing.ts';
import { type Config, temporalConnection } from '../temporal.config.ts';
import { backupManagers } from './backup-systems/managers.ts';
import { backupPlugins } from './backup-systems/plugins.ts';
import type { Dependencies } from './dependencies.ts';
import { hypervisorFactory } from './hypervisors/factory.ts';
import { createActivities, createPeriodicActivities } from './index.ts';
import { startReconciler } from './reconciler.ts';
import { registerSearchAttributes } from './search-attributes.ts';

/** Less than the activities that may run: most of them wait for another system, not for the database. */
const POOL_SIZE = 20;
/** How long running activities are waited for when the worker is asked to stop; then they are handed over. */
const GRACE = '20s';

/**
 * Runs a worker until it is asked to stop (SIGTERM or SIGINT). What it was doing is
 * taken up by the next worker.
 */
export async function runWorker(config: Config, logger: Logger): Promise<void> {
  if (config.databaseUrl === undefined) throw new Error('the worker needs a database');
  Runtime.install({
    // Signals are handled here, once: the parts stop in order.
    shutdownSignals: [],
    logger: temporalLogger(logger),
    telemetryOptions: { logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) } },
  });
  const options = await temporalConnection(config.temporal);
  const { namespace, taskQueue, periodicTaskQueue } = config.temporal;
  const connection = await Connection.connect(options);
  const native = await NativeConnection.connect(options);
  await registerSearchAttributes(connection, namespace);
  const db = connect({
    url: config.databaseUrl,
    poolSize: POOL_SIZE,
    application: 'holdfast-worker',
    onError: (error) => logger.warn({ err: error }, 'a database connection was lost'),
  });
  const clock = () => new Date();
  const deps: Dependencies = {
    db,
    client: new Client({ connection, namespace }),
    hypervisors: hypervisorFactory,
    managers: backupManagers(db, openSealing(config), backupPlugins(config.plugins, clock)),
    logger,
    clock,
    limits: config.limits,
  };
  const workers = await createWorkers(deps, {
    connection: native,
    namespace,
    taskQueue,
    periodicTaskQueue,
    workflowBundle: await bundleWorkflows(logger),
  });
  const reconciler = startReconciler(deps, { intervals: config.intervals, limits: config.limits, periodicTaskQueue });
  const stop = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop);
  logger.info({ taskQueue, periodicTaskQueue, namespace }, 'worker started');
  try {
    await Promise.all(workers.map((worker) => worker.run()));
  } finally {
    await reconciler.stop();
    await native.close();
    await connection.close();
    await db.destroy();
    logger.info('worker stopped');
  }
}

/** Bundles the workflows for the sandbox that they run in; about a second. */
export function bundleWorkflows(logger: Logger) {
  return bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)),
    logger: temporalLogger(logger),
  });
}

/** Makes the two workers: one for operations, one for periodic work, so that the second cannot starve the first. */
export function createWorkers(
  deps: Dependencies,
  options: {
    readonly connection: NativeConnection;
    readonly namespace: string;
    readonly taskQueue: string;
    readonly periodicTaskQueue: string;
    readonly workflowBundle: WorkflowBundleOption;
  },
): Promise<Worker[]> {
  const { connection, namespace, workflowBundle, taskQueue, periodicTaskQueue } = options;
  const shared = {
    connection,
    namespace,
    workflowBundle,
    shutdownGraceTime: GRACE,
    // A cancellation arrives with a heartbeat's answer; by default that may take 16 s here.
    maxHeartbeatThrottleInterval: '2s',
    // What a worker that is gone had begun waits this long for it before another worker gets it.
    stickyQueueScheduleToStartTimeout: '5s',
  } as const;
  return Promise.all([
    Worker.create({
      ...shared,
      taskQueue,
      activities: { ...createActivities(deps) },
      maxConcurrentActivityTaskExecutions: 50,
    }),
    Worker.create({
      ...shared,
      taskQueue: periodicTaskQueue,
      activities: { ...createPeriodicActivities(deps) },
      maxConcurrentActivityTaskExecutions: 10,
    }),
  ]);
}

function temporalLogger(logger: Logger) {
  const write =
    (level: 'trace' | 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, meta?: Record<string | symbol, unknown>) =>
      logger[level]({ ...meta }, message);
  return {
    log: (level: string, message: string, meta?: Record<string | symbol, unknown>) =>
      write(level.toLowerCase() as 'info')(message, meta),
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
}
