/**
 * The API as a process.
 * @module
 */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer } from '@hono/node-server';
import type { Logger } from 'pino';
import { connect } from '../db/connect.ts';
import { openSealing } from '../db/sealing.ts';
import type { Config } from '../temporal.config.ts';
import { createApp } from './app.ts';
import { createOperationRequests } from './operation-requests.ts';
import { openTemporal } from './temporal-client.ts';

const POOL_SIZE = 10;

/** How long requests under way may take to end once the process shall stop. */
const DRAIN_LIMIT_MS = 8_000;

const IDLE_CHECK_MS = 50;

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
  const temporal = await openTemporal(config.temporal);
  const db = connect({
    url: config.databaseUrl,
    poolSize: POOL_SIZE,
    application: 'holdfast-api',
    onError: (error) => logger.warn({ err: error }, 'a database connection was lost'),
  });
  const operations = createOperationRequests({
    db,
    temporal: temporal.client,
    logger,
    limits: config.limits,
    periodicTaskQueue: config.temporal.periodicTaskQueue,
  });
  const app = createApp({ db, operations, temporal: temporal.client, sealing, logger, config });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  const close = async () => {
    await Promise.allSettled([db.destroy(), temporal.close()]);
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
      // A connection that becomes idle after the close would be kept open for its next request.
      const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
      const late = setTimeout(() => {
        logger.warn('requests are still under way; their connections are closed');
        server.closeAllConnections();
      }, DRAIN_LIMIT_MS);
      await closed;
      clearInterval(idle);
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
