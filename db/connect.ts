/**
 * Connections to PostgreSQL.
 * @module
 */
import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import type { DB } from './schema.ts';

export type Database = Kysely<DB>;

/** A connection pool or a transaction in it: what the functions of the aggregates take. */
export type Queryable = Database | Transaction<DB>;

/** bigint as a number: sizes and ticks stay far below 2^53, and a string would be compared as a string. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid, format) =>
    oid === pg.types.builtins.INT8 && format !== 'binary' ? Number : pg.types.getTypeParser(oid, format),
};

/**
 * Opens a pool. No statement may run longer than 30 s and no transaction may idle longer than 15 s: a stuck client, or
 * a process that was frozen in the middle of a transaction, must not hold a row that others wait for.
 * @param onError told of connections that were lost (a restarted server); the pool replaces them.
 */
export function connect<T = DB>(options: {
  readonly url: string;
  readonly poolSize: number;
  readonly application: string;
  readonly onError?: (error: Error) => void;
}): Kysely<T> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.poolSize,
    application_name: options.application,
    connectionTimeoutMillis: 5_000,
    statement_timeout: 30_000,
    idle_in_transaction_session_timeout: 15_000,
    types,
  });
  const onError = options.onError ?? (() => {});
  pool.on('error', onError);
  // The pool listens only to connections that nobody uses; an error of one in use would end the process.
  pool.on('connect', (client) => client.on('error', onError));
  return new Kysely<T>({ dialect: new PostgresDialect({ pool }) });
}
