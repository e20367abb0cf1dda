/**
 * Lists over HTTP: opaque cursors, and the link to the next page.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Context } from 'hono';
import { z } from 'zod';
import type { Page, PageRequest, Position } from '../db/pages.ts';
import { HoldfastError } from '../domain/errors.ts';

const MAX_LIMIT = 200;
const DEFAULT_LIMIT = 50;

/** The query parameters of every list. */
export const PAGE_QUERY = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MAX_LIMIT)
    .default(DEFAULT_LIMIT)
    .describe(`How many items at most; 1 to ${MAX_LIMIT}.`),
  cursor: z.string().max(500).optional().describe('The nextCursor of the page before, with the same filters.'),
} as const;

const CursorContent = z.tuple([z.string(), z.iso.datetime(), z.uuid()]);

/** A page of documents; `nextCursor` is null on the last one. */
export function pageOf<T extends z.ZodType>(item: T, id: string) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() }).meta({ id });
}

/** A cursor belongs to one list with one set of filters: elsewhere its position means nothing. */
function listHash(path: string, filters: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined);
  const text = JSON.stringify([path, given.toSorted(([a], [b]) => a.localeCompare(b))]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}

/**
 * What the query asks for.
 * @throws HoldfastError INVALID_CURSOR for a cursor that was not made for this list and these filters.
 */
export function pageRequest(
  c: Context,
  query: { readonly limit: number; readonly cursor?: string | undefined },
  filters: Readonly<Record<string, unknown>> = {},
): PageRequest {
  if (query.cursor === undefined) return { limit: query.limit };
  const [hash, at, id] = cursorContent(query.cursor);
  if (hash !== listHash(c.req.path, filters)) throw invalidCursor();
  return { limit: query.limit, after: { at: new Date(at), id } };
}

function cursorContent(cursor: string): z.infer<typeof CursorContent> {
  try {
    return CursorContent.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch {
    throw invalidCursor();
  }
}

function invalidCursor(): HoldfastError {
  return new HoldfastError(
    'INVALID_CURSOR',
    'The cursor was not made for this list with these filters. Begin again without a cursor.',
  );
}

/** The page as it is answered; sets the Link header to the next one (RFC 8288). */
export function pageAnswer<Row, Item>(
  c: Context,
  page: Page<Row>,
  toItem: (row: Row) => Item,
  filters: Readonly<Record<string, unknown>> = {},
): { items: Item[]; nextCursor: string | null } {
  const nextCursor = page.next === null ? null : toCursor(page.next, listHash(c.req.path, filters));
  if (nextCursor !== null) {
    const url = new URL(c.req.url);
    url.searchParams.set('cursor', nextCursor);
    c.header('Link', `<${url.pathname}${url.search}>; rel="next"`);
  }
  return { items: page.rows.map(toItem), nextCursor };
}

function toCursor({ at, id }: Position, hash: string): string {
  return Buffer.from(JSON.stringify([hash, at.toISOString(), id])).toString('base64url');
}
