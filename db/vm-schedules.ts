/**
 * The record of the schedules that exist in backup systems for a VM.
 * @module
 */
import { sql } from 'kysely';
import type { BackupSchedule, ScheduledPolicy } from '../domain/schedules.ts';
import { ALLOWED_FROM } from '../domain/virtual-machines.ts';
import type { ScheduleRef, StepMade } from './columns.ts';
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

/** Of these VMs: the policy that each schedule in the manager belongs to, by what the backup system calls that schedule. */
export async function schedulingPolicies(
  db: Queryable,
  managerId: string,
  vmIds: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, ScheduledPolicy>>> {
  if (vmIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('vm_schedule')
    .select(['vm_id', 'schedule', 'ref'])
    .where('manager_id', '=', managerId)
    .where('vm_id', 'in', vmIds)
    .execute();
  return new Map(rows.map(({ vm_id: vmId, schedule, ref }) => [vmId, policiesBySchedule(schedule, ref)]));
}

function policiesBySchedule({ policies }: BackupSchedule, ref: ScheduleRef): ReadonlyMap<string, ScheduledPolicy> {
  return new Map(
    Object.entries(ref.policies ?? {}).flatMap(([scheduledBy, policyId]) => {
      const policy = policies.find((one) => one.policyId === policyId);
      return policy === undefined ? [] : [[scheduledBy, policy] as const];
    }),
  );
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
    refresh_at: ref.refreshAt === undefined ? null : new Date(ref.refreshAt),
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

/** Asks for the VM's schedules to be applied again as soon as nothing else is done to it. */
export async function refreshAtOnce(trx: Queryable, vmId: string): Promise<void> {
  await trx
    .updateTable('vm_schedule')
    .set({ refresh_at: new Date(0) })
    .where('vm_id', '=', vmId)
    .execute();
}

/** Takes back that a refresh which failed and left nothing needs a person: the schedule was applied since. */
export async function refreshIsSettled(trx: Queryable, vmId: string, managerId: string): Promise<void> {
  await trx
    .updateTable('operation as o')
    .set({ needs_attention: false, attention_reason: null })
    .where('o.vm_id', '=', vmId)
    .where('o.kind', '=', 'SCHEDULE_REFRESH')
    .where('o.needs_attention', '=', true)
    .where('o.finished_at', 'is not', null)
    .where(sql<boolean>`o.request->>'managerId' = ${managerId}`)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('residue as r')
            .select('r.id')
            .whereRef('r.operation_id', '=', 'o.id')
            .where('r.cleared_at', 'is', null),
        ),
      ),
    )
    .modifyEnd(plannedOnce)
    .execute();
}

/** How long a schedule is not refreshed again, however the last refresh ended. */
const REFRESHED_AGAIN = sql`interval '1 hour'`;

/**
 * VMs whose schedule in that manager is to be applied again, longest due first. Left out are VMs that are not deployed
 * or are busy, schedules of which another operation has left nobody knows what, and those that were refreshed in the
 * last hour: a backup system that refuses is not asked with every look.
 * @param now by the backup system's clock.
 * @param vmId only that one, if it still is among them.
 */
export async function schedulesToRefresh(
  db: Queryable,
  managerId: string,
  now: Date,
  limit: number,
  vmId?: string,
): Promise<string[]> {
  const rows = await db
    .selectFrom('vm_schedule as s')
    .innerJoin('virtual_machine as vm', 'vm.id', 's.vm_id')
    .leftJoin('vm_lock as lock', 'lock.vm_id', 's.vm_id')
    .select('s.vm_id')
    .where('s.manager_id', '=', managerId)
    .where('s.refresh_at', '<=', now)
    .$if(vmId !== undefined, (q) => q.where('s.vm_id', '=', vmId as string))
    .where('vm.deleted_at', 'is', null)
    .where('vm.state', 'in', ALLOWED_FROM.SCHEDULE_REFRESH)
    .where('lock.operation_id', 'is', null)
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('residue as r')
            .innerJoin('operation as o', 'o.id', 'r.operation_id')
            .select('r.id')
            .whereRef('r.vm_id', '=', 's.vm_id')
            .whereRef('r.manager_id', '=', 's.manager_id')
            .where('r.step', '=', 'BACKUP_SCHEDULE')
            .where('r.cleared_at', 'is', null)
            .where('o.kind', '<>', 'SCHEDULE_REFRESH'),
        ),
      ),
    )
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('operation as o')
            .select('o.id')
            .whereRef('o.vm_id', '=', 's.vm_id')
            .where('o.kind', '=', 'SCHEDULE_REFRESH')
            .where(sql<boolean>`o.request->>'managerId' = s.manager_id::text`)
            .where(sql<boolean>`o.finished_at > now() - ${REFRESHED_AGAIN}`),
        ),
      ),
    )
    .orderBy('s.refresh_at')
    .orderBy('s.vm_id')
    .limit(limit)
    .execute();
  return rows.map((row) => row.vm_id);
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
