/**
 * One reconciler at a time, and what it remembers between two passes.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import type { Database, Queryable } from './connect.ts';
import type { ReconcilerTable } from './schema.ts';

/** Any number that nothing else locks. */
const ADVISORY_LOCK = 7_462_001;

/**
 * Does the work if no other worker is doing it now; the lock goes with the connection, so a dead worker holds nothing.
 * @returns whether the work was done.
 */
export async function becomeReconciler(db: Database, work: () => Promise<void>): Promise<boolean> {
  return db.connection().execute(async (connection) => {
    const { rows } = await sql<{ mine: boolean }>`select pg_try_advisory_lock(${ADVISORY_LOCK}) as mine`.execute(
      connection,
    );
    if (rows[0]?.mine !== true) return false;
    try {
      await work();
      return true;
    } finally {
      await sql`select pg_advisory_unlock(${ADVISORY_LOCK})`.execute(connection);
    }
  });
}

/** What the reconciler remembers. */
export function reconcilerState(db: Queryable): Promise<Selectable<ReconcilerTable>> {
  return db.selectFrom('reconciler').selectAll().executeTakeFirstOrThrow();
}

/** Notes up to when the list of closed runs has been looked through. */
export async function advanceWatermark(db: Queryable, to: Date): Promise<void> {
  await db.updateTable('reconciler').set({ closed_runs_watermark: to }).execute();
}

/** Notes that every open operation has been looked at. */
export async function recordFullPass(db: Queryable): Promise<void> {
  await db.updateTable('reconciler').set({ full_pass_at: sql<Date>`now()` }).execute();
}
