/**
 * The API's client of Temporal.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import { type Config, temporalConnection } from '../temporal.config.ts';

/** A client, and how to close it. */
export interface TemporalClient {
  readonly client: Client;
  close(): Promise<void>;
}

/**
 * Opens a client that connects when it is first needed.
 * @throws when no address is known or a file of the TLS settings cannot be read.
 */
export async function openTemporal(config: Config['temporal']): Promise<TemporalClient> {
  const retries = closableRetries();
  const connection = Connection.lazy({ ...(await temporalConnection(config)), interceptors: [retries.interceptor] });
  return {
    client: new Client({ connection, namespace: config.namespace }),
    async close() {
      await retries.settled();
      await connection.close();
    },
  };
}

/** The longest that a retry waits, in milliseconds; so long may a close take. */
const MAX_RETRY_DELAY_MS = 1_000;

/**
 * Retries of failed calls that can be brought to an end. In the SDK (1.24, grpc-retry) a retry that waits for its time
 * when the connection is closed throws outside of every call, which ends the process.
 */
function closableRetries() {
  const usual = defaultGrpcRetryOptions();
  let closing = false;
  let quietAt = 0;
  const interceptor = makeGrpcRetryInterceptor({
    retryableDecider: (attempt, status) => !closing && usual.retryableDecider(attempt, status),
    delayFunction: (attempt, status) => {
      const delay = Math.min(MAX_RETRY_DELAY_MS, usual.delayFunction(attempt, status));
      quietAt = Math.max(quietAt, performance.now() + delay);
      return delay;
    },
  });
  return {
    interceptor,
    /** Allows no further retry and waits for those that have a time already. */
    async settled() {
      closing = true;
      // A timer may fire a little later than it was asked to.
      const rest = quietAt === 0 ? 0 : quietAt - performance.now() + 50;
      if (rest > 0) await sleep(rest);
    },
  };
}
