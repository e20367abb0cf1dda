/**
 * Backup managers: the connections to backup systems. Rows never hold a credential in the clear.
 * @module
 */
import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';
import type { BackupManagerTable } from './schema.ts';

export type BackupManagerRow = Selectable<BackupManagerTable>;

/** A new id, needed before the row is written: credentials are sealed for the row that they stand in. */
export async function newManagerId(db: Queryable): Promise<string> {
  const { rows } = await sql<{ id: string }>`select uuidv7() as id`.execute(db);
  return (rows[0] as { id: string }).id;
}

/** Inserts a backup manager; the name is unique within the datacenter. */
export function insertManager(db: Queryable, manager: Insertable<BackupManagerTable>): Promise<BackupManagerRow> {
  return db.insertInto('backup_manager').values(manager).returningAll().executeTakeFirstOrThrow();
}

/** The backup manager, or `undefined`. */
export function managerById(db: Queryable, id: string): Promise<BackupManagerRow | undefined> {
  return db.selectFrom('backup_manager').selectAll().where('id', '=', id).executeTakeFirst();
}

/** The same, kept from changing or going away until the transaction ends. */
export function managerForUpdate(trx: Queryable, id: string): Promise<BackupManagerRow | undefined> {
  return trx.selectFrom('backup_manager').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

/** The manager of a datacenter that a policy names, kept from being deleted until the transaction ends. */
export function managerOfDatacenter(
  trx: Queryable,
  datacenterId: string,
  id: string,
): Promise<BackupManagerRow | undefined> {
  return trx
    .selectFrom('backup_manager')
    .selectAll()
    .where('id', '=', id)
    .where('datacenter_id', '=', datacenterId)
    .forKeyShare()
    .executeTakeFirst();
}

/** The backup managers of a datacenter, newest first. */
export function listManagers(db: Queryable, datacenterId: string, page: PageRequest): Promise<Page<BackupManagerRow>> {
  const query = db.selectFrom('backup_manager').selectAll().where('datacenter_id', '=', datacenterId);
  return readPage(query, { at: 'created_at', id: 'id' }, page, (row) => ({ at: row.created_at, id: row.id }));
}

/** Changes a backup manager; requests that are sent from now on use the new values. */
export function updateManager(
  db: Queryable,
  id: string,
  changes: Updateable<BackupManagerTable>,
): Promise<BackupManagerRow> {
  return db
    .updateTable('backup_manager')
    .set({ ...changes, version: sql<number>`version + 1` })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Deletes a backup manager; the database refuses while a policy, a result or a session belongs to it. */
export async function deleteManager(trx: Queryable, id: string): Promise<void> {
  await trx.deleteFrom('manager_watch').where('manager_id', '=', id).execute();
  await trx.deleteFrom('backup_manager').where('id', '=', id).execute();
}
