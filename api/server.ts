/**
 * The API as a process.
 * @module
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import { Client, Connection, type ConnectionOptions } from '@temporalio/client';
import type { Logger } from 'pino';
import { connect } from '../db/connect.ts';
import { openSealing } from '../db/sealing.ts';
import type { Config } from '../temporal.config.ts';
import { createApp } from './app.ts';
import { createOperationRequests } from './operation-requests.ts';

const POOL_SIZE = 10;

/** How long requests under way may take to end once the process shall stop. */
const DRAIN_LIMIT_MS = 8_000;

/** A running API. */
export interface RunningApi {
  /** Where it listens, for clients on this machine. */
  readonly url: string;
  /** Takes no new requests, lets those under way end within 8 s, and closes what it opened. */
  stop(): Promise<void>;
}

/**
 * Opens the pool and the Temporal client and serves the API. Temporal is connected to when it is first needed, so the
 * API answers while Temporal is away.
 * @param config with `databaseUrl` and `temporal.address`.
 * @throws when no database is given, the master key cannot be read, or the port is taken.
 */
export async function startApi(config: Config, logger: Logger): Promise<RunningApi> {
  if (config.databaseUrl === undefined) throw new Error('There is no database: run npm start, or set DATABASE_URL.');
  const sealing = openSealing(config);
  const temporal = new Client({
    connection: Connection.lazy(await connectionOptions(config.temporal)),
    namespace: config.temporal.namespace,
  });
  const db = connect({
    url: config.databaseUrl,
    poolSize: POOL_SIZE,
    application: 'holdfast-api',
    onError: (error) => logger.warn({ err: error }, 'a database connection was lost'),
  });
  const operations = createOperationRequests({
    db,
    temporal,
    logger,
    limits: config.limits,
    periodicTaskQueue: config.temporal.periodicTaskQueue,
  });
  const app = createApp({ db, operations, temporal, sealing, logger, config });
  const server = createAdaptorServer({ fetch: app.fetch });
  const close = async () => {
    await Promise.allSettled([db.destroy(), temporal.connection.close()]);
  };
  try {
    server.listen(config.api.port, config.api.host);
    await once(server, 'listening');
  } catch (error) {
    await close();
    throw error;
  }

  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      const late = setTimeout(() => {
        logger.warn('requests are still under way; their connections are closed');
        if ('closeAllConnections' in server) server.closeAllConnections();
      }, DRAIN_LIMIT_MS);
      await closed;
      clearTimeout(late);
      await close();
    },
  };
}

/**
 * Runs the API until SIGTERM, SIGINT or the end of the process that started it. A second signal ends it at once.
 */
export async function runApi(config: Config, logger: Logger): Promise<void> {
  const api = await startApi(config, logger);
  logger.info({ url: api.url }, 'the API listens');
  const reason = await wishToEnd();
  logger.info({ reason }, 'the API stops');
  await api.stop();
  logger.info('the API has stopped');
}

/** The first wish to end; the listeners are gone after it, so that the next signal has its usual effect. */
function wishToEnd(): Promise<string> {
  return new Promise((resolve) => {
    const wishes = ['SIGTERM', 'SIGINT', 'disconnect'] as const;
    const listeners = wishes.map((wish) => [wish, () => end(wish)] as const);
    const end = (wish: string) => {
      for (const [name, listener] of listeners) process.off(name, listener);
      resolve(wish);
    };
    for (const [name, listener] of listeners) process.on(name, listener);
  });
}

async function connectionOptions(config: Config['temporal']): Promise<ConnectionOptions> {
  const { address, apiKey } = config;
  if (address === undefined) throw new Error('There is no Temporal server: run npm start, or set TEMPORAL_ADDRESS.');
  const secured = config.tls || config.caPath !== undefined || config.certPath !== undefined || apiKey !== undefined;
  if (!secured) return { address };
  const [ca, crt, key] = await Promise.all([config.caPath, config.certPath, config.keyPath].map(fileBytes));
  return {
    address,
    ...(apiKey === undefined ? {} : { apiKey }),
    tls: {
      ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
      ...(crt === undefined || key === undefined ? {} : { clientCertPair: { crt, key } }),
    },
  };
}

async function fileBytes(path: string | undefined): Promise<Uint8Array | undefined> {
  return path === undefined ? undefined : new Uint8Array(await readFile(path));
}
