/**
 * Child processes that cannot outlive us. A database or a server that stays behind after its parent was killed keeps
 * its port and its files, and the next start fails in ways that nobody understands.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Writable } from 'node:stream';

/** What to run and how to end it. */
export interface GuardedCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number;
  readonly gid?: number;
  /** An open file descriptor that takes stdout and stderr; absent: both are dropped. */
  readonly output?: number;
  /** The signal that asks for an orderly end. */
  readonly stopSignal: 'SIGINT' | 'SIGTERM';
  /** The signal that ends it at once; PostgreSQL has a gentler one than SIGKILL. */
  readonly killSignal?: 'SIGKILL' | 'SIGQUIT';
  /** Seconds between the stop signal and SIGKILL. */
  readonly graceSeconds: number;
}

/** How a process ended: `exit code 1`, `SIGKILL`. */
export type Ending = string;

/** A running child under guard. It does not keep our event loop alive. */
export interface GuardedProcess {
  readonly pid: number;
  /** Resolves when the process has ended, however that came about. */
  readonly ended: Promise<Ending>;
  /** The same, and keeps our event loop alive until then. */
  wait(): Promise<Ending>;
  /** Asks it to end, insists after the grace period, and resolves when it has ended. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

/**
 * `$1` stop signal, `$2` grace in seconds, then the command. The guard is forked before the shell becomes the command,
 * so there is no moment without it; it is forked twice so that the command never sees a child it did not start.
 * A line on descriptor 3 is the orderly good-bye; its end without one means that we died.
 */
const GUARD = `
( (
  trap '' INT TERM HUP
  read -r line <&3 && exit 0
  kill -s "$1" $$
  left=$2
  while [ "$left" -gt 0 ] && kill -0 $$; do sleep 1; left=$((left - 1)); done
  kill -s KILL $$
) >/dev/null 2>&1 & )
exec 3<&-
shift 2
exec "$@"
`;

/**
 * Starts a command in its own session (a terminal's Ctrl-C does not reach it) under a guard that stops it when this
 * process ends, even by SIGKILL.
 * @throws Error when no shell can be started. A command that cannot be started ends with `exit code 127` or `126`.
 */
export function spawnGuarded(command: GuardedCommand): GuardedProcess {
  const signalName = command.stopSignal.replace('SIG', '');
  const output = command.output ?? 'ignore';
  const child = spawn(
    '/bin/sh',
    ['-c', GUARD, 'sh', signalName, String(command.graceSeconds), command.command, ...command.args],
    {
      detached: true,
      stdio: ['ignore', output, output, 'pipe'],
      ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
      ...(command.env === undefined ? {} : { env: command.env }),
      ...(command.uid === undefined ? {} : { uid: command.uid }),
      ...(command.gid === undefined ? {} : { gid: command.gid }),
    },
  );
  const guard = child.stdio[3] as Writable & { unref(): void };
  // The guard may be gone before its good-bye arrives; then there is nobody left to tell.
  guard.on('error', () => undefined);
  let running = true;
  const ended = new Promise<Ending>((resolve) => {
    const end = (ending: Ending) => {
      running = false;
      guard.end('bye\n');
      resolve(ending);
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
  });
  child.unref();
  guard.unref();

  return {
    pid: child.pid ?? -1,
    ended,
    wait() {
      if (running) child.ref();
      return ended;
    },
    async stop() {
      if (!running) return;
      child.ref();
      child.kill(command.stopSignal);
      const insist = setTimeout(() => child.kill('SIGKILL'), command.graceSeconds * 1_000);
      await ended;
      clearTimeout(insist);
    },
    kill() {
      if (!running) return;
      child.ref();
      child.kill(command.killSignal ?? 'SIGKILL');
    },
  };
}

/** A log beyond this size is set aside as `<name>.1` when it is opened again. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

/** Opens a log file for appending, private to its owner. The caller closes the descriptor. */
export function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true });
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, 'a', 0o600);
}

/** Whether a process with this id exists, also one of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The command line of a running process: an id in a file may by now belong to another program. */
export function commandOf(pid: number): string | undefined {
  if (!isAlive(pid)) return undefined;
  if (process.platform === 'linux') {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    } catch {
      return undefined;
    }
  }
  const ps = spawnSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' });
  return ps.status === 0 ? ps.stdout.trim() : undefined;
}
