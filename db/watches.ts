/**
 * What is known of the watch over each backup manager, and which managers need one.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import type { OperationError } from '../domain/operations.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import type { ManagerWatchTable } from './schema.ts';

/** The watch as a tick finds it. Ages are in milliseconds, by the database's clock; `null`: never yet. */
export interface WatchRow extends Selectable<ManagerWatchTable> {
  /** Since the last tick has ended. */
  readonly looked_ms_ago: number | null;
  /** Since all results have been synced. */
  readonly synced_ms_ago: number | null;
}

/** Begins a tick: the next number, which guards everything that the tick writes. */
export async function beginTick(db: Queryable, managerId: string): Promise<WatchRow> {
  return db
    .insertInto('manager_watch')
    .values({ manager_id: managerId, tick: 1 })
    .onConflict((conflict) => conflict.column('manager_id').doUpdateSet({ tick: sql<number>`manager_watch.tick + 1` }))
    .returningAll()
    .returning([msAgo('last_tick_at').as('looked_ms_ago'), msAgo('results_synced_at').as('synced_ms_ago')])
    .executeTakeFirstOrThrow();
}

function msAgo(column: 'last_tick_at' | 'results_synced_at') {
  return sql<number | null>`(extract(epoch from now() - manager_watch.${sql.ref(column)}) * 1000)::float8`;
}

/** What a tick leaves for the next one. */
export interface TickEnd {
  readonly sessionsWatermark?: Date;
  /** How far a sync of results has come; `null`: to the end, now. */
  readonly resultsCursor?: string | null;
  readonly error: OperationError | null;
}

/** Ends a tick; an older tick that wakes up changes nothing. */
export async function endTick(db: Queryable, managerId: string, tick: number, end: TickEnd): Promise<void> {
  await db
    .updateTable('manager_watch')
    .set({
      last_tick_at: sql<Date>`now()`,
      last_error: end.error === null ? null : JSON.stringify(end.error),
      ...(end.sessionsWatermark === undefined ? {} : { sessions_watermark: end.sessionsWatermark }),
      ...(end.resultsCursor === undefined ? {} : { results_cursor: end.resultsCursor }),
      ...(end.resultsCursor === null ? { results_synced_at: sql<Date>`now()` } : {}),
    })
    .where('manager_id', '=', managerId)
    .where('tick', '=', tick)
    .execute();
}

/** Notes that a manager is in use: from now on it is watched, and its results are checked for expiry. */
export async function markManagerUsed(db: Queryable, managerId: string): Promise<void> {
  await db
    .updateTable('backup_manager')
    .set({ first_used_at: sql<Date>`now()` })
    .where('id', '=', managerId)
    .where('first_used_at', 'is', null)
    .modifyEnd(plannedOnce)
    .execute();
}

/** Whether anything of the manager `m` wants watching. */
export const needsWatch = sql<boolean>`(
  exists (select from session s where s.manager_id = m.id and s.state in ('RUNNING', 'UNKNOWN'))
  or exists (select from session s where s.manager_id = m.id and s.notified_at is null)
  or exists (select from vm_reference r where r.system = 'BACKUP_SYSTEM' and r.system_id = m.id)
  or exists (select from backup_result b where b.manager_id = m.id)
)`;

/**
 * Whether anything of this manager's wants watching: sessions, VMs that it knows, or results. A manager that was renamed
 * gets a new watch under its new name.
 */
export async function watchIsNeeded(db: Queryable, managerId: string, name: string): Promise<boolean> {
  const row = await db
    .selectFrom('backup_manager as m')
    .select('m.id')
    .where('m.id', '=', managerId)
    .where('m.name', '=', name)
    .where(needsWatch)
    .executeTakeFirst();
  return row !== undefined;
}

/** Managers in use: those to watch, and those whose results are checked for expiry. */
export function usedManagers(db: Queryable) {
  return db
    .selectFrom('backup_manager as m')
    .select(['m.id', 'm.name'])
    .select(needsWatch.as('needs_watch'))
    .where('m.first_used_at', 'is not', null)
    .orderBy('m.id')
    .execute();
}

/** What the manager calls the VMs that it knows, for the sync of results: the next ones after a given one. */
export async function watchedVendorRefs(
  db: Queryable,
  managerId: string,
  after: string,
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('vm_reference')
    .select('ref')
    .distinct()
    .where('system', '=', 'BACKUP_SYSTEM')
    .where('system_id', '=', managerId)
    .where('ref', '>', after)
    .orderBy('ref')
    .limit(limit)
    .execute();
  return rows.map((row) => row.ref);
}

/** Up to when the manager's sessions are known, by the backup system's clock; `null` before the first look. */
export async function sessionsWatermark(db: Queryable, managerId: string): Promise<Date | null> {
  const row = await db
    .selectFrom('manager_watch')
    .select('sessions_watermark')
    .where('manager_id', '=', managerId)
    .executeTakeFirst();
  return row?.sessions_watermark ?? null;
}
