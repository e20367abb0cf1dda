/**
 * One `npm start` at a time in a data folder.
 * @module
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandOf } from '../../db/guarded-process.ts';
import { StartError } from './part.ts';

/** A held lock. */
export interface DataLock {
  /** An earlier run was killed: its parts may still be on their way out. */
  readonly afterCrash: boolean;
  release(): void;
}

/**
 * Takes the lock of a data folder, made when missing.
 * @throws StartError when another run has it.
 */
export function lockDataDir(dataDir: string): DataLock {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = lockFile(dataDir);
  const holder = lockHolder(dataDir);
  if (holder !== undefined) throw new StartError(`Holdfast is already running in ${dataDir} (pid ${holder}).`);
  const afterCrash = readPid(file) !== undefined;
  rmSync(file, { force: true });
  writeFileSync(file, String(process.pid), { flag: 'wx' });
  return { afterCrash, release: () => rmSync(file, { force: true }) };
}

/** The running `npm start` of a data folder. */
export function lockHolder(dataDir: string): number | undefined {
  const pid = readPid(lockFile(dataDir));
  // After a restart of the machine the id may belong to any program, in a container even to ourselves.
  if (pid === undefined || pid === process.pid) return undefined;
  return commandOf(pid)?.includes('holdfast') === true ? pid : undefined;
}

function lockFile(dataDir: string): string {
  return join(dataDir, 'up.pid');
}

function readPid(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}
