/**
 * The database as a part: the embedded PostgreSQL, or the one that `DATABASE_URL` names.
 * @module
 */
import { join, relative } from 'node:path';
import { embeddedUrlIfRunning, serverVersion, startEmbeddedPostgres } from '../../db/embedded.ts';
import type { Config } from '../../temporal.config.ts';
import { foreignPart, type RunningPart, StartError } from './part.ts';

/** The folder of the embedded cluster in a data folder. */
export function clusterDir(dataDir: string): string {
  return join(dataDir, 'pg');
}

/** The database that a command uses beside a running `npm start`, or without one. @throws StartError when there is none. */
export function findDatabase(config: Pick<Config, 'databaseUrl' | 'dataDir'>): string {
  const url = config.databaseUrl ?? embeddedUrlIfRunning(clusterDir(config.dataDir));
  if (url === undefined) throw new StartError('There is no database: run npm start, or set DATABASE_URL.');
  return url;
}

/** The same URL without its password and options, for people. */
export function withoutPassword(url: string): string {
  const shown = new URL(url);
  shown.password = '';
  shown.search = '';
  return shown.href;
}

/** A running database and where it is. */
export interface DatabasePart extends RunningPart {
  readonly url: string;
}

/** @param port the port it had when it was started before; clients hold its URL. */
export async function startDatabase(config: Config, logFile: string, port?: number): Promise<DatabasePart> {
  if (config.databaseUrl !== undefined) {
    const shown = withoutPassword(config.databaseUrl);
    try {
      const version = await serverVersion(config.databaseUrl);
      return { ...foreignPart(`PostgreSQL ${version}, ${shown}`), url: config.databaseUrl };
    } catch (error) {
      throw new StartError(`The database of DATABASE_URL, ${shown}, cannot be reached: ${reasonOf(error)}`);
    }
  }
  const dataDir = clusterDir(config.dataDir);
  const server = await startEmbeddedPostgres({
    dataDir,
    durable: true,
    logFile,
    ...(port === undefined ? {} : { port }),
  });
  const kept = server.adopted ? 'was running already' : 'kept between runs';
  return {
    url: server.url,
    summary: `embedded PostgreSQL ${server.version}, ${relative('.', dataDir)} (${kept})`,
    ended: server.ended,
    stop: () => server.stop(),
    kill: () => server.kill(),
    ...(server.adopted ? { foreign: true } : {}),
  };
}

/** Node reports a refused connection to a name with several addresses as an error without a message of its own. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
