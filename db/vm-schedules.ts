/**
 * The record of the schedules that exist in backup systems for a VM.
 * @module
 */
import { sql } from 'kysely';
import type { BackupSchedule } from '../domain/schedules.ts';
import type { StepMade } from './columns.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import { certainly, existingSchedules } from './operation-context.ts';
import type { OperationRow } from './operations.ts';

/**
 * The schedules that an operation has to reckon with, one per manager: those that exist for certain as they are, and
 * an empty one where a schedule may be or may have been left behind.
 */
export async function schedulesToReckonWith(trx: Queryable, vmId: string): Promise<BackupSchedule[]> {
  const existing = certainly(await existingSchedules(trx, vmId));
  const left = await trx
    .selectFrom('residue')
    .select('manager_id')
    .distinct()
    .where('vm_id', '=', vmId)
    .where('step', '=', 'BACKUP_SCHEDULE')
    .where('cleared_at', 'is', null)
    .where('manager_id', 'is not', null)
    .modifyEnd(plannedOnce)
    .execute();
  const known = new Set(existing.map((schedule) => schedule.managerId));
  const others = left.flatMap(({ manager_id: id }) => (id === null || known.has(id) ? [] : [id]));
  return [...existing, ...others.map((managerId) => ({ managerId, policies: [] }))];
}

/** The schedules that these VMs have in one manager for certain, by VM. */
export async function certainSchedules(
  db: Queryable,
  managerId: string,
  vmIds: readonly string[],
): Promise<ReadonlyMap<string, BackupSchedule>> {
  if (vmIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('vm_schedule')
    .select(['vm_id', 'schedule'])
    .where('manager_id', '=', managerId)
    .where('vm_id', 'in', vmIds)
    .where('uncertain', '=', false)
    .execute();
  return new Map(rows.map((row) => [row.vm_id, row.schedule]));
}

/** Writes down which schedule now exists in a backup system for the VM, or that none does. */
export async function settleSchedule(
  trx: Queryable,
  operation: Pick<OperationRow, 'id' | 'vm_id'>,
  managerId: string,
  made: StepMade | null,
): Promise<void> {
  const schedule = made?.schedule ?? null;
  const ref = made?.scheduleRef ?? null;
  if (schedule === null || ref === null) {
    await trx
      .deleteFrom('vm_schedule')
      .where('vm_id', '=', operation.vm_id)
      .where('manager_id', '=', managerId)
      .execute();
    return;
  }
  const values = {
    schedule: JSON.stringify(schedule),
    ref: JSON.stringify(ref),
    operation_id: operation.id,
    uncertain: false,
  };
  await trx
    .insertInto('vm_schedule')
    .values({ vm_id: operation.vm_id, manager_id: managerId, ...values })
    .onConflict((conflict) =>
      conflict.columns(['vm_id', 'manager_id']).doUpdateSet({ ...values, applied_at: sql<Date>`now()` }),
    )
    .modifyEnd(plannedOnce)
    .execute();
}

/** A schedule of which nobody knows what became is not taken for one that protects the VM. */
export async function markUncertain(trx: Queryable, vmId: string, managerIds: readonly string[]): Promise<void> {
  if (managerIds.length === 0) return;
  await trx
    .updateTable('vm_schedule')
    .set({ uncertain: true })
    .where('vm_id', '=', vmId)
    .where('manager_id', 'in', managerIds)
    .execute();
}
