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

/**
 * Notes that the list of closed runs has been looked through up to there. It stays behind a little: runs are listed some
 * time after they have closed.
 */
export async function advanceWatermark(db: Queryable, to: Date): Promise<void> {
  await db
    .updateTable('reconciler')
    .set({ closed_runs_watermark: sql<Date>`${to}::timestamptz - interval '90 seconds'` })
    .execute();
}

/** Has every open operation looked at, from the first one on. */
export async function beginFullPass(db: Queryable): Promise<void> {
  await db.updateTable('reconciler').set({ full_pass_at: null, full_pass_after: null }).execute();
}

/** How far a look at every open operation has come; `undefined` while none is due. It is due an hour after the last. */
export async function fullPass(db: Queryable): Promise<{ readonly after: string | null } | undefined> {
  const row = await db
    .selectFrom('reconciler')
    .select('full_pass_after as after')
    .where((eb) =>
      eb.or([
        eb('full_pass_at', 'is', null),
        eb('full_pass_after', 'is not', null),
        eb('full_pass_at', '<', sql<Date>`now() - interval '1 hour'`),
      ]),
    )
    .executeTakeFirst();
  return row;
}

/** Notes the operation that the look at all of them has come to; `null`: it has come to the end. */
export async function advanceFullPass(db: Queryable, after: string | null): Promise<void> {
  await db
    .updateTable('reconciler')
    .set({ full_pass_after: after, ...(after === null ? { full_pass_at: sql<Date>`now()` } : {}) })
    .execute();
}
