/**
 * Write slots: at most so many writes at once to one backup system, across all workers. Waiting is first come, first
 * served, undos first. A ticket is held by a lease: one whose worker died falls out by itself.
 * @module
 */
import { sql } from 'kysely';
import type { Database } from './connect.ts';

const LEASE = sql`now() + interval '40 seconds'`;

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
    const manager = await trx
      .selectFrom('backup_manager')
      .select('max_concurrent_writes')
      .where('id', '=', managerId)
      .forNoKeyUpdate()
      .executeTakeFirstOrThrow();
    await trx.deleteFrom('write_ticket').where('leased_until', '<', sql<Date>`now()`).execute();
    const ticket = await trx
      .insertInto('write_ticket')
      .values({ manager_id: managerId, holder, attempt, undo, leased_until: sql<Date>`${LEASE}` })
      .onConflict((conflict) =>
        conflict.column('holder').doUpdateSet({
          leased_until: sql<Date>`${LEASE}`,
          attempt: sql<number>`greatest(write_ticket.attempt, excluded.attempt)`,
        }),
      )
      .returning(['id', 'granted_at'])
      .executeTakeFirstOrThrow();
    if (ticket.granted_at !== null) return true;
    const { taken, ahead } = await trx
      .selectFrom('write_ticket')
      .select((eb) => [
        eb.fn.countAll<number>().filterWhere('granted_at', 'is not', null).as('taken'),
        eb.fn
          .countAll<number>()
          .filterWhere(
            eb.and([
              eb('granted_at', 'is', null),
              undo
                ? eb.and([eb('undo', '=', true), eb('id', '<', ticket.id)])
                : eb.or([eb('undo', '=', true), eb('id', '<', ticket.id)]),
            ]),
          )
          .as('ahead'),
      ])
      .where('manager_id', '=', managerId)
      .executeTakeFirstOrThrow();
    if (taken + ahead >= manager.max_concurrent_writes) return false;
    await trx.updateTable('write_ticket').set({ granted_at: sql<Date>`now()` }).where('id', '=', ticket.id).execute();
    return true;
  });
}

/** Gives the slot back, unless a newer attempt of the same step has it by now. */
export async function releaseWriteSlot(db: Database, holder: string, attempt: number): Promise<void> {
  await db.deleteFrom('write_ticket').where('holder', '=', holder).where('attempt', '=', attempt).execute();
}
