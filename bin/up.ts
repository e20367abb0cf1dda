/**
 * `npm start`: everything that Holdfast needs, on one machine, until Ctrl-C.
 * @module
 */
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { migrateToLatest } from '../db/migrate.ts';
import type { Config } from '../temporal.config.ts';
import { type DatabasePart, reasonOf, startDatabase } from './parts/database.ts';
import { lockDataDir } from './parts/lock.ts';
import { answersHttp, startNodeProgram } from './parts/node-process.ts';
import { StartError } from './parts/part.ts';
import { neededPorts, portProblems } from './parts/ports.ts';
import { listenForSignals } from './parts/signals.ts';
import { Supervisor } from './parts/supervisor.ts';
import { startTemporal, temporalAddress, temporalFile, workerPolls } from './parts/temporal.ts';
import { openTerminal, type Terminal } from './parts/terminal.ts';
import { runningOwner } from './temporal-server.ts';

/** Intervals in which a person at the demo sees something happen; production has its own defaults. */
const DEVELOPMENT_INTERVALS = { HOLDFAST_RESULTS_SYNC_INTERVAL: '20s', HOLDFAST_EXPIRY_CHECK_INTERVAL: '20s' };

/** How long the parts of a run that was killed may take to leave: the worker's grace and a little. */
const LEFTOVERS_LIMIT_MS = 35_000;

const WORKER_GRACE_SECONDS = 30;
const GRACE_SECONDS = 10;

/** What `npm start` is run with. */
export interface UpOptions {
  readonly config: Config;
  /** The environment that the configuration was read from; the parts inherit it. */
  readonly environment: NodeJS.ProcessEnv;
  readonly output: NodeJS.WriteStream;
}

/**
 * Brings everything up, watches it, and takes it down on SIGINT, SIGTERM or SIGHUP. A second Ctrl-C ends all at once.
 * @returns the exit code: 0 after an orderly stop, 1 when something failed or was ended at once.
 * @throws StartError when it is running already or a port is taken, before anything was started.
 */
export async function up({ config, environment, output }: UpOptions): Promise<number> {
  const lock = lockDataDir(config.dataDir);
  // A terminal that was closed must not end us before the parts are stopped.
  output.on('error', () => undefined);
  const terminal = openTerminal(output);
  const supervisor = new Supervisor(terminal);
  const signals = listenForSignals();
  try {
    await waitForRoom(config, lock.afterCrash, terminal);
    terminal.text();
    const started = bringUp(config, environment, supervisor, terminal);
    const problem = await firstProblem(started, signals.first, supervisor.failed);
    if (problem !== undefined) terminal.text(`\n${problem}\n`);
    else terminal.text('\n  Stopping. Ctrl-C again ends everything at once.');

    supervisor.abort();
    const stopped = started.then(() => supervisor.stop()).then(() => true);
    const orderly = await Promise.race([stopped, signals.second.then(() => false)]);
    if (!orderly) {
      terminal.text('  Ended at once.');
      await supervisor.kill();
    }
    return problem === undefined && orderly ? 0 : 1;
  } finally {
    signals.close();
    lock.release();
  }
}

/** Waits for the end; answers why, or undefined when somebody asked for it. */
async function firstProblem(
  started: Promise<unknown>,
  interrupted: Promise<void>,
  failed: Promise<StartError>,
): Promise<string | undefined> {
  const startProblem = started.then((problem) => problem ?? new Promise<never>(() => undefined));
  const problem = await Promise.race([startProblem, interrupted, failed]);
  if (problem === undefined) return undefined;
  const known = problem instanceof Error && ['Error', 'StartError'].includes(problem.name);
  return known || !(problem instanceof Error) ? reasonOf(problem) : problem.stack;
}

/** Refuses when another program has a port or the Temporal file; what a run that was killed left is on its way out. */
async function waitForRoom(config: Config, afterCrash: boolean, terminal: Terminal): Promise<void> {
  const ports = neededPorts(config);
  const deadline = Date.now() + (afterCrash ? LEFTOVERS_LIMIT_MS : 0);
  for (let told = false; ; told = true) {
    const problems = [...(await portProblems(ports)).values(), ...leftTemporal(config)];
    if (problems.length === 0) return;
    if (Date.now() >= deadline) throw new StartError(problems.join('\n'));
    if (!told) terminal.text('The last run was killed; waiting until its parts have ended.');
    await sleep(250);
  }
}

function leftTemporal({ dataDir, temporal }: Config): string[] {
  const pid = temporal.address === undefined ? runningOwner(temporalFile(dataDir)) : undefined;
  return pid === undefined ? [] : [`A Temporal server of an earlier run still runs (pid ${pid}): stop it first.`];
}

/** Brings all parts up and prints the closing block. @returns what went wrong, for `await` at another place. */
async function bringUp(
  config: Config,
  environment: NodeJS.ProcessEnv,
  supervisor: Supervisor,
  terminal: Terminal,
): Promise<unknown> {
  try {
    const tokens = await bringParts(config, environment, supervisor, terminal);
    supervisor.signal.throwIfAborted();
    sayHowToUse(config, tokens, terminal);
    return undefined;
  } catch (error) {
    return error;
  }
}

async function bringParts(
  config: Config,
  environment: NodeJS.ProcessEnv,
  supervisor: Supervisor,
  terminal: Terminal,
): Promise<DevelopmentTokens> {
  const logFile = (part: string) => join(config.dataDir, 'logs', `${part}.log`);

  let database: DatabasePart | undefined;
  await supervisor.bring({
    name: 'database',
    logFile: logFile('postgresql'),
    start: async () => {
      const port = database === undefined ? undefined : Number(new URL(database.url).port);
      database = await startDatabase(config, logFile('postgresql'), port);
      return database;
    },
  });
  const databaseUrl = database?.url ?? '';

  const migrating = performance.now();
  const { applied } = await migrateToLatest(databaseUrl);
  const schema =
    applied.length === 0
      ? 'up to date'
      : `${applied.length} ${applied.length === 1 ? 'migration' : 'migrations'} applied`;
  terminal.line('schema', schema, performance.now() - migrating);
  const { ensureDevelopmentTokens } = await import('./dev-tokens.ts');
  const tokens = await ensureDevelopmentTokens(databaseUrl, config.dataDir);

  await supervisor.bring({
    name: 'temporal',
    logFile: logFile('temporal'),
    start: (signal) =>
      startTemporal(config, logFile('temporal'), (line) => terminal.progress('temporal', line), signal),
  });

  const childEnvironment = {
    ...DEVELOPMENT_INTERVALS,
    ...withoutEmpty(environment),
    HOLDFAST_DATA_DIR: config.dataDir,
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: temporalAddress(config.temporal),
  };
  const program = (name: string, summary: string, script: string, args: readonly string[], grace: number) => ({
    name,
    summary,
    args: [fileURLToPath(new URL(script, import.meta.url)), ...args],
    environment: childEnvironment,
    logFile: logFile(name),
    graceSeconds: grace,
  });

  const { hypervisorPort, avamarPort, veeamPort, backupSeconds } = config.simulators;
  const simulator = (name: string, port: number, more: readonly string[] = []) => {
    const url = `http://127.0.0.1:${port}`;
    const state = join(config.dataDir, 'simulators', `${name}.json`);
    const args = ['--port', String(port), '--state', state, ...more];
    const part = program(name, `simulator on ${url}`, `../simulators/${name}/main.ts`, args, GRACE_SECONDS);
    return supervisor.bring({
      ...part,
      start: (signal) => startNodeProgram({ ...part, ready: () => answersHttp(url) }, signal),
    });
  };
  await simulator('hypervisor', hypervisorPort);
  const protects = ['--vcenter', `http://127.0.0.1:${hypervisorPort}`, '--backup-seconds', String(backupSeconds)];
  await simulator('avamar', avamarPort, protects);
  await simulator('veeam', veeamPort, protects);

  const worker = program(
    'worker',
    `task queue ${config.temporal.taskQueue}`,
    './holdfast.mjs',
    ['worker'],
    WORKER_GRACE_SECONDS,
  );
  await supervisor.bring({
    ...worker,
    start: async (signal) => {
      const before = await workerPolls(config.temporal);
      const ready = async () => ![...(await workerPolls(config.temporal))].every((poll) => before.has(poll));
      return await startNodeProgram({ ...worker, ready }, signal);
    },
  });

  const url = apiUrl(config);
  const api = program('api', `${url}/v1`, './holdfast.mjs', ['api'], GRACE_SECONDS);
  await supervisor.bring({
    ...api,
    start: (signal) => startNodeProgram({ ...api, ready: () => answersHttp(`${url}/healthz`, 200) }, signal),
  });
  return tokens;
}

type DevelopmentTokens = Awaited<ReturnType<typeof import('./dev-tokens.ts').ensureDevelopmentTokens>>;

function sayHowToUse(config: Config, { file, tokens }: DevelopmentTokens, terminal: Terminal): void {
  const administrator = tokens.find(({ role }) => role === 'CLOUD_ADMIN');
  terminal.text();
  terminal.line('API', `${apiUrl(config)}/v1, described at ${apiUrl(config)}/openapi.json`);
  terminal.line('Temporal UI', config.temporal.uiUrl);
  terminal.line('Tokens', `${relative('.', file)} (for development)`);
  if (administrator !== undefined) terminal.line('CLOUD_ADMIN', administrator.token);
  terminal.line('Intervals', 'results are synced and expiry is checked every 20 s here, unless set otherwise');
  terminal.text();
  terminal.line('Try', 'npm run demo');
  terminal.line('Stop', 'Ctrl-C; everything is still there at the next start');
  terminal.line('Reset', 'npm run reset');
  terminal.text();
}

function apiUrl({ api }: Config): string {
  // A wildcard is where it listens, not where it can be called.
  const host = api.host === '0.0.0.0' || api.host === '::' ? '127.0.0.1' : api.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${api.port}`;
}

/** An empty variable means "not set", as everywhere; it must not hide a default. */
function withoutEmpty(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
}
