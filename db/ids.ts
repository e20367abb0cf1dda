/**
 * New ids whose tail is free: the last 8 digits name a thing in workflow ids, and among some ten thousand things two
 * tails would be the same.
 * @module
 */
import { sql } from 'kysely';
import type { Queryable } from './connect.ts';

/** Draws an id for a new row. Each table has a unique index of tails. */
export async function newId(db: Queryable, table: 'operation' | 'virtual_machine'): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    select drawn.id from (select uuidv7() as id from generate_series(1, 10)) as drawn
    where not exists (select from ${sql.table(table)} as t where right(t.id::text, 8) = right(drawn.id::text, 8))
    limit 1
  `.execute(db);
  const id = rows[0]?.id;
  if (id === undefined) throw new Error(`no free id for a new ${table}`);
  return id;
}
