/**
 * All that an activity needs to know about an operation, read afresh for every attempt: an endpoint or a password that
 * was changed in the middle of a backup counts from the next attempt on.
 * @module
 */
import type { BackupSchedule } from '../domain/schedules.ts';
import type { Hardware, VmState } from '../domain/virtual-machines.ts';
import type { ScheduleRef } from './columns.ts';
import type { Queryable } from './connect.ts';
import { type OperationRow, operationById } from './operations.ts';

export interface OperationContext {
  readonly operation: OperationRow;
  readonly vm: {
    readonly id: string;
    readonly name: string;
    readonly state: VmState;
    readonly hardware: Hardware;
    /** What the hypervisor calls it now; `null` while it is not there. */
    readonly hypervisorRef: string | null;
  };
  readonly enterpriseName: string;
  readonly datacenter: {
    readonly id: string;
    readonly name: string;
    readonly type: string;
    readonly endpoint: string;
  };
}

/**
 * Reads an operation with its VM and datacenter.
 * @throws when there is no such operation.
 */
export async function operationContext(db: Queryable, operationId: string): Promise<OperationContext> {
  const operation = await operationById(db, operationId);
  if (operation === undefined) throw new Error(`there is no operation ${operationId}`);
  const row = await db
    .selectFrom('virtual_machine as vm')
    .innerJoin('datacenter as dc', 'dc.id', 'vm.datacenter_id')
    .innerJoin('enterprise as e', 'e.id', 'vm.enterprise_id')
    .select(['vm.id', 'vm.name', 'vm.state', 'vm.cpu', 'vm.memory_mib', 'vm.disks'])
    .select(['dc.id as dc_id', 'dc.name as dc_name', 'dc.hypervisor_type', 'dc.hypervisor_endpoint'])
    .select('e.name as enterprise_name')
    .where('vm.id', '=', operation.vm_id)
    .executeTakeFirstOrThrow();
  return {
    operation,
    vm: {
      id: row.id,
      name: row.name,
      state: row.state,
      hardware: { cpu: row.cpu, memoryMiB: row.memory_mib, disks: row.disks },
      hypervisorRef: await currentHypervisorRef(db, operation.vm_id),
    },
    enterpriseName: row.enterprise_name,
    datacenter: { id: row.dc_id, name: row.dc_name, type: row.hypervisor_type, endpoint: row.hypervisor_endpoint },
  };
}

/** What the hypervisor calls the VM now; `null` while it is not there. */
export async function currentHypervisorRef(db: Queryable, vmId: string): Promise<string | null> {
  const row = await db
    .selectFrom('vm_reference')
    .select('ref')
    .where('vm_id', '=', vmId)
    .where('system', '=', 'HYPERVISOR')
    .where('valid_to', 'is', null)
    .orderBy('valid_from', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.ref ?? null;
}

/** What a backup manager calls the VM and has called it, newest first. */
export async function vendorRefs(db: Queryable, vmId: string, managerId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('vm_reference')
    .select('ref')
    .where('vm_id', '=', vmId)
    .where('system', '=', 'BACKUP_SYSTEM')
    .where('system_id', '=', managerId)
    .orderBy('valid_from', 'desc')
    .orderBy('id', 'desc')
    .execute();
  return rows.map((row) => row.ref);
}

/** Notes what a hypervisor or a backup system calls the VM from now on; older names stay for old sessions and results. */
export async function rememberReference(
  db: Queryable,
  reference: {
    readonly vmId: string;
    readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
    readonly systemId: string;
    readonly ref: string;
  },
): Promise<void> {
  await db
    .updateTable('vm_reference')
    .set({ valid_to: new Date() })
    .where('vm_id', '=', reference.vmId)
    .where('system_id', '=', reference.systemId)
    .where('ref', '<>', reference.ref)
    .where('valid_to', 'is', null)
    .execute();
  await db
    .insertInto('vm_reference')
    .values({ vm_id: reference.vmId, system: reference.system, system_id: reference.systemId, ref: reference.ref })
    .onConflict((conflict) => conflict.columns(['system', 'system_id', 'ref', 'vm_id']).doUpdateSet({ valid_to: null }))
    .execute();
}

/** Notes that the hypervisor has no such VM any more. */
export async function forgetHypervisorReference(db: Queryable, vmId: string): Promise<void> {
  await db
    .updateTable('vm_reference')
    .set({ valid_to: new Date() })
    .where('vm_id', '=', vmId)
    .where('system', '=', 'HYPERVISOR')
    .where('valid_to', 'is', null)
    .execute();
}

/** The VMs that the backup manager calls by these names: the newest bearer of each name. */
export async function vmsByVendorRef(
  db: Queryable,
  managerId: string,
  refs: readonly string[],
): Promise<
  ReadonlyMap<
    string,
    { readonly vmId: string; readonly vmName: string; readonly enterpriseId: string; readonly datacenterId: string }
  >
> {
  if (refs.length === 0) return new Map();
  const rows = await db
    .selectFrom('vm_reference as r')
    .innerJoin('virtual_machine as vm', 'vm.id', 'r.vm_id')
    .select(['r.ref', 'vm.id', 'vm.name', 'vm.enterprise_id', 'vm.datacenter_id'])
    .where('r.system', '=', 'BACKUP_SYSTEM')
    .where('r.system_id', '=', managerId)
    .where('r.ref', 'in', refs)
    .orderBy('r.valid_from')
    .execute();
  return new Map(
    rows.map((row) => [
      row.ref,
      { vmId: row.id, vmName: row.name, enterpriseId: row.enterprise_id, datacenterId: row.datacenter_id },
    ]),
  );
}

/** A schedule that exists in a backup system. */
export interface ExistingSchedule {
  readonly managerId: string;
  readonly schedule: BackupSchedule;
  readonly ref: ScheduleRef;
  /** Nobody knows whether it is still as it was. */
  readonly uncertain: boolean;
}

/** The schedules to compare a wish with: an uncertain one is like none that was ever wished for. */
export function certainly(existing: readonly ExistingSchedule[]): BackupSchedule[] {
  return existing.map(({ managerId, schedule, uncertain }) => (uncertain ? { managerId, policies: [] } : schedule));
}

/** The schedules that exist for the VM now. */
export async function existingSchedules(db: Queryable, vmId: string): Promise<ExistingSchedule[]> {
  const rows = await db
    .selectFrom('vm_schedule')
    .select(['manager_id', 'schedule', 'ref', 'uncertain'])
    .where('vm_id', '=', vmId)
    .orderBy('manager_id')
    .execute();
  return rows.map((row) => ({
    managerId: row.manager_id,
    schedule: row.schedule,
    ref: row.ref,
    uncertain: row.uncertain,
  }));
}

/** Managers that know the VM: a session of theirs may be working on it. */
export async function managersKnowing(db: Queryable, vmId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('vm_reference')
    .select('system_id')
    .distinct()
    .where('vm_id', '=', vmId)
    .where('system', '=', 'BACKUP_SYSTEM')
    .execute();
  return rows.map((row) => row.system_id);
}

/** The names of a datacenter's backup managers, by id. */
export async function managerNames(db: Queryable, datacenterId: string): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom('backup_manager')
    .select(['id', 'name'])
    .where('datacenter_id', '=', datacenterId)
    .execute();
  return new Map(rows.map((row) => [row.id, row.name]));
}
