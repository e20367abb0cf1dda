/**
 * Temporal as a part: the embedded development server, or the one that `TEMPORAL_ADDRESS` names.
 * @module
 */
import { join, relative } from 'node:path';
import { Connection } from '@temporalio/client';
import { type Config, temporalConnection } from '../../temporal.config.ts';
import { findTemporal, startTemporalServer } from '../temporal-server.ts';
import { reasonOf } from './database.ts';
import { foreignPart, type RunningPart, StartError } from './part.ts';

const CONNECT_LIMIT_MS = 5_000;

/** The file of the embedded server in a data folder. */
export function temporalFile(dataDir: string): string {
  return join(dataDir, 'temporal.db');
}

/** Where Temporal is: the configured address, or where the embedded server listens. */
export function temporalAddress(config: Pick<Config['temporal'], 'address' | 'port'>): string {
  return config.address ?? `127.0.0.1:${config.port}`;
}

/** Brings the embedded server up, or checks that the configured one serves the namespace. */
export async function startTemporal(
  config: Config,
  logFile: string,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<RunningPart> {
  const { namespace, address, port, uiPort } = config.temporal;
  if (address !== undefined) {
    const problem = await temporalProblem(config.temporal);
    if (problem !== undefined) throw new StartError(problem);
    return foreignPart(`connected to ${address}, namespace ${namespace}`);
  }
  const binary = await findTemporal(config.temporal, report, signal);
  const dbFile = temporalFile(config.dataDir);
  const server = await startTemporalServer({ binary, port, uiPort, dbFile, namespace, logFile });
  return {
    summary: `embedded, ${server.address}, ${relative('.', dbFile)} (kept between runs)`,
    ended: server.ended,
    stop: () => server.stop(),
    kill: () => server.kill(),
  };
}

/** Why Temporal cannot be used; undefined when it serves the namespace. */
export async function temporalProblem(config: Config['temporal']): Promise<string | undefined> {
  try {
    await withTemporal(config, ({ workflowService }) =>
      workflowService.describeNamespace({ namespace: config.namespace }),
    );
    return undefined;
  } catch (error) {
    return (
      `Temporal on ${temporalAddress(config)} does not serve the namespace "${config.namespace}": ${reasonOf(error)}. ` +
      'Check TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE and the TEMPORAL_TLS settings.'
    );
  }
}

/**
 * Who polls the task queue and when last, by the server's clock. A fingerprint that was not there before is a worker
 * that took up its work since.
 */
export async function workerPolls(config: Config['temporal']): Promise<Set<string>> {
  const { pollers } = await withTemporal(config, ({ workflowService }) =>
    workflowService.describeTaskQueue({
      namespace: config.namespace,
      taskQueue: { name: config.taskQueue },
      taskQueueType: 1, // TASK_QUEUE_TYPE_WORKFLOW (temporal.api.enums.v1)
    }),
  );
  return new Set(
    pollers.map(({ identity, lastAccessTime: at }) => `${identity} ${at?.seconds?.toString()}.${at?.nanos}`),
  );
}

async function withTemporal<T>(config: Config['temporal'], ask: (connection: Connection) => Promise<T>): Promise<T> {
  const address = temporalAddress(config);
  const options = await temporalConnection({ ...config, address });
  const connection = await Connection.connect({ ...options, connectTimeout: CONNECT_LIMIT_MS });
  try {
    return await connection.withDeadline(Date.now() + CONNECT_LIMIT_MS, () => ask(connection));
  } finally {
    await connection.close();
  }
}
