/**
 * What the bench runs on: PostgreSQL and Temporal as `npm start` runs them, on disk and in a folder of their own, and
 * one worker process.
 * @module
 */
import { closeSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { registerSearchAttributes } from '../../activities/search-attributes.ts';
import { findTemporal, freePort, startTemporalServer } from '../../bin/temporal-server.ts';
import { startEmbeddedPostgres } from '../../db/embedded.ts';
import { openLog, spawnGuarded } from '../../db/guarded-process.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { loadConfig } from '../../temporal.config.ts';
import type { WorkerOptions } from './worker.ts';

export type System = Awaited<ReturnType<typeof startSystem>>;

/** Starts PostgreSQL and Temporal. */
export async function startSystem(print: (line: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'pg'), durable: true });
  await migrateToLatest(postgres.url);
  const temporal = await startTemporalServer({
    binary: await findTemporal(loadConfig(process.env).temporal, print),
    port: await freePort(),
    dbFile: join(folder, 'temporal.db'),
    namespace: 'default',
    logFile: join(folder, 'temporal.log'),
  });
  const connection = await Connection.connect({ address: temporal.address });
  await registerSearchAttributes(connection, 'default');

  return {
    databaseUrl: postgres.url,
    client: new Client({ connection }),
    /** Starts the worker process, with a queue for each variant. */
    startWorker(variants: WorkerOptions['variants']) {
      const options: WorkerOptions = { databaseUrl: postgres.url, temporalAddress: temporal.address, variants, folder };
      const logFile = join(folder, 'worker.log');
      const log = openLog(logFile);
      const worker = spawnGuarded({
        command: process.execPath,
        args: [fileURLToPath(new URL('worker.ts', import.meta.url)), JSON.stringify(options)],
        output: log,
        stopSignal: 'SIGTERM',
        graceSeconds: 30,
      });
      closeSync(log);
      const failed = worker.ended.then((ending) => {
        throw new Error(`the worker ended (${ending}):\n${readFileSync(logFile, 'utf8').slice(-3_000)}`);
      });
      failed.catch(() => {});
      return { pid: worker.pid, failed, stop: () => worker.stop() };
    },
    pids: { temporal: temporal.pid, postgres: postgres.pid },
    async stop() {
      await connection.close();
      await temporal.stop();
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** CPU time of each part; `client` is the bench itself, which stands for the API process. */
export interface Cpu {
  readonly temporal: number;
  readonly postgres: number;
  readonly worker: number;
  readonly client: number;
}

/** What each process has computed so far, in seconds; absent where the operating system has no `/proc`. */
export function cpuSeconds(pids: Omit<Cpu, 'client'>): Cpu | undefined {
  try {
    const all = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap(processTimes);
    const sum = (wanted: (one: { pid: number; parent: number }) => boolean) =>
      all.filter(wanted).reduce((total, { seconds }) => total + seconds, 0);
    return {
      temporal: sum(({ pid }) => pid === pids.temporal),
      postgres: sum(({ pid, parent }) => pid === pids.postgres || parent === pids.postgres),
      worker: sum(({ pid }) => pid === pids.worker),
      client: sum(({ pid }) => pid === process.pid),
    };
  } catch {
    return undefined;
  }
}

/** Milliseconds for each piece of work since then. */
export function cpuPerPiece(before: Cpu, after: Cpu, pieces: number): Cpu {
  const spent = (part: keyof Cpu) => ((after[part] - before[part]) * 1_000) / pieces;
  return { temporal: spent('temporal'), postgres: spent('postgres'), worker: spent('worker'), client: spent('client') };
}

/** `utime`, `stime` and those of the children that have ended, of proc(5), in Linux's fixed 100 ticks a second. */
function processTimes(name: string): { pid: number; parent: number; seconds: number }[] {
  try {
    const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
      .map(Number);
    const seconds = fields.slice(11, 15).reduce((sum, ticks) => sum + ticks, 0) / 100;
    return [{ pid: Number(name), parent: fields[1] ?? 0, seconds }];
  } catch {
    return [];
  }
}
