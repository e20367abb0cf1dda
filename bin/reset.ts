/**
 * `npm run reset`: back to the state of a fresh checkout.
 * @module
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { embeddedUrlIfRunning } from '../db/embedded.ts';
import type { Config } from '../temporal.config.ts';
import { clusterDir } from './parts/database.ts';
import { lockHolder } from './parts/lock.ts';
import { StartError } from './parts/part.ts';
import { temporalFile } from './parts/temporal.ts';
import { runningOwner } from './temporal-server.ts';

/** Who confirms and where the question goes. */
export interface ResetOptions {
  /** Confirmed already, by `--yes`. */
  readonly confirmed: boolean;
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}

/**
 * Deletes what `npm start` keeps in its data folder. Databases and Temporal servers of your own are not touched.
 * @returns the exit code: 1 when it was not confirmed.
 * @throws StartError while Holdfast runs, and when the folder is not one that `npm start` made.
 */
export async function reset(config: Config, { confirmed, input, output }: ResetOptions): Promise<number> {
  const { dataDir } = config;
  if (!existsSync(dataDir)) {
    output.write(`There is nothing to delete: ${dataDir} does not exist.\n`);
    return 0;
  }
  refuseWhileRunning(dataDir);
  refuseForeignFolder(dataDir);
  const shown = relative('.', dataDir) || dataDir;
  if (!confirmed && !(await isConfirmed(shown, input, output))) return 1;
  for (const name of readdirSync(dataDir)) rmSync(join(dataDir, name), { recursive: true, force: true });
  output.write(`Deleted everything in ${shown}. The next npm start begins anew.\n`);
  return 0;
}

function refuseWhileRunning(dataDir: string): void {
  const pid = lockHolder(dataDir) ?? runningOwner(temporalFile(dataDir));
  if (pid !== undefined) throw new StartError(`Holdfast is running in ${dataDir} (pid ${pid}): stop it first.`);
  if (embeddedUrlIfRunning(clusterDir(dataDir)) !== undefined) {
    throw new StartError(`The embedded PostgreSQL in ${clusterDir(dataDir)} is running: stop what uses it first.`);
  }
}

/** A wrong HOLDFAST_DATA_DIR must not cost anybody their files. */
function refuseForeignFolder(dataDir: string): void {
  const holds = (folder: string) => `${folder}${sep}`.startsWith(`${dataDir}${sep}`.replace(/\/+$/, sep));
  const entries = readdirSync(dataDir);
  const ours =
    entries.length === 0 || ['pg', 'temporal.db', 'logs', 'master.key'].some((name) => entries.includes(name));
  if (
    !ours ||
    entries.includes('.git') ||
    entries.includes('package.json') ||
    holds(process.cwd()) ||
    holds(homedir())
  ) {
    throw new StartError(
      `${dataDir} does not look like a data folder of npm start; nothing was deleted. Check HOLDFAST_DATA_DIR.`,
    );
  }
}

async function isConfirmed(folder: string, input: NodeJS.ReadStream, output: NodeJS.WriteStream): Promise<boolean> {
  if (!input.isTTY) {
    output.write(`This deletes everything in ${folder}. To confirm: npm run reset -- --yes\n`);
    return false;
  }
  const terminal = createInterface({ input, output });
  try {
    const answer = await terminal.question(`Delete everything in ${folder}: databases, keys, tokens, logs? (yes/no) `);
    if (answer.trim().toLowerCase() === 'yes') return true;
    output.write('Nothing was deleted.\n');
    return false;
  } finally {
    terminal.close();
  }
}
