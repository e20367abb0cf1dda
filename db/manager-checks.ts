/**
 * What the checks of backup managers found.
 * @module
 */
import { sql } from 'kysely';
import type { StoredCheck } from './columns.ts';
import type { Queryable } from './connect.ts';

/** The manager's policies: their codes, and whether their backups are copied. */
export function policiesToCheck(db: Queryable, managerId: string): Promise<{ code: string; replication: boolean }[]> {
  return db
    .selectFrom('backup_policy')
    .select(['code', 'replication'])
    .where('manager_id', '=', managerId)
    .orderBy('code')
    .execute();
}

/** Stores a check. The first identity that is seen stays: another one later means another system. */
export async function storeCheck(db: Queryable, managerId: string, check: StoredCheck): Promise<void> {
  await db
    .updateTable('backup_manager')
    .set({
      last_check: JSON.stringify(check),
      checked_at: sql<Date>`now()`,
      identity: sql<string | null>`coalesce(identity, ${check.identity}::text)`,
      first_used_at: sql<Date>`coalesce(first_used_at, now())`,
    })
    .where('id', '=', managerId)
    .execute();
}

/** Stores what a backup system calls itself, unless something is stored already. */
export async function rememberIdentity(db: Queryable, managerId: string, identity: string): Promise<void> {
  await db
    .updateTable('backup_manager')
    .set({ identity })
    .where('id', '=', managerId)
    .where('identity', 'is', null)
    .execute();
}

/** Names of other managers whose backup system calls itself the same. */
export async function managersOfSystem(db: Queryable, managerId: string, identity: string): Promise<string[]> {
  const rows = await db
    .selectFrom('backup_manager')
    .select('name')
    .where('identity', '=', identity)
    .where('id', '<>', managerId)
    .orderBy('name')
    .execute();
  return rows.map((row) => row.name);
}

/** What the last check found; `null` before the first. */
export async function lastCheck(db: Queryable, managerId: string): Promise<StoredCheck | null> {
  const row = await db.selectFrom('backup_manager').select('last_check').where('id', '=', managerId).executeTakeFirst();
  return row?.last_check ?? null;
}
