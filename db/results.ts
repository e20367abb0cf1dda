/**
 * Backup results as the backup system lists them, with their copies: the record of what can be restored.
 * @module
 */
import { sql } from 'kysely';
import type { Queryable } from './connect.ts';

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
