/**
 * Connections to Temporal, and what Holdfast needs to find there.
 * @module
 */
import { readFile } from 'node:fs/promises';
import type { Connection } from '@temporalio/client';
import type { NativeConnectionOptions } from '@temporalio/worker';
import type { Config } from '../temporal.config.ts';
import { SEARCH_ATTRIBUTES } from '../workflows/search-attributes.ts';

/** Options that fit both kinds of connection, the client's and the worker's. */
export type TemporalConnectionOptions = Pick<NativeConnectionOptions, 'tls'> & {
  readonly address: string;
  readonly apiKey?: string;
};

/** The options of a connection: address, TLS, API key. @throws when no address is known or a file cannot be read. */
export async function connectionOptions(config: Config['temporal']): Promise<TemporalConnectionOptions> {
  if (config.address === undefined) throw new Error('no Temporal server: run npm start, or set TEMPORAL_ADDRESS');
  const { address, apiKey } = config;
  const secured = config.tls || config.caPath !== undefined || config.certPath !== undefined || apiKey !== undefined;
  if (!secured) return { address };
  const [ca, crt, key] = await Promise.all([read(config.caPath), read(config.certPath), read(config.keyPath)]);
  return {
    address,
    ...(apiKey === undefined ? {} : { apiKey }),
    tls: {
      ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
      ...(crt === undefined || key === undefined ? {} : { clientCertPair: { crt, key } }),
    },
  };
}

async function read(path: string | undefined): Promise<Uint8Array | undefined> {
  return path === undefined ? undefined : new Uint8Array(await readFile(path));
}

const INDEXED_VALUE_TYPES = { KEYWORD: 2, BOOL: 5 } as const;

/** Registers the search attributes that are missing: a run that uses one which is not registered cannot start. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((key) => !(key.name in (customAttributes ?? {})));
  if (missing.length === 0) return;
  await connection.operatorService
    .addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((key) => [key.name, INDEXED_VALUE_TYPES[key.type]])),
    })
    .catch((error: unknown) => {
      // Another worker registered them at the same moment.
      if (!(error instanceof Error && /already exist/i.test(error.message))) throw error;
    });
}
