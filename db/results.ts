/**
 * Backup results and their copies: the record of what can be restored.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import { afterCheck } from '../domain/results.ts';
import type { Queryable } from './connect.ts';
import type { BackupResultTable, ResultCopyTable } from './schema.ts';

export type BackupResultRow = Selectable<BackupResultTable>;
export type ResultCopyRow = Selectable<ResultCopyTable>;

/** What the backup system calls its own copy. */
const LOCAL = 'Local';

/** A backup as a backup system lists it. */
export interface ListedBackup {
  readonly vendorBackupId: string;
  readonly vendorVmRef: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly sizeBytes: number | null;
  readonly copies: readonly {
    readonly location: string;
    readonly locationName: string | null;
    readonly vendorId: string;
    readonly expiresAt: Date | null;
    readonly expiryEstimated: boolean;
  }[];
}

/**
 * Writes down a listed backup: completes the result of its session, or of an earlier sync, or makes a new one when
 * nobody knew of it. Writing it again changes nothing.
 * @param resultId the result of the session that made it, where that is known.
 */
export async function recordListedBackup(
  trx: Queryable,
  owner: { readonly vmId: string; readonly enterpriseId: string; readonly managerId: string },
  backup: ListedBackup,
  resultId: string | null,
): Promise<string> {
  const known = await resultsOf(trx, owner, backup);
  const id =
    resultId ??
    known.ofSession ??
    known.listed ??
    (await resultOfCopy(trx, owner, backup)) ??
    (await discoveredResult(trx, owner, backup));
  // A sync saw the backup before its session was known: two results of one backup become one.
  if (known.listed !== null && known.listed !== id) await mergeResults(trx, known.listed, id);
  await trx
    .updateTable('backup_result')
    .set({
      vendor_backup_id: backup.vendorBackupId,
      vendor_vm_ref: backup.vendorVmRef,
      name: backup.name,
      ...(backup.sizeBytes === null ? {} : { size_bytes: backup.sizeBytes }),
    })
    .where('id', '=', id)
    .execute();
  for (const copy of backup.copies) {
    await trx
      .insertInto('result_copy')
      .values({
        result_id: id,
        location: copy.location,
        location_name: copy.locationName,
        vendor_id: copy.vendorId,
        vendor_vm_ref: backup.vendorVmRef,
        expires_at: copy.expiresAt,
        expiry_estimated: copy.expiryEstimated,
      })
      .onConflict((conflict) =>
        conflict.columns(['result_id', 'location', 'vendor_id']).doUpdateSet({
          ...dates(copy),
          location_name: copy.locationName,
          // It is listed, so an absence that was believed is taken back.
          state: 'LISTED',
          absent_checks: 0,
          listed_at: sql<Date>`now()`,
          unseen_at: null,
        }),
      )
      .execute();
  }
  return id;
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

/** The dates of a copy that is known already: where nothing is known to estimate from, what is there stays. */
function dates({ expiresAt, expiryEstimated }: ListedBackup['copies'][number]) {
  if (expiresAt === null && expiryEstimated) {
    return { overdue: sql<boolean>`coalesce(result_copy.expires_at <= now(), false)` };
  }
  const overdue = expiresAt === null ? false : sql<boolean>`${expiresAt} <= now()`;
  return { expires_at: expiresAt, expiry_estimated: expiryEstimated, overdue };
}

/** The result of that backup, where one is known. */
export async function resultOfBackup(
  db: Queryable,
  owner: { readonly vmId: string; readonly managerId: string },
  backup: Pick<ListedBackup, 'vendorVmRef' | 'vendorBackupId'>,
): Promise<string | null> {
  const { listed, ofSession } = await resultsOf(db, owner, backup);
  return ofSession ?? listed;
}

/** The results of that backup: from an earlier look at it, and of the session that reported its id. */
async function resultsOf(
  trx: Queryable,
  owner: { readonly vmId: string; readonly managerId: string },
  backup: Pick<ListedBackup, 'vendorVmRef' | 'vendorBackupId'>,
): Promise<{ readonly listed: string | null; readonly ofSession: string | null }> {
  const key = {
    manager_id: owner.managerId,
    vm_id: owner.vmId,
    vendor_vm_ref: backup.vendorVmRef,
    vendor_backup_id: backup.vendorBackupId,
  };
  return trx
    .selectNoFrom((eb) => [
      eb
        .selectFrom('backup_result')
        .select('id')
        .where((result) => result.and(key))
        .limit(1)
        .as('listed'),
      eb
        .selectFrom('session')
        .select('result_id')
        .where((session) => session.and({ ...key, kind: 'BACKUP' }))
        .where('result_id', 'is not', null)
        .limit(1)
        .as('ofSession'),
    ])
    .executeTakeFirstOrThrow();
}

/** The result that has one of these copies: a backup that is left on another system alone may be listed by another id. */
async function resultOfCopy(
  trx: Queryable,
  owner: { readonly vmId: string; readonly managerId: string },
  { vendorVmRef, copies }: ListedBackup,
): Promise<string | undefined> {
  if (copies.some(({ location }) => location === LOCAL)) return undefined;
  const row = await trx
    .selectFrom('result_copy as copy')
    .innerJoin('backup_result as result', 'result.id', 'copy.result_id')
    .select('result.id')
    .where('result.vm_id', '=', owner.vmId)
    .where('result.manager_id', '=', owner.managerId)
    .where('copy.vendor_vm_ref', '=', vendorVmRef)
    .where((eb) =>
      eb.or(copies.map(({ location, vendorId }) => eb.and({ 'copy.location': location, 'copy.vendor_id': vendorId }))),
    )
    .limit(1)
    .executeTakeFirst();
  return row?.id;
}

async function mergeResults(trx: Queryable, from: string, into: string): Promise<void> {
  await trx.updateTable('result_copy').set({ result_id: into }).where('result_id', '=', from).execute();
  await trx.updateTable('restore_result').set({ result_id: into }).where('result_id', '=', from).execute();
  await trx.updateTable('session').set({ result_id: into }).where('result_id', '=', from).execute();
  await trx.deleteFrom('backup_result').where('id', '=', from).execute();
}

async function discoveredResult(
  trx: Queryable,
  owner: { readonly vmId: string; readonly enterpriseId: string; readonly managerId: string },
  backup: ListedBackup,
): Promise<string> {
  const row = await trx
    .insertInto('backup_result')
    .values({
      vm_id: owner.vmId,
      enterprise_id: owner.enterpriseId,
      manager_id: owner.managerId,
      origin: 'DISCOVERED',
      name: backup.name,
      status: 'SUCCEEDED',
      vendor_backup_id: backup.vendorBackupId,
      vendor_vm_ref: backup.vendorVmRef,
      started_at: backup.createdAt,
      ended_at: backup.createdAt,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

/** The backup result, or `undefined`. */
export function resultById(db: Queryable, id: string): Promise<BackupResultRow | undefined> {
  return db.selectFrom('backup_result').selectAll().where('id', '=', id).executeTakeFirst();
}

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
