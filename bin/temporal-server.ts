/**
 * The embedded Temporal development server. One process, one SQLite file: for development, tests and the demo.
 * @module
 */
import { closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { isPortFree } from '../db/embedded.ts';
import { commandOf, type Ending, openLog, spawnGuarded } from '../db/guarded-process.ts';

export { freePort } from '../db/embedded.ts';
export { findTemporal } from './parts/temporal-program.ts';

const HOST = '127.0.0.1';
const START_LIMIT_MS = 60_000;

/** How a development server is to run. */
export interface TemporalServerOptions {
  /** The Temporal CLI, from `findTemporal`. */
  readonly binary: string;
  readonly port: number;
  /** Absent: no web interface. */
  readonly uiPort?: number;
  /** Where its state is kept between runs; absent: in memory. */
  readonly dbFile?: string;
  readonly namespace: string;
  readonly logFile: string;
  /** Search attributes that it registers, `{ VmId: 'Keyword' }`. */
  readonly searchAttributes?: Readonly<
    Record<string, 'Bool' | 'Datetime' | 'Double' | 'Int' | 'Keyword' | 'KeywordList' | 'Text'>
  >;
  /** Dynamic configuration on top of ours; values are sent as JSON. */
  readonly dynamicConfig?: Readonly<Record<string, string | number | boolean>>;
}

/** A running development server. */
export interface TemporalServer {
  /** `127.0.0.1:7233` */
  readonly address: string;
  readonly uiUrl: string | undefined;
  readonly pid: number;
  /** Resolves when it has ended, however that came about. */
  readonly ended: Promise<Ending>;
  stop(): Promise<void>;
  /** Ends it at once; with a `dbFile` nothing that was acknowledged is lost. */
  kill(): void;
}

/**
 * Starts a development server and waits until it serves its namespace. It ends with this process, also by SIGKILL.
 * @throws Error when a port is taken (it names the variable to change), or when the server ends or does not answer within 60 s.
 */
export async function startTemporalServer(options: TemporalServerOptions): Promise<TemporalServer> {
  await refuseTakenPorts(options);
  const address = `${HOST}:${options.port}`;
  const log = openLog(options.logFile);
  const server = spawnGuarded({
    command: options.binary,
    args: serverArguments(options),
    output: log,
    stopSignal: 'SIGTERM',
    graceSeconds: 10,
  });
  closeSync(log);
  if (options.dbFile !== undefined) writeFileSync(ownerFile(options.dbFile), String(server.pid));

  let ending: Ending | undefined;
  void server.ended.then((how) => {
    ending = how;
  });
  const deadline = Date.now() + START_LIMIT_MS;
  let problem = 'no answer';
  while (ending === undefined && Date.now() < deadline) {
    const answer = await probe(address, options.namespace);
    if (answer === undefined) {
      return {
        address,
        uiUrl: options.uiPort === undefined ? undefined : `http://${HOST}:${options.uiPort}`,
        pid: server.pid,
        ended: server.ended,
        async stop() {
          await server.stop();
          if (options.dbFile !== undefined) rmSync(ownerFile(options.dbFile), { force: true });
        },
        kill: () => server.kill(),
      };
    }
    problem = answer;
    await sleep(50);
  }
  await server.stop();
  const why = ending === undefined ? `did not answer on ${address} within 60 s (${problem})` : `ended (${ending})`;
  throw new Error(`The Temporal server ${why}. The end of its log, ${options.logFile}:\n${lastLines(options.logFile)}`);
}

function serverArguments(options: TemporalServerOptions): string[] {
  const dynamicConfig = {
    // 20 by default, per shard, and this server has one: each step of a workflow would wait 50 ms for the next poll.
    'history.transferProcessorMaxPollRPS': 2000,
    // It would ask Temporal's own servers for newer versions.
    'frontend.enableServerVersionCheck': false,
    ...options.dynamicConfig,
  };
  const file =
    options.dbFile === undefined
      ? []
      : // SQLite's default syncs each transition to disk; this loses nothing when the process dies, only in a power cut.
        [
          '--db-filename',
          options.dbFile,
          '--sqlite-pragma',
          'journal_mode=WAL',
          '--sqlite-pragma',
          'synchronous=NORMAL',
        ];
  const ui = options.uiPort === undefined ? ['--headless'] : ['--ui-ip', HOST, '--ui-port', String(options.uiPort)];
  return [
    'server',
    'start-dev',
    '--ip',
    HOST,
    '--port',
    String(options.port),
    '--namespace',
    options.namespace,
    '--log-format',
    'json',
    '--log-level',
    'warn',
    ...ui,
    ...file,
    ...Object.entries(options.searchAttributes ?? {}).flatMap(([name, type]) => [
      '--search-attribute',
      `${name}=${type}`,
    ]),
    ...Object.entries(dynamicConfig).flatMap(([key, value]) => [
      '--dynamic-config-value',
      `${key}=${JSON.stringify(value)}`,
    ]),
  ];
}

async function refuseTakenPorts(options: TemporalServerOptions): Promise<void> {
  const earlier = options.dbFile === undefined ? undefined : runningOwner(options.dbFile);
  if (earlier !== undefined) {
    throw new Error(
      `The Temporal server of an earlier run still uses ${options.dbFile} (process ${earlier}). Stop it first: kill ${earlier}`,
    );
  }
  if (!(await isPortFree(options.port))) {
    throw new Error(
      `Port ${options.port} is in use by another program; set HOLDFAST_TEMPORAL_PORT to a free port for the Temporal server.`,
    );
  }
  if (options.uiPort !== undefined && !(await isPortFree(options.uiPort))) {
    throw new Error(
      `Port ${options.uiPort} is in use by another program; set HOLDFAST_TEMPORAL_UI_PORT to a free port for the Temporal UI.`,
    );
  }
}

function ownerFile(dbFile: string): string {
  return `${dbFile}.pid`;
}

/** The server that an earlier run left on this file: it would be two writers on one SQLite file. */
export function runningOwner(dbFile: string): number | undefined {
  let pid: number;
  try {
    pid = Number(readFileSync(ownerFile(dbFile), 'utf8'));
  } catch {
    return undefined;
  }
  return commandOf(pid)?.includes(dbFile) === true ? pid : undefined;
}

/** @returns why the server does not serve the namespace yet; undefined when it does. */
async function probe(address: string, namespace: string): Promise<string | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: 1_000 });
    const { workflowService } = connection;
    await connection.withDeadline(Date.now() + 1_000, () => workflowService.describeNamespace({ namespace }));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await connection?.close();
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-10).join('\n');
}
