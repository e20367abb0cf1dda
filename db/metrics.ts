/**
 * What Holdfast counts: read from the tables, so that it is the same whichever process is asked, and after a restart.
 * @module
 */
import { sql } from 'kysely';
import type { OperationKind, OperationState } from '../domain/operations.ts';
import type { Database, Queryable } from './connect.ts';
import { waitingSince } from './operation-starts.ts';
import { needsWatch } from './watches.ts';

export type DatabaseMetrics = Awaited<ReturnType<typeof readMetrics>>;

/** A handful of queries on one connection; each but the totals follows an index over what is open now. */
export function readMetrics(db: Database) {
  return db.connection().execute(async (connection) => ({
    open: await openOperations(connection),
    waiting: await operationsWaiting(connection),
    locks: await heldLocks(connection),
    residue: await residueLeft(connection),
    managers: await managersInUse(connection),
  }));
}

/** How many operations of each kind have ended in each state, ever. Reads the whole table: ask rarely. */
export function endedOperations(db: Queryable) {
  return db
    .selectFrom('operation')
    .select((eb) => ['kind', 'state', eb.fn.countAll<number>().as('count')])
    .where('finished_at', 'is not', null)
    .groupBy(['kind', 'state'])
    .orderBy('kind')
    .orderBy('state')
    .execute();
}

function openOperations(
  db: Queryable,
): Promise<{ kind: OperationKind; state: OperationState; count: number; attention: number }[]> {
  return db
    .selectFrom('operation')
    .select((eb) => ['kind', 'state', eb.fn.countAll<number>().as('count')])
    .select((eb) => eb.fn.countAll<number>().filterWhere('needs_attention', '=', true).as('attention'))
    .where('finished_at', 'is', null)
    .groupBy(['kind', 'state'])
    .orderBy('kind')
    .orderBy('state')
    .execute();
}

/** Operations that no run has taken up yet, and for how long the oldest of them waits, in seconds. */
function operationsWaiting(db: Queryable) {
  return db
    .selectFrom('operation as o')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .select(secondsSince(sql`min(${waitingSince})`).as('oldest_seconds'))
    .where('o.finished_at', 'is', null)
    .where('o.run_id', 'is', null)
    .executeTakeFirstOrThrow();
}

function heldLocks(db: Queryable) {
  return db
    .selectFrom('vm_lock')
    .select((eb) => ['kind', eb.fn.countAll<number>().as('count')])
    .select(secondsSince(sql`min(since)`).as('oldest_seconds'))
    .where('operation_id', 'is not', null)
    .groupBy('kind')
    .orderBy('kind')
    .execute();
}

function residueLeft(db: Queryable) {
  return db
    .selectFrom('residue')
    .select((eb) => ['system', eb.fn.countAll<number>().as('count')])
    .where('cleared_at', 'is', null)
    .groupBy('system')
    .execute();
}

/**
 * Each manager in use: how long ago it was looked at (`null` while nothing of it wants watching), its sessions, its
 * queue of writes, and by how much the oldest copy is late whose date has passed without a check since (`null`: none).
 */
function managersInUse(db: Queryable) {
  return db
    .selectFrom('backup_manager as m')
    .innerJoin('datacenter as dc', 'dc.id', 'm.datacenter_id')
    .leftJoin('manager_watch as w', 'w.manager_id', 'm.id')
    .select(['m.name', 'dc.name as datacenter'])
    .select((eb) => [
      eb
        .case()
        .when(needsWatch)
        .then(secondsSince(sql`coalesce(w.last_tick_at, m.first_used_at)`))
        .end()
        .as('watch_lag_seconds'),
      eb
        .selectFrom('session as s')
        .select((count) => count.fn.countAll<number>().as('count'))
        .whereRef('s.manager_id', '=', 'm.id')
        .where('s.state', 'in', ['RUNNING', 'UNKNOWN'])
        .as('sessions'),
      writeTickets(db, false).as('writes_waiting'),
      writeTickets(db, true).as('writes_granted'),
      eb
        .selectFrom('result_copy as c')
        .innerJoin('backup_result as r', 'r.id', 'c.result_id')
        .select(secondsSince(sql`min(c.expires_at)`).as('late'))
        .whereRef('r.manager_id', '=', 'm.id')
        .where('c.state', '=', 'LISTED')
        .where('c.expires_at', '<', sql<Date>`now()`)
        .where((copy) =>
          copy.or([copy('c.last_checked_at', 'is', null), copy('c.last_checked_at', '<', copy.ref('c.expires_at'))]),
        )
        .as('expiry_lag_seconds'),
    ])
    .where('m.first_used_at', 'is not', null)
    .orderBy('m.id')
    .execute();
}

/** A ticket whose lease has run out is that of a worker that died: it counts no more. */
function writeTickets(db: Queryable, granted: boolean) {
  return db
    .selectFrom('write_ticket as t')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where(sql<boolean>`t.manager_id = m.id`)
    .where('t.granted_at', granted ? 'is not' : 'is', null)
    .where('t.leased_until', '>', sql<Date>`now()`);
}

function secondsSince(moment: ReturnType<typeof sql>) {
  return sql<number | null>`extract(epoch from now() - ${moment})::float8`;
}
