/**
 * All that an activity needs to know about an operation, read afresh for every attempt: an endpoint or a password that
 * was changed in the middle of a backup counts from the next attempt on.
 * @module
 */
import { type ExpressionBuilder, type QueryCreator, type RawBuilder, sql } from 'kysely';
import type { BackupSchedule } from '../domain/schedules.ts';
import type { Hardware, VmState } from '../domain/virtual-machines.ts';
import type { ScheduleRef } from './columns.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import type { OperationRow } from './operations.ts';
import type { DB, VirtualMachineTable } from './schema.ts';

const OPERATION_COLUMNS = [
  'o.attention_reason',
  'o.bound_at',
  'o.cancel_requested_at',
  'o.cancel_requested_by',
  'o.created_at',
  'o.datacenter_id',
  'o.desired',
  'o.enterprise_id',
  'o.error',
  'o.fence',
  'o.finished_at',
  'o.handed_over_at',
  'o.id',
  'o.kind',
  'o.lost',
  'o.needs_attention',
  'o.origin',
  'o.point_of_no_return_at',
  'o.progress',
  'o.recovery',
  'o.request',
  'o.requested_by',
  'o.run_id',
  'o.seen',
  'o.settlement',
  'o.started_at',
  'o.state',
  'o.vm_id',
  'o.workflow_id',
] as const;

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
  const row = await db
    .selectFrom('operation as o')
    .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
    .innerJoin('datacenter as dc', 'dc.id', 'vm.datacenter_id')
    .innerJoin('enterprise as e', 'e.id', 'vm.enterprise_id')
    .select(OPERATION_COLUMNS)
    .select(['vm.name as vm_name', 'vm.state as vm_state', 'vm.cpu', 'vm.memory_mib', 'vm.disks'])
    .select(['dc.id as dc_id', 'dc.name as dc_name', 'dc.hypervisor_type', 'dc.hypervisor_endpoint'])
    .select('e.name as enterprise_name')
    .select(hypervisorRef)
    .where('o.id', '=', operationId)
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  if (row === undefined) throw new Error(`there is no operation ${operationId}`);
  const { vm_name, vm_state, cpu, memory_mib, disks, hypervisor_ref, enterprise_name, ...rest } = row;
  const { dc_id, dc_name, hypervisor_type, hypervisor_endpoint, ...operation } = rest;
  return {
    operation,
    vm: {
      id: operation.vm_id,
      name: vm_name,
      state: vm_state,
      hardware: { cpu, memoryMiB: memory_mib, disks },
      hypervisorRef: hypervisor_ref,
    },
    enterpriseName: enterprise_name,
    datacenter: { id: dc_id, name: dc_name, type: hypervisor_type, endpoint: hypervisor_endpoint },
  };
}

/** What the hypervisor calls the VM now; `null` while it is not there. */
export async function currentHypervisorRef(db: Queryable, vmId: string): Promise<string | null> {
  const row = await db
    .selectFrom('virtual_machine as vm')
    .select(hypervisorRef)
    .where('vm.id', '=', vmId)
    .executeTakeFirst();
  return row?.hypervisor_ref ?? null;
}

function hypervisorRef(eb: ExpressionBuilder<DB & { vm: VirtualMachineTable }, 'vm'>) {
  return eb
    .selectFrom('vm_reference as r')
    .select('r.ref')
    .whereRef('r.vm_id', '=', 'vm.id')
    .where('r.system', '=', 'HYPERVISOR')
    .where('r.valid_to', 'is', null)
    .orderBy('r.valid_from', 'desc')
    .orderBy('r.id', 'desc')
    .limit(1)
    .as('hypervisor_ref');
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
    .modifyEnd(plannedOnce)
    .execute();
  return rows.map((row) => row.ref);
}

/** What a hypervisor or a backup system calls a VM. */
export interface VmReference {
  readonly vmId: string;
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  readonly systemId: string;
  readonly ref: string;
}

/**
 * Notes what a hypervisor or a backup system calls the VM from now on; older names stay for old sessions and results.
 * @param provided only if this holds.
 * @returns whether it did.
 */
export async function rememberReference(
  db: QueryCreator<DB>,
  { vmId, system, systemId, ref }: VmReference,
  provided: RawBuilder<boolean> = sql`true`,
): Promise<boolean> {
  const kept = await db
    .with('former', (qb) =>
      qb
        .updateTable('vm_reference')
        .set({ valid_to: sql<Date>`now()` })
        .where('vm_id', '=', vmId)
        .where('system_id', '=', systemId)
        .where('ref', '<>', ref)
        .where('valid_to', 'is', null)
        .where(provided),
    )
    .insertInto('vm_reference')
    .columns(['vm_id', 'system', 'system_id', 'ref'])
    .expression(sql`select ${vmId}::uuid, ${system}, ${systemId}::uuid, ${ref} where ${provided}`)
    .onConflict((conflict) => conflict.columns(['system', 'system_id', 'ref', 'vm_id']).doUpdateSet({ valid_to: null }))
    .returning('id')
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  return kept !== undefined;
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
    .modifyEnd(plannedOnce)
    .execute();
  return rows.map((row) => ({
    managerId: row.manager_id,
    schedule: row.schedule,
    ref: row.ref,
    uncertain: row.uncertain,
  }));
}

/** The schedule that exists for the VM in one manager now. */
export async function existingSchedule(
  db: Queryable,
  vmId: string,
  managerId: string,
): Promise<ExistingSchedule | undefined> {
  return (await existingSchedules(db, vmId)).find((known) => known.managerId === managerId);
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
    .modifyEnd(plannedOnce)
    .execute();
  return new Map(rows.map((row) => [row.id, row.name]));
}
