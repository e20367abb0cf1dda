/**
 * The copies of backups: what can be restored from, and what looks at the backup system make of each.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import { afterCheck } from '../domain/results.ts';
import type { Queryable } from './connect.ts';
import type { ResultCopyTable } from './schema.ts';

export type ResultCopyRow = Selectable<ResultCopyTable>;

/**
 * The copies of a backup that can be restored: those that the last list showed before others, local ones first. None
 * while it is not finished or has failed.
 */
export function restorableCopies(db: Queryable, resultId: string) {
  return db
    .selectFrom('result_copy as c')
    .innerJoin('backup_result as r', 'r.id', 'c.result_id')
    .selectAll('c')
    .select('r.manager_id')
    .where('c.result_id', '=', resultId)
    .where('c.state', '=', 'LISTED')
    .where('r.status', 'in', ['SUCCEEDED', 'SUCCEEDED_WITH_WARNING'])
    .orderBy(sql`c.unseen_at is not null`)
    .orderBy(sql`c.location = 'Local' desc`)
    .orderBy('c.id')
    .execute();
}

/** The copy, or `undefined`. */
export function copyById(db: Queryable, id: string): Promise<ResultCopyRow | undefined> {
  return db.selectFrom('result_copy').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Copies of a manager that the expiry check looks at now: those past their date, and a budget of those that were not
 * looked at for longest, so that one that went missing is found. All by the database's clock: a worker whose clock is
 * ahead would call a copy expired that is missing.
 * @param due how many that are past their date; @param sweep how many others.
 * @param dueAgainMs after how long one that is past its date, or was missed, is looked at again; @param sweepAgainMs the
 * same of the others.
 */
export async function copiesToCheck(
  db: Queryable,
  managerId: string,
  options: { readonly due: number; readonly sweep: number; readonly dueAgainMs: number; readonly sweepAgainMs: number },
) {
  const ago = (ms: number) => sql<Date>`now() - ${ms} * interval '1 millisecond'`;
  const base = db
    .selectFrom('result_copy as c')
    .innerJoin('backup_result as r', 'r.id', 'c.result_id')
    .innerJoin('virtual_machine as vm', 'vm.id', 'r.vm_id')
    .selectAll('c')
    .select(['r.vm_id', 'r.enterprise_id', 'r.name', 'vm.name as vm_name', 'vm.datacenter_id'])
    .select(sql<Date>`now()`.as('read_at'))
    .where('r.manager_id', '=', managerId)
    .where('c.state', '=', 'LISTED');
  const due = await base
    .where('c.expires_at', '<=', sql<Date>`now()`)
    .where((eb) => eb.or([eb('c.last_checked_at', 'is', null), eb('c.last_checked_at', '<', ago(options.dueAgainMs))]))
    // Those that were not looked at for longest: where many stay listed past their date, all get their turn.
    .orderBy('c.last_checked_at', (order) => order.asc().nullsFirst())
    .orderBy('c.expires_at')
    .limit(options.due)
    .execute();
  const sweep = await base
    .where((eb) => eb.or([eb('c.expires_at', 'is', null), eb('c.expires_at', '>', sql<Date>`now()`)]))
    .where((eb) =>
      eb.or([
        eb('c.last_checked_at', 'is', null),
        eb('c.last_checked_at', '<', ago(options.sweepAgainMs)),
        // One that a list did not show, or that was missed, is looked for with the next check: until then it is offered
        // for a restore.
        eb('c.unseen_at', '>', sql<Date>`c.last_checked_at`),
        eb.and([eb('c.absent_checks', '>', 0), eb('c.last_checked_at', '<', ago(options.dueAgainMs))]),
      ]),
    )
    .orderBy('c.last_checked_at', (order) => order.asc().nullsFirst())
    .limit(options.sweep)
    .execute();
  return { due, sweep };
}

export type CheckedCopy = Awaited<ReturnType<typeof copiesToCheck>>['due'][number];

/** Writes what a check made of a copy, and returns it. */
export async function recordCheck(db: Queryable, copy: CheckedCopy, listed: boolean) {
  const after = afterCheck(
    {
      state: copy.state,
      expiresAt: copy.expires_at,
      absentChecks: copy.absent_checks,
    },
    listed,
    copy.read_at,
  );
  await db
    .updateTable('result_copy')
    .set({
      state: after.state,
      absent_checks: after.absentChecks,
      overdue: after.overdue,
      last_checked_at: sql<Date>`now()`,
      ...(listed ? { unseen_at: null } : {}),
    })
    .where('id', '=', copy.id)
    .execute();
  return after;
}

/** The database's clock, before a list of backups is read. */
export async function listBegins(db: Queryable): Promise<Date> {
  const { now } = await db.selectNoFrom(sql<Date>`clock_timestamp()`.as('now')).executeTakeFirstOrThrow();
  return now;
}

/**
 * Notes the copies that a whole list of their VMs' backups did not show. That alone makes none absent, as a list may move
 * while it is read: the next check looks for them first.
 * @param vendorVmRefs the VMs of which all backups were listed since that moment.
 */
export async function noteUnseen(
  db: Queryable,
  managerId: string,
  vendorVmRefs: readonly string[],
  since: Date,
): Promise<void> {
  if (vendorVmRefs.length === 0) return;
  await db
    .updateTable('result_copy as c')
    .from('backup_result as r')
    .set({ unseen_at: sql<Date>`now()` })
    .whereRef('r.id', '=', 'c.result_id')
    .where('r.manager_id', '=', managerId)
    .where('c.vendor_vm_ref', 'in', vendorVmRefs)
    .where('c.state', '=', 'LISTED')
    .where('c.listed_at', '<', since)
    .where('c.absent_checks', '=', 0)
    .execute();
}

/** Notes that the backup system said of a copy that it is not there. */
export async function noteGone(db: Queryable, copyId: string): Promise<void> {
  await db.updateTable('result_copy').set({ unseen_at: sql<Date>`now()` }).where('id', '=', copyId).execute();
}
