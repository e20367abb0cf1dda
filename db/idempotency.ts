/**
 * Idempotency keys: a request that is repeated gets the operation that it began the first time. Only requests that
 * began one are remembered.
 * @module
 */
import { sql } from 'kysely';
import { plannedOnce, type Queryable } from './connect.ts';

/** A key within its scope: the token and the route. */
export interface RequestKey {
  readonly tokenId: string;
  readonly route: string;
  readonly key: string;
}

const KEPT = sql`interval '24 hours'`;

/**
 * The operation that a request with this key began within the last 24 hours. Two requests with one key at once are
 * put in order: the second waits for the first.
 */
export async function repeatedRequest(
  trx: Queryable,
  { tokenId, route, key }: RequestKey,
): Promise<{ readonly operationId: string; readonly requestHash: string } | undefined> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`${tokenId} ${route} ${key}`}, 0))`.execute(trx);
  const row = await trx
    .selectFrom('idempotency_key')
    .select(['operation_id', 'request_hash'])
    .where('token_id', '=', tokenId)
    .where('route', '=', route)
    .where('key', '=', key)
    .where('created_at', '>', sql<Date>`now() - ${KEPT}`)
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  return row === undefined ? undefined : { operationId: row.operation_id, requestHash: row.request_hash };
}

/** Remembers which operation a request began, and forgets keys that are too old. */
export async function rememberRequest(
  trx: Queryable,
  request: RequestKey & { readonly requestHash: string; readonly operationId: string },
): Promise<void> {
  await trx.deleteFrom('idempotency_key').where('created_at', '<', sql<Date>`now() - ${KEPT}`).execute();
  await trx
    .insertInto('idempotency_key')
    .values({
      token_id: request.tokenId,
      route: request.route,
      key: request.key,
      request_hash: request.requestHash,
      operation_id: request.operationId,
    })
    .modifyEnd(plannedOnce)
    .execute();
}
