/**
 * Keyset pages: a page begins after a position, so rows that come or go meanwhile neither repeat nor hide others.
 * @module
 */
import { type SelectQueryBuilder, sql } from 'kysely';

/** The place of a row in a list that runs from the newest to the oldest. */
export interface Position {
  readonly at: Date;
  readonly id: string;
}

/** Which part of a list is wanted. */
export interface PageRequest {
  /** How many rows at most. */
  readonly limit: number;
  /** The last row of the page before; absent for the first page. */
  readonly after?: Position | undefined;
}

/** A part of a list; `next` is where the following page begins, `null` on the last one. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly next: Position | null;
}

/**
 * Runs a query as one page, newest first.
 * @param columns the columns of the list's order, qualified where the query joins: `vm.created_at`, `vm.id`.
 * @param positionOf the same two values of a row that was read.
 * @example await readPage(query, { at: 'vm.created_at', id: 'vm.id' }, page, (row) => ({ at: row.created_at, id: row.id }));
 */
export async function readPage<DB, TB extends keyof DB, O>(
  query: SelectQueryBuilder<DB, TB, O>,
  columns: { readonly at: string; readonly id: string },
  { limit, after }: PageRequest,
  positionOf: (row: O) => Position,
): Promise<Page<O>> {
  const key = sql`(${sql.ref(columns.at)}, ${sql.ref(columns.id)})`;
  const ordered = query.orderBy(sql.ref(columns.at), 'desc').orderBy(sql.ref(columns.id), 'desc');
  const rest =
    after === undefined ? ordered : ordered.where(sql<boolean>`${key} < (${after.at}::timestamptz, ${after.id}::uuid)`);
  const rows = await rest.limit(limit + 1).execute();
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown, next: rows.length > limit && last !== undefined ? positionOf(last) : null };
}
