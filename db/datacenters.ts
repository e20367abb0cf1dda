/**
 * Datacenters: where virtual machines run.
 * @module
 */
import type { Insertable, Selectable } from 'kysely';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';
import type { DatacenterTable } from './schema.ts';

export type DatacenterRow = Selectable<DatacenterTable>;

/** Inserts a datacenter; the name is unique. */
export function insertDatacenter(db: Queryable, datacenter: Insertable<DatacenterTable>): Promise<DatacenterRow> {
  return db.insertInto('datacenter').values(datacenter).returningAll().executeTakeFirstOrThrow();
}

/** The datacenter, or `undefined`. */
export function datacenterById(db: Queryable, id: string): Promise<DatacenterRow | undefined> {
  return db.selectFrom('datacenter').selectAll().where('id', '=', id).executeTakeFirst();
}

/** All datacenters, newest first. */
export function listDatacenters(db: Queryable, page: PageRequest): Promise<Page<DatacenterRow>> {
  const query = db.selectFrom('datacenter').selectAll();
  return readPage(query, { at: 'created_at', id: 'id' }, page, (row) => ({ at: row.created_at, id: row.id }));
}
