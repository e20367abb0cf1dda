/**
 * Connections to PostgreSQL.
 * @module
 */
import { createHash } from 'node:crypto';
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely';
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

const PLANNED_ONCE = '/* planned once */';

/**
 * Ends a statement that every operation sends many times: each connection parses and plans it once, which is most of
 * what it costs. It must name the columns of its result: a plan with a star in it fails when a migration adds a column.
 * @example db.updateTable('step').set({ … }).where(…).modifyEnd(plannedOnce)
 */
export const plannedOnce = sql.raw(PLANNED_ONCE);

/** Sends marked statements under a name: the driver has each parsed when the connection first sees its name. */
class NamingClient extends pg.Client {
  override query: pg.Client['query'] = (...args: unknown[]): never =>
    super.query(...(named(args) as [string])) as never;
}

function named([text, values, ...rest]: unknown[]): unknown[] {
  if (typeof text !== 'string' || !text.endsWith(PLANNED_ONCE)) return [text, values, ...rest];
  return [{ name: createHash('sha1').update(text).digest('base64url'), text, values }, ...rest];
}

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
    Client: NamingClient,
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
