/**
 * Requests that begin an operation: how they are repeated safely, and how they are answered.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import { z } from 'zod';
import { operationView } from '../db/operation-list.ts';
import type { ApiDependencies, ApiEnv } from './context.ts';
import { Operation, toOperation } from './documents/operation.ts';
import type { Idempotency, RequestedOperation } from './operation-requests.types.ts';

/** The headers of requests that begin an operation. */
export const IDEMPOTENCY_HEADERS = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible characters')
    .optional()
    .describe('Repeat a request with the same key and body, and it begins nothing twice. Kept for 24 hours.'),
});

/** The header of answers to repeated requests. */
export const IDEMPOTENCY_REPLAYED = z
  .string()
  .optional()
  .describe('true when an earlier request with the same key began it.');

/** The answer of requests that begin an operation. */
export const ACCEPTED = {
  description: 'The operation was accepted; follow it at Location.',
  headers: z.object({
    location: z.string().describe('The operation.'),
    'idempotency-replayed': IDEMPOTENCY_REPLAYED,
  }),
  content: { 'application/json': { schema: Operation } },
};

/**
 * What identifies this request.
 * @param route method and path pattern, the scope of the key.
 * @returns `undefined` without a key.
 */
export function idempotencyOf(
  c: Context<ApiEnv>,
  key: string | undefined,
  route: string,
  body: unknown,
): Idempotency | undefined {
  if (key === undefined) return undefined;
  const text = `${c.req.method} ${c.req.path}\n${JSON.stringify(canonical(body))}`;
  return { key, route, requestHash: createHash('sha256').update(text).digest('hex') };
}

/** The same value with the keys of its objects in order: clients write them as they like. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, canonical(item)]),
  );
}

/** Answers 202 with the operation as it stands. */
export async function accepted(
  c: Context<ApiEnv>,
  { db, config }: Pick<ApiDependencies, 'db' | 'config'>,
  { operationId, repeated }: RequestedOperation,
) {
  const row = await operationView(db, c.get('principal').enterpriseId, operationId);
  if (row === undefined) throw new Error(`operation ${operationId} was begun and cannot be read`);
  c.header('Location', `/v1/operations/${operationId}`);
  if (repeated) c.header('Idempotency-Replayed', 'true');
  return c.json(toOperation(row, config.temporal), 202);
}
