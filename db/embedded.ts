/**
 * The embedded PostgreSQL of development, tests and the demo: the npm binaries, started and looked after by us.
 * It listens on 127.0.0.1 alone, with a random password; production uses a PostgreSQL of its own (`DATABASE_URL`).
 *
 * Beside the data folder `pg` lie `pg.password` (0600), `pg.state.json` (port and owner) and `pg.log`.
 * @module
 */
import { randomInt } from 'node:crypto';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import {
  type Cluster,
  initialise,
  openCluster,
  standIn,
  startLog,
  USER,
  type EmbeddedPostgresOptions,
} from './embedded-cluster.ts';
import { type Postmaster, readPostmaster, readState, removeForeignLock, writeState } from './embedded-files.ts';
import { type Ending, isAlive, spawnGuarded } from './guarded-process.ts';

const DATABASE = 'holdfast';
const START_LIMIT_MS = 60_000;
const STOP_GRACE_SECONDS = 30;

/** A running embedded PostgreSQL. */
export interface EmbeddedPostgres {
  /** Points at the database `holdfast`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** It was running already, on behalf of another process that lives: `stop` and `kill` leave it alone. */
  readonly adopted: boolean;
  /** The server's version, `18.4`. */
  readonly version: string;
  /** Resolves when it has ended, however that came about. */
  readonly ended: Promise<Ending>;
  /** Ends its connections and stops it in order. */
  stop(): Promise<void>;
  /** Ends it at once; the next start recovers from its log. */
  kill(): void;
}

/**
 * Where ports are looked for: below those that systems give to outgoing connections, which may take one in the moment
 * before it is listened on, or while what listened on it is started again.
 */
const PORTS = { from: 10_240, to: 32_768 };

/** A TCP port on 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries += 1) {
    const port = randomInt(PORTS.from, PORTS.to);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no port is free between ${PORTS.from} and ${PORTS.to}`);
}

/** Whether a TCP port on a local address can be listened on. */
export function isPortFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  const server = createServer();
  return new Promise((answer) => {
    server.once('error', () => answer(false)).listen(port, host, () => server.close(() => answer(true)));
  });
}

/**
 * Starts the cluster in `dataDir`, made first when there is none, or adopts it when another living process has started it.
 * A cluster keeps its port over restarts while that is free. When this process ends, even by SIGKILL, so does PostgreSQL.
 * @throws Error that says why it did not start, with the end of PostgreSQL's log.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const cluster = openCluster(options);
  if (!fs.existsSync(join(cluster.dataDir, 'PG_VERSION'))) await initialise(cluster);

  const deadline = Date.now() + START_LIMIT_MS;
  let reason = 'it is still starting or stopping on behalf of another process';
  while (Date.now() < deadline) {
    const postmaster = readPostmaster(cluster.dataDir);
    if (postmaster === undefined) {
      const outcome = await launch(cluster);
      if (typeof outcome !== 'string') return outcome;
      reason = outcome;
    } else if (postmaster.ready && isAlive(readState(cluster.dataDir).owner ?? process.pid)) {
      const outcome = await adopt(cluster, postmaster).catch(String);
      if (typeof outcome !== 'string') return outcome;
      reason = outcome;
    } else if (postmaster.ready) {
      // Its owner was killed together with the guard: nobody would ever stop it.
      process.kill(postmaster.pid, 'SIGINT');
    }
    await sleep(50);
  }
  throw new Error(`The embedded PostgreSQL in ${cluster.dataDir} did not start within 60 s: ${reason}`);
}

/** The database's URL when the cluster in `dataDir` runs and accepts connections. */
export function embeddedUrlIfRunning(dataDir: string): string | undefined {
  const folder = resolve(dataDir);
  const postmaster = readPostmaster(folder);
  if (postmaster?.ready !== true) return undefined;
  return urlOf(fs.readFileSync(`${folder}.password`, 'utf8'), postmaster.port, DATABASE);
}

/** Starts the server and waits until it answers; the answer is a reason when a later attempt may succeed. */
async function launch(cluster: Cluster): Promise<EmbeddedPostgres | string> {
  removeForeignLock(cluster.dataDir);
  const remembered = cluster.fixedPort ?? readState(cluster.dataDir).port;
  const available = remembered !== undefined && (await isPortFree(remembered));
  if (cluster.fixedPort !== undefined && !available) return `port ${cluster.fixedPort} is in use`;
  const port = available ? remembered : await freePort();
  const { cwd, name } = standIn(cluster.dataDir, cluster.account);
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'timezone=UTC',
    'log_timezone=UTC',
    ...(cluster.durable ? [] : ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off']),
  ];
  const owner = { port, owner: process.pid };
  // Before, so that nobody takes it for abandoned; and again after, because another start may have tried in between.
  writeState(cluster.dataDir, owner);
  const log = startLog(cluster);
  const server = spawnGuarded({
    command: cluster.programs.postgres,
    args: ['-D', name, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
    cwd,
    ...cluster.account,
    output: log.descriptor,
    stopSignal: 'SIGINT',
    killSignal: 'SIGQUIT',
    graceSeconds: STOP_GRACE_SECONDS,
  });
  let ending: Ending | undefined;
  void server.ended.then((how) => {
    ending = how;
  });
  // A crashed cluster recovers first, which takes as long as it takes: progress, not a deadline, decides.
  while (ending === undefined) {
    const postmaster = readPostmaster(cluster.dataDir);
    if (postmaster?.ready === true && postmaster.pid === server.pid) {
      log.end();
      writeState(cluster.dataDir, owner);
      const version = await openDatabase(cluster, port).catch(async (error: unknown) => {
        await server.stop();
        throw error;
      });
      return {
        url: urlOf(cluster.password, port, DATABASE),
        port,
        pid: server.pid,
        adopted: false,
        version,
        ended: server.ended,
        stop: () => server.stop(),
        kill: () => server.kill(),
      };
    }
    await sleep(10);
  }
  const said = log.end();
  // Taken by another program or process since we looked, or children of a killed server that are still leaving.
  if (/could not bind|postmaster\.pid" already exists|pre-existing shared memory/.test(said)) return said;
  throw new Error(`The embedded PostgreSQL in ${cluster.dataDir} did not start (${ending}). It said:\n${said}`);
}

async function adopt(cluster: Cluster, { pid, port }: Postmaster): Promise<EmbeddedPostgres> {
  const version = await openDatabase(cluster, port);
  const ended = (async () => {
    while (isAlive(pid)) await sleep(250, undefined, { ref: false });
    return 'its owner stopped it';
  })();
  return {
    url: urlOf(cluster.password, port, DATABASE),
    port,
    pid,
    adopted: true,
    version,
    ended,
    stop: () => Promise.resolve(),
    kill: () => undefined,
  };
}

/**
 * The version of any PostgreSQL, `18.4`; asking for it is also how one sees whether it can be reached.
 * @throws Error when it cannot be connected to within 10 s.
 */
export function serverVersion(url: string): Promise<string> {
  return ask(url, "select split_part(current_setting('server_version'), ' ', 1) as answer");
}

/** Makes sure that the database exists; answers the server's version. */
async function openDatabase(cluster: Cluster, port: number): Promise<string> {
  const url = urlOf(cluster.password, port, DATABASE);
  try {
    return await serverVersion(url);
  } catch (error) {
    if (!hasCode(error, '3D000')) throw error;
  }
  await ask(urlOf(cluster.password, port, 'postgres'), `create database ${DATABASE}`).catch((error: unknown) => {
    // Another process that started at the same moment made it.
    if (!hasCode(error, '42P04') && !hasCode(error, '23505')) throw error;
  });
  return await serverVersion(url);
}

async function ask(url: string, sql: string): Promise<string> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  // The server may go away at any moment; the query then says so, and the event must not end the process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ answer: string }>(sql);
    return rows[0]?.answer ?? '';
  } finally {
    await client.end();
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof DatabaseError && error.code === code;
}

function urlOf(password: string, port: number, database: string): string {
  return `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
}
