/**
 * Write slots: at most so many writes at once to one backup system, across all workers. Waiting is first come, first
 * served, undos first. A ticket is held by a lease: one whose worker died falls out by itself.
 * @module
 */
import { type RawBuilder, sql } from 'kysely';
import { type Database, plannedOnce } from './connect.ts';

const LEASE = sql<Date>`now() + interval '40 seconds'`;

/**
 * Queues for a slot, or asks again; asking renews the lease of a ticket, granted or waiting.
 * @param holder names the step that asks: it has one ticket, and keeps its place through all its attempts.
 * @param attempt the number of the attempt that asks.
 * @returns whether the slot is granted now.
 */
export async function takeWriteSlot(
  db: Database,
  managerId: string,
  holder: string,
  attempt: number,
  undo: boolean,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    // Whoever asks waits here for those who asked before. What counts is seen afterwards, by a statement of its own.
    const { max_concurrent_writes: slots } = await trx
      .with('expired', (qb) => qb.deleteFrom('write_ticket').where('leased_until', '<', sql<Date>`now()`))
      .selectFrom('backup_manager')
      .select('max_concurrent_writes')
      .where('id', '=', managerId)
      .forNoKeyUpdate()
      .modifyEnd(plannedOnce)
      .executeTakeFirstOrThrow();
    const free = (isAhead: RawBuilder<boolean>) => sql<Date | null>`case when (
      select count(*) from write_ticket as other
      where other.manager_id = ${managerId} and other.holder <> ${holder}
        and (other.granted_at is not null or ${isAhead})
    ) < ${slots} then now() end`;
    // A new ticket stands behind all others of its kind, an older one behind those that were drawn before it.
    const newest = undo ? sql<boolean>`other.undo` : sql<boolean>`true`;
    const older = sql<boolean>`(case when write_ticket.undo then other.undo and other.id < write_ticket.id
                                     else other.undo or other.id < write_ticket.id end)`;
    const ticket = await trx
      .insertInto('write_ticket')
      .values({ manager_id: managerId, holder, attempt, undo, leased_until: LEASE, granted_at: free(newest) })
      .onConflict((conflict) =>
        conflict.column('holder').doUpdateSet({
          leased_until: LEASE,
          attempt: sql<number>`greatest(write_ticket.attempt, excluded.attempt)`,
          granted_at: sql<Date | null>`coalesce(write_ticket.granted_at, ${free(older)})`,
        }),
      )
      .returning('granted_at')
      .modifyEnd(plannedOnce)
      .executeTakeFirstOrThrow();
    return ticket.granted_at !== null;
  });
}

/** Gives the slot back, unless a newer attempt of the same step has it by now. */
export async function releaseWriteSlot(db: Database, holder: string, attempt: number): Promise<void> {
  await db.deleteFrom('write_ticket').where('holder', '=', holder).where('attempt', '=', attempt).execute();
}
