/**
 * The BACKUP_SCHEDULE step: one backup system's schedule for one VM. It only calls the plugin; the backup system owns
 * the schedule.
 * @module
 */
import { existingSchedule, vendorRefs } from '../db/operation-context.ts';
import { stepsOf } from '../db/steps.ts';
import { markManagerUsed } from '../db/watches.ts';
import type { BackupSchedule } from '../domain/schedules.ts';
import type { StepActivities, StepInput } from '../workflows/contract.ts';
import type { ProtectedVm } from './backup-systems/backup-system.ts';
import type { Dependencies } from './dependencies.ts';
import { namingCall } from './named-writes.ts';
import { forward, type StepAttempt, type StepOutcome } from './recorded-step.ts';

/** The VM as a backup manager sees it. */
export async function protectedVm(
  deps: Dependencies,
  attempt: Pick<StepAttempt, 'vm'>,
  managerId: string,
): Promise<ProtectedVm> {
  const { id, name, hypervisorRef } = attempt.vm;
  return { id, name, hypervisorRef, vendorRefs: await vendorRefs(deps.db, id, managerId) };
}

/** Makes the schedule of one manager be that one, or be gone with `undefined`; says what it made. */
export async function bringSchedule(
  deps: Dependencies,
  attempt: StepAttempt,
  managerId: string,
  wanted: BackupSchedule | undefined,
): Promise<StepOutcome> {
  const manager = await deps.managers.connect(managerId);
  await markManagerUsed(deps.db, managerId);
  const vm = await protectedVm(deps, attempt, managerId);
  const existing = await existingSchedule(deps.db, attempt.vm.id, managerId);
  await attempt.keepForUndo({ schedule: existing?.schedule ?? null, scheduleRef: existing?.ref ?? null });
  const call = namingCall(deps, attempt, managerId);
  if (wanted === undefined) {
    await manager.system.removeSchedule(call, vm, existing?.ref);
    return { made: { schedule: null, scheduleRef: null } };
  }
  const scheduleRef = await manager.system.applySchedule(call, vm, wanted, existing?.ref);
  const reference = { vmId: vm.id, system: 'BACKUP_SYSTEM', systemId: managerId, ref: scheduleRef.vmRef } as const;
  return { made: { schedule: wanted, scheduleRef }, reference };
}

/** The activities of BACKUP_SCHEDULE. */
export function scheduleActivities(deps: Dependencies): Pick<StepActivities, 'configureSchedule' | 'removeSchedule'> {
  return {
    configureSchedule: (input) =>
      forward(deps, 'BACKUP_SCHEDULE', input, async (attempt) => {
        const managerId = managerOf(input);
        if (attempt.operation.kind === 'RESTORE') return afterRestore(deps, attempt, managerId);
        if (attempt.operation.kind === 'SCHEDULE_REFRESH') return applyAgain(deps, attempt, managerId);
        const wanted = attempt.operation.desired.schedules?.find((schedule) => schedule.managerId === managerId);
        return bringSchedule(deps, attempt, managerId, wanted);
      }),

    removeSchedule: (input) =>
      forward(deps, 'BACKUP_SCHEDULE', input, (attempt) => bringSchedule(deps, attempt, managerOf(input), undefined)),
  };
}

/** After a restore the schedule is put back only where the VM has become another one for the backup system. */
async function afterRestore(deps: Dependencies, attempt: StepAttempt, managerId: string): Promise<StepOutcome> {
  const steps = await stepsOf(deps.db, attempt.operation.id);
  const refreshed = steps.find((step) => step.name === 'REFRESH');
  if (refreshed?.made?.referenceChanged !== true) return { skipped: 'the virtual machine kept its reference' };
  return applyAgain(deps, attempt, managerId);
}

/** Applies the schedule that the VM has, to the machine that it is now and with the offsets that are in force now. */
async function applyAgain(deps: Dependencies, attempt: StepAttempt, managerId: string): Promise<StepOutcome> {
  const existing = await existingSchedule(deps.db, attempt.vm.id, managerId);
  if (existing === undefined) return { skipped: 'the virtual machine has no backup schedule' };
  return bringSchedule(deps, attempt, managerId, existing.schedule);
}

function managerOf(input: StepInput): string {
  if (input.managerId === null) throw new Error('BACKUP_SCHEDULE needs a backup manager');
  return input.managerId;
}
