/**
 * Enterprises: the tenants.
 * @module
 */
import type { Selectable } from 'kysely';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';
import type { EnterpriseTable } from './schema.ts';

export type EnterpriseRow = Selectable<EnterpriseTable>;

/** Inserts an enterprise; the name is unique. */
export function insertEnterprise(db: Queryable, enterprise: { readonly name: string }): Promise<EnterpriseRow> {
  return db.insertInto('enterprise').values({ name: enterprise.name }).returningAll().executeTakeFirstOrThrow();
}

/** The enterprise, when it is the tenant's own (`tenant` null: any). */
export function enterpriseById(db: Queryable, tenant: string | null, id: string): Promise<EnterpriseRow | undefined> {
  return visible(db, tenant).where('id', '=', id).executeTakeFirst();
}

/** The enterprise of that name, for the command line. */
export function enterpriseByName(db: Queryable, name: string): Promise<EnterpriseRow | undefined> {
  return db.selectFrom('enterprise').selectAll().where('name', '=', name).executeTakeFirst();
}

/** The tenant's own enterprise, or all of them (`tenant` null), newest first. */
export function listEnterprises(db: Queryable, tenant: string | null, page: PageRequest): Promise<Page<EnterpriseRow>> {
  return readPage(visible(db, tenant), { at: 'created_at', id: 'id' }, page, (row) => ({
    at: row.created_at,
    id: row.id,
  }));
}

function visible(db: Queryable, tenant: string | null) {
  return db
    .selectFrom('enterprise')
    .selectAll()
    .where((eb) => (tenant === null ? eb.lit(true) : eb('id', '=', tenant)));
}
