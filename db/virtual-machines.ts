/**
 * Virtual machines as a request for an operation needs them.
 * @module
 */
import type { ChosenPolicy } from '../domain/schedules.ts';
import type { Hardware, VmState } from '../domain/virtual-machines.ts';
import { plannedOnce, type Queryable } from './connect.ts';

/** A VM whose row is locked for the rest of the transaction. */
export interface LockedVm {
  readonly id: string;
  readonly name: string;
  readonly enterpriseId: string;
  readonly datacenterId: string;
  readonly state: VmState;
  readonly hardware: Hardware;
  readonly backupPolicies: readonly ChosenPolicy[];
  /** The operation that holds the VM's lock. */
  readonly lockedBy: string | null;
}

/**
 * Reads a VM and keeps its row from changing until the transaction ends.
 * @param enterpriseId whose VMs may be seen; `null`: everybody's.
 * @param alsoDeleted what a deleted VM has left behind can still be cleaned up.
 */
export async function lockVm(
  trx: Queryable,
  vmId: string,
  enterpriseId: string | null,
  alsoDeleted = false,
): Promise<LockedVm | undefined> {
  let query = trx.selectFrom('virtual_machine as vm').selectAll('vm').where('vm.id', '=', vmId).forUpdate();
  if (!alsoDeleted) query = query.where('vm.deleted_at', 'is', null);
  if (enterpriseId !== null) query = query.where('vm.enterprise_id', '=', enterpriseId);
  const row = await query.executeTakeFirst();
  if (row === undefined) return undefined;
  const lock = await trx
    .selectFrom('vm_lock')
    .select('operation_id')
    .where('vm_id', '=', vmId)
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  return {
    id: row.id,
    name: row.name,
    enterpriseId: row.enterprise_id,
    datacenterId: row.datacenter_id,
    state: row.state,
    hardware: { cpu: row.cpu, memoryMiB: row.memory_mib, disks: row.disks },
    backupPolicies: row.backup_policies,
    lockedBy: lock?.operation_id ?? null,
  };
}

/** The VM of a backup result that the enterprise may see. */
export async function vmOfResult(
  db: Queryable,
  resultId: string,
  enterpriseId: string | null,
): Promise<string | undefined> {
  let query = db.selectFrom('backup_result').select('vm_id').where('id', '=', resultId);
  if (enterpriseId !== null) query = query.where('enterprise_id', '=', enterpriseId);
  return (await query.executeTakeFirst())?.vm_id;
}

/** The VM's name. */
export async function vmName(db: Queryable, vmId: string): Promise<string> {
  const row = await db.selectFrom('virtual_machine').select('name').where('id', '=', vmId).executeTakeFirstOrThrow();
  return row.name;
}
