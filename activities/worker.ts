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
import { handOverWhen, STOP_GRACE_MS } from './hand-over.ts';
import { hypervisorFactory } from './hypervisors/factory.ts';
import { createActivities, createPeriodicActivities } from './index.ts';
import { startReconciler } from './reconciler.ts';
import { registerSearchAttributes } from './search-attributes.ts';
import { vendorCalls } from './vendor-calls.ts';

/** Less than the activities that may run: most of them wait for another system, not for the database. */
const POOL_SIZE = 20;

/**
 * Runs a worker until it is asked to stop (SIGTERM or SIGINT). It ends within 25 s: short activities are finished, a
 * vendor's answer to a write is waited for, and everything else is taken up by another worker at once.
 */
export async function runWorker(config: Config, logger: Logger): Promise<void> {
  if (config.databaseUrl === undefined) throw new Error('the worker needs a database');
  const { workerPort } = config.metrics;
  const runtime = Runtime.install({
    // Signals are handled here, once: the parts stop in order.
    shutdownSignals: [],
    logger: temporalLogger(logger),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) },
      // Counts too, and the SDK's own metrics: GET http://127.0.0.1:<port>/metrics.
      ...(workerPort === undefined ? {} : { metrics: { prometheus: { bindAddress: `127.0.0.1:${workerPort}` } } }),
    },
  });
  const countCall = vendorCalls(runtime.metricMeter);
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
    hypervisors: (datacenter) => {
      const called = { system: 'HYPERVISOR', name: datacenter.name } as const;
      return hypervisorFactory({ ...datacenter, onCall: (end) => countCall(called, end) });
    },
    managers: backupManagers(db, openSealing(config), backupPlugins(config.plugins, clock), countCall),
    logger,
    clock,
    limits: config.limits,
    intervals: config.intervals,
  };
  const workers = await createWorkers(deps, {
    connection: native,
    namespace,
    taskQueue,
    periodicTaskQueue,
    workflowBundle: await bundleWorkflows(logger),
  });
  const reconciler = startReconciler(deps, { intervals: config.intervals, limits: config.limits, periodicTaskQueue });
  const stop = () => stopWorkers(workers);
  // Asked again it goes on stopping: a write on its way must not lose its answer.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
  logger.info({ taskQueue, periodicTaskQueue, namespace }, 'worker started');
  try {
    await runWorkers(workers);
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, stop);
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

/** Asks workers to stop. Does nothing to those that are stopping already. */
export function stopWorkers(workers: readonly Worker[]): void {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
}

/** Runs workers until all have stopped; one that breaks stops the others. */
export async function runWorkers(workers: readonly Worker[]): Promise<void> {
  const ends = await Promise.allSettled(workers.map((worker) => worker.run().finally(() => stopWorkers(workers))));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/** Makes the two workers: one for operations, one for periodic work, so that the second cannot starve the first. */
export async function createWorkers(
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
    shutdownGraceTime: STOP_GRACE_MS,
    // A cancellation arrives with a heartbeat's answer; by default that may take 16 s here.
    maxHeartbeatThrottleInterval: '2s',
    // What a worker that is gone had begun waits this long for it before another worker gets it.
    stickyQueueScheduleToStartTimeout: '5s',
  } as const;
  const operations: Worker = await Worker.create({
    ...shared,
    taskQueue,
    activities: { ...createActivities(deps) },
    interceptors: { activity: [handOverWhen(() => operations.getState() !== 'RUNNING')] },
    maxConcurrentActivityTaskExecutions: 50,
  });
  const periodic = await Worker.create({
    ...shared,
    taskQueue: periodicTaskQueue,
    activities: { ...createPeriodicActivities(deps) },
    maxConcurrentActivityTaskExecutions: 10,
  });
  return [operations, periodic];
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
