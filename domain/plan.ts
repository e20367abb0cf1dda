/**
 * The plan of an operation: which of its steps it takes, for which backup managers, and why it leaves others out.
 * @module
 */
import { OBSERVED_STEPS, type OperationKind, type OperationOrigin, STEPS, type StepName } from './operations.ts';
import { type BackupSchedule, sameSchedule } from './schedules.ts';
import { diskChanges, type Hardware, sameHardware } from './virtual-machines.ts';

/** A step of a plan; `skip` says why it is left out. */
export interface PlannedStep {
  readonly name: StepName;
  /** The backup manager that the step is about; `null` when it is about none. */
  readonly managerId: string | null;
  readonly skip: string | null;
}

/** What a plan is made from. */
export interface Intention {
  readonly kind: OperationKind;
  readonly origin: OperationOrigin;
  /** The schedules that exist in the backup systems now. */
  readonly currentSchedules: readonly BackupSchedule[];
  /** The schedules that shall exist when the operation has ended. */
  readonly desiredSchedules: readonly BackupSchedule[];
  /** RECONFIGURE only. */
  readonly hardware?: { readonly current: Hardware; readonly desired: Hardware };
  /** BACKUP and RESTORE only: the manager that does it. */
  readonly managerId?: string;
  /** BACKUP only: whether the backup is to be copied to another system. */
  readonly replication?: boolean;
  /** RESTORE only: whether the backup system makes a machine of its own instead of writing into the VM's. */
  readonly restoresAsNewMachine?: boolean;
}

/** The steps of the operation, in order. */
export function planSteps(intention: Intention): PlannedStep[] {
  const names = intention.origin === 'BACKUP_SYSTEM' ? OBSERVED_STEPS : STEPS[intention.kind];
  return names.flatMap((name) => {
    if (name === 'BACKUP_SCHEDULE') return backupScheduleSteps(intention);
    return [{ name, managerId: managerOf(name, intention), skip: skipReason(name, intention) }];
  });
}

function managerOf(name: StepName, intention: Intention): string | null {
  const managed: readonly StepName[] = ['REQUEST_BACKUP', 'REQUEST_RESTORE', 'REPLICATE'];
  return managed.includes(name) ? (intention.managerId ?? null) : null;
}

function skipReason(name: StepName, intention: Intention): string | null {
  const { kind, hardware, replication, restoresAsNewMachine } = intention;
  if (name === 'RECONFIGURE' && hardware !== undefined && sameHardware(hardware.current, hardware.desired)) {
    return 'the hardware stays as it is';
  }
  if (name === 'COMMIT_DISKS' && !hasFinalChanges(hardware)) return 'no disk grows and none is removed';
  if (name === 'REFRESH' && kind === 'SCHEDULED_BACKUP') {
    return 'a backup does not change the virtual machine';
  }
  if (name === 'REPLICATE' && replication !== true) return 'no replication was asked for';
  if (name === 'REPLACE' && restoresAsNewMachine !== true) {
    return 'the backup system restores into the virtual machine itself';
  }
  return null;
}

/** An added disk can be taken away again; a grown one cannot shrink, and what was on a deleted one is gone. */
function hasFinalChanges(hardware: Intention['hardware']): boolean {
  if (hardware === undefined) return false;
  const { grown, removed } = diskChanges(hardware.current.disks, hardware.desired.disks);
  return grown.length + removed.length > 0;
}

/** One BACKUP_SCHEDULE per manager that has or shall have a schedule; a single skipped one where there is none. */
function backupScheduleSteps(intention: Intention): PlannedStep[] {
  const current = new Map(intention.currentSchedules.map((schedule) => [schedule.managerId, schedule]));
  const desired = new Map(intention.desiredSchedules.map((schedule) => [schedule.managerId, schedule]));
  const managers = [...new Set([...current.keys(), ...desired.keys()])];
  if (managers.length === 0) {
    return [{ name: 'BACKUP_SCHEDULE', managerId: null, skip: 'the virtual machine has no backup policy' }];
  }
  return managers.map((managerId) => ({
    name: 'BACKUP_SCHEDULE',
    managerId,
    skip:
      intention.kind === 'RECONFIGURE' && sameSchedule(current.get(managerId), desired.get(managerId))
        ? 'the backup schedule stays as it is'
        : null,
  }));
}
