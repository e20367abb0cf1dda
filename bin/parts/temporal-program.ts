/**
 * Finding a Temporal CLI, whose `server start-dev` is the embedded Temporal server; making one where there is none.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openLog, spawnGuarded } from '../../db/guarded-process.ts';
import type { Config } from '../../temporal.config.ts';

/** The version that is downloaded or built; `tools/temporal/go.mod` pins the same. */
export const TEMPORAL_CLI_VERSION = '1.8.2';

/** The oldest server that knows what the workflows use. */
const OLDEST_SERVER = [1, 29] as const;

const MODULE = fileURLToPath(new URL('../../tools/temporal', import.meta.url));
const PROGRESS_MS = 5_000;

/** Where a Temporal CLI was found. */
export interface TemporalProgram {
  readonly path: string;
  readonly source: 'TEMPORAL_CLI_PATH' | 'PATH' | 'cache' | 'download' | 'build';
}

/**
 * The path of a Temporal CLI: the first of `TEMPORAL_CLI_PATH`, `temporal` on PATH, the cache, the SDK's download, and a
 * build of `tools/temporal` with Go. The last two fill the cache; several processes may do so at once.
 * @param report takes a line of progress now and then.
 * @throws Error that says what to install when there is none.
 */
export async function findTemporal(
  config: Pick<Config['temporal'], 'cliPath' | 'cacheDir'>,
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<string> {
  const present = locateTemporal(config);
  if (present !== undefined) return present.path;

  mkdirSync(config.cacheDir, { recursive: true });
  const cached = cachedProgram(config.cacheDir);
  const problems: string[] = [];
  for (const make of [downloadProgram, buildProgram]) {
    const problem = await make(config.cacheDir, cached, report, signal);
    signal?.throwIfAborted();
    if (problem === undefined) return cached;
    problems.push(problem);
  }
  throw new Error(
    `There is no Temporal server. ${problems.join('; ')}. Do one of these: install the Temporal CLI (https://docs.temporal.io/cli), ` +
      'set TEMPORAL_CLI_PATH to one, install Go 1.21 or newer (https://go.dev/dl) so that it can be built, ' +
      'or set TEMPORAL_ADDRESS to a Temporal server of your own.',
  );
}

/**
 * The CLI that is there already, without making one.
 * @throws Error when `TEMPORAL_CLI_PATH` is set and is not a Temporal CLI.
 */
export function locateTemporal(config: Pick<Config['temporal'], 'cliPath' | 'cacheDir'>): TemporalProgram | undefined {
  if (config.cliPath !== undefined) {
    const unfit = whyUnfit(config.cliPath);
    if (unfit !== undefined) throw new Error(`TEMPORAL_CLI_PATH: ${config.cliPath} ${unfit}.`);
    return { path: config.cliPath, source: 'TEMPORAL_CLI_PATH' };
  }
  const onPath = findOnPath('temporal');
  if (onPath !== undefined && whyUnfit(onPath) === undefined) return { path: onPath, source: 'PATH' };
  const cached = cachedProgram(config.cacheDir);
  return existsSync(cached) && whyUnfit(cached) === undefined ? { path: cached, source: 'cache' } : undefined;
}

/** `1.8.2 (Server 1.31.2, UI 2.50.1)`, as the CLI tells it. */
export function temporalVersion(program: string): string | undefined {
  const answer = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return /^temporal version (.+)$/m.exec(answer.stdout ?? '')?.[1];
}

function whyUnfit(program: string): string | undefined {
  const version = temporalVersion(program);
  if (version === undefined) return 'is not a Temporal CLI that can be run (temporal --version)';
  const [, major, minor] = /Server (\d+)\.(\d+)/.exec(version) ?? [];
  const tooOld = Number(major) === OLDEST_SERVER[0] && Number(minor) < OLDEST_SERVER[1];
  return tooOld ? `brings a Temporal server older than ${OLDEST_SERVER.join('.')} (${version})` : undefined;
}

function cachedProgram(cacheDir: string): string {
  return join(cacheDir, `temporal-${TEMPORAL_CLI_VERSION}`);
}

function findOnPath(name: string): string | undefined {
  const answer = spawnSync('/bin/sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' });
  return answer.status === 0 ? answer.stdout.trim() : undefined;
}

type Make = (
  cacheDir: string,
  target: string,
  report: (line: string) => void,
  signal?: AbortSignal,
) => Promise<string | undefined>;

/** Lets the SDK download the CLI, which it does by starting a server; only its file is kept. */
const downloadProgram: Make = async (cacheDir, target, report) => {
  const folder = mkdtempSync(join(cacheDir, 'download-'));
  try {
    report(`downloading the Temporal server ${TEMPORAL_CLI_VERSION}`);
    const { TestWorkflowEnvironment } = await import('@temporalio/testing');
    const environment = await TestWorkflowEnvironment.createLocal({
      server: {
        executable: { type: 'cached-download', version: `v${TEMPORAL_CLI_VERSION}`, downloadDir: folder },
      },
    });
    await environment.teardown();
    const [file] = readdirSync(folder);
    if (file === undefined) return 'the download left no file';
    renameSync(join(folder, file), target);
    return undefined;
  } catch (error) {
    return `It could not be downloaded (${rootCause(error)})`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Builds the pinned module; Go keeps what it has compiled, so a second build takes a minute. */
const buildProgram: Make = async (cacheDir, target, report, signal) => {
  const go = findOnPath('go');
  if (go === undefined) return 'Go, which could build it, is not installed';
  const unfinished = `${target}.${process.pid}.tmp`;
  const logFile = join(cacheDir, 'temporal-build.log');
  const started = Date.now();
  const log = openLog(logFile);
  const build = spawnGuarded({
    command: go,
    args: ['build', '-trimpath', '-o', unfinished, 'github.com/temporalio/cli/cmd/temporal'],
    cwd: MODULE,
    output: log,
    stopSignal: 'SIGINT',
    graceSeconds: 5,
  });
  closeSync(log);
  const tell = () => {
    const seconds = Math.round((Date.now() - started) / 1_000);
    report(`building the Temporal server, about 3 minutes, once: ${seconds} s`);
  };
  tell();
  const progress = setInterval(tell, PROGRESS_MS);
  const abort = () => build.kill();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const ending = await build.wait();
    if (ending === 'exit code 0') {
      // Within one folder a rename is atomic: whoever finishes last puts the same file there.
      renameSync(unfinished, target);
      return undefined;
    }
    return `building it with Go failed (${ending}; ${logFile}: ${lastLine(logFile)})`;
  } finally {
    clearInterval(progress);
    signal?.removeEventListener('abort', abort);
    rmSync(unfinished, { force: true });
  }
};

/** The SDK chains every layer into one message, the address several times; the last link is the cause. */
function rootCause(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split(': ').at(-1) ?? '';
}

function lastLine(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').at(-1) ?? '';
}
