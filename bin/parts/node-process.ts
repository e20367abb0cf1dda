/**
 * Parts that are Node programs of ours: the simulators, the worker, the API.
 * @module
 */
import { closeSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ending, openLog, spawnGuarded } from '../../db/guarded-process.ts';
import { type RunningPart, StartError } from './part.ts';

const START_LIMIT_MS = 60_000;
const PROBE_INTERVAL_MS = 50;

/** A Node program that runs as a part. */
export interface NodeProgram {
  readonly name: string;
  readonly summary: string;
  /** The script and its arguments. */
  readonly args: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Seconds it is given to end in order. */
  readonly graceSeconds: number;
  /** Whether it does its work by now; asked again and again while it starts. */
  ready(): Promise<boolean>;
}

/**
 * Starts a Node program and waits until it is ready.
 * @throws StartError when it ends before that or is not ready within 60 s; it tells the end of the log.
 */
export async function startNodeProgram(program: NodeProgram, signal: AbortSignal): Promise<RunningPart> {
  signal.throwIfAborted();
  const log = openLog(program.logFile);
  const child = spawnGuarded({
    command: process.execPath,
    args: program.args,
    env: program.environment,
    output: log,
    stopSignal: 'SIGTERM',
    graceSeconds: program.graceSeconds,
  });
  closeSync(log);
  let ending: Ending | undefined;
  void child.ended.then((how) => {
    ending = how;
  });
  const deadline = Date.now() + START_LIMIT_MS;
  while (ending === undefined && !signal.aborted && Date.now() < deadline) {
    if (await program.ready()) {
      return {
        summary: program.summary,
        ended: child.ended,
        stop: () => child.stop(),
        kill: () => child.kill(),
      };
    }
    await sleep(PROBE_INTERVAL_MS);
  }
  await child.stop();
  signal.throwIfAborted();
  const why = ending === undefined ? 'was not ready within 60 s' : `ended while it started (${ending})`;
  throw new StartError(
    `The part "${program.name}" ${why}. The end of its log, ${program.logFile}:\n${lastLines(program.logFile)}`,
  );
}

/** Whether an HTTP server answers at all, or with 200 where that matters. */
export async function answersHttp(url: string, status?: 200): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await answer.body?.cancel();
    return status === undefined || answer.status === status;
  } catch {
    return false;
  }
}

function lastLines(file: string): string {
  return readFileSync(file, 'utf8').trim().split('\n').slice(-10).join('\n');
}
