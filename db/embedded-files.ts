/**
 * What the files of an embedded cluster say about who runs it.
 * @module
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import { commandOf, isAlive } from './guarded-process.ts';

/** The server process of a cluster. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** It accepts connections; otherwise it starts, recovers or stops. */
  readonly ready: boolean;
}

/** The living server of the cluster in `dataDir`, as PostgreSQL's own `postmaster.pid` tells it. */
export function readPostmaster(dataDir: string): Postmaster | undefined {
  // Lines (PostgreSQL 18, utils/pidfile.h): 1 pid, 4 port, 8 status.
  const lines = readIfThere(join(dataDir, 'postmaster.pid'))?.split('\n') ?? [];
  const pid = Number(lines[0]);
  if (!(pid > 0) || !runsIn(pid, dataDir)) return undefined;
  return { pid, port: Number(lines[3]), ready: lines[7]?.trim() === 'ready' };
}

/**
 * PostgreSQL refuses to start while any process of its user has the id in an old `postmaster.pid`, also when that
 * process is another program by now: a machine that restarted hands the same ids out again.
 */
export function removeForeignLock(dataDir: string): void {
  const file = join(dataDir, 'postmaster.pid');
  const pid = Number(readIfThere(file)?.split('\n')[0]);
  if (pid > 0 && isAlive(pid) && !runsIn(pid, dataDir)) fs.rmSync(file, { force: true });
}

function runsIn(pid: number, dataDir: string): boolean {
  const command = commandOf(pid);
  if (command?.includes('postgres') !== true) return false;
  if (process.platform !== 'linux') return command.includes(dataDir);
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`) === fs.realpathSync(dataDir);
  } catch {
    return false;
  }
}

/** What we remember about a cluster between starts. */
export interface ClusterState {
  readonly port?: number;
  /** The process that started it and will stop it. */
  readonly owner?: number;
}

export function readState(dataDir: string): ClusterState {
  try {
    return JSON.parse(readIfThere(`${dataDir}.state.json`) ?? '{}') as ClusterState;
  } catch {
    // Torn by a power cut: the port is a convenience, not data.
    return {};
  }
}

export function writeState(dataDir: string, state: ClusterState): void {
  const file = `${dataDir}.state.json`;
  fs.writeFileSync(`${file}.${process.pid}`, JSON.stringify(state), { mode: 0o600 });
  fs.renameSync(`${file}.${process.pid}`, file);
}

function readIfThere(path: string): string | undefined {
  try {
    return fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
