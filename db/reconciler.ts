/**
 * One reconciler at a time, and what it remembers between two passes.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import type { Database, Queryable } from './connect.ts';
import type { ReconcilerTable } from './schema.ts';

/** Any number that nothing else locks. */
const ADVISORY_LOCK = 7_462_001;

/** A reconciler that has not been heard of for so long loses its place: its process is frozen, or cut off. */
const SILENCE = '20s';
/** How often a reconciler at work is heard of. Milliseconds. */
const SIGN_OF_LIFE_MS = 5_000;

/**
 * Does the work if no other worker is doing it now. The lock goes with the connection, so a dead worker holds nothing,
 * and PostgreSQL ends the connection of one that has fallen silent. What that one still does when it wakes up harms
 * nobody: every change of a pass says what it expects to find.
 * @returns whether the work was done.
 */
export async function becomeReconciler(db: Database, work: () => Promise<void>): Promise<boolean> {
  return db.connection().execute(async (connection) => {
    const { rows } = await sql<{ mine: boolean }>`select pg_try_advisory_lock(${ADVISORY_LOCK}) as mine`.execute(
      connection,
    );
    if (rows[0]?.mine !== true) return false;
    await sql`set idle_session_timeout = ${sql.lit(SILENCE)}`.execute(connection);
    const signOfLife = setInterval(() => {
      // One that fails finds the connection lost; the end of the work finds the same.
      sql`select`.execute(connection).catch(() => {});
    }, SIGN_OF_LIFE_MS);
    try {
      await work();
      return true;
    } finally {
      clearInterval(signOfLife);
      await sql`reset idle_session_timeout`.execute(connection);
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
