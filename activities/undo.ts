/**
 * Undoing a step: the same code for a saga that rolls back and for a recovery. Every undo accepts that its step never
 * had its effect.
 * @module
 */
import { forgetHypervisorReference, type OperationContext, rememberReference } from '../db/operation-context.ts';
import { settleSchedule } from '../db/vm-schedules.ts';
import { setOutcomeKnown } from '../db/operations.ts';
import { sessionEnded, sessionSucceeded } from '../domain/results.ts';
import type { Hardware } from '../domain/virtual-machines.ts';
import type { UndoInput } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import type { PreviousHardware } from './hypervisors/hypervisor.ts';
import { hypervisorOf, labelsOf, requestedDiskChanges } from './lifecycle.ts';
import { namingCall } from './named-writes.ts';
import { NotYet, type StepAttempt, undo } from './recorded-step.ts';
import { recordBackupOf } from './records.ts';
import { bringSchedule, protectedVm } from './schedules.ts';
import { begunBackup, LOOK_AGAIN_MS } from './sessions.ts';

/** Undoes one step of an operation. */
export function undoStep(deps: Dependencies, input: UndoInput): Promise<void> {
  return undo(deps, input, async (attempt) => {
    const hypervisor = hypervisorOf(deps, attempt);
    const { call, vm, step } = attempt;
    const before = step.undo_input;
    switch (input.name) {
      case 'REGISTER':
        await hypervisor.unregister(call, vm);
        await attempt.record((trx) => forgetHypervisorReference(trx, vm.id));
        return 'DONE';
      case 'ALLOCATE':
        await hypervisor.deallocate(call, vm);
        return 'DONE';
      case 'CONFIGURE':
        await hypervisor.destroy(call, vm);
        await attempt.record((trx) => forgetHypervisorReference(trx, vm.id));
        return 'DONE';
      case 'POWER_ON':
      case 'POWER_OFF': {
        // Kept before the first effect: without it there was none.
        if (before === null) return 'SKIPPED';
        // In a deploy the VM is about to be destroyed, which needs it off.
        if (before.power === 'ON') await hypervisor.powerOn(call, vm);
        else if (before.power === 'OFF') await hypervisor.powerOff(call, vm);
        return 'DONE';
      }
      case 'RECONFIGURE':
        if (before?.hardware === undefined) return 'SKIPPED';
        await hypervisor.putBack(call, vm, previousHardware(attempt, before.hardware));
        return 'DONE';
      case 'BACKUP_SCHEDULE':
        return undoSchedule(deps, attempt, input);
      case 'REQUEST_BACKUP':
        return stopBackup(deps, attempt);
      default:
        return 'SKIPPED';
    }
  });
}

/**
 * How a reconfigure is taken back. Only disks that it detached or added itself are touched.
 * @param before what the hypervisor had before the step's first effect.
 */
export function previousHardware(context: OperationContext, { cpu, memoryMiB, disks }: Hardware): PreviousHardware {
  const { added, removed } = requestedDiskChanges(context);
  const before = labelsOf(disks);
  return {
    cpu,
    memoryMiB,
    attach: labelsOf(removed).filter((label) => before.includes(label)),
    remove: labelsOf(added).filter((label) => !before.includes(label)),
  };
}

/** Puts the previous schedule back, or removes the new one where there was none. */
async function undoSchedule(deps: Dependencies, attempt: StepAttempt, input: UndoInput): Promise<'DONE' | 'SKIPPED'> {
  const before = attempt.step.undo_input;
  if (before === null || input.managerId === null) return 'SKIPPED';
  if (before.schedule === null || before.schedule === undefined) {
    const manager = await deps.managers.connect(input.managerId);
    const vm = await protectedVm(deps, attempt, input.managerId);
    const call = namingCall(deps, attempt, input.managerId);
    await manager.system.removeSchedule(call, vm, attempt.step.made?.scheduleRef ?? undefined);
    return 'DONE';
  }
  const outcome = await bringSchedule(deps, attempt, input.managerId, before.schedule);
  const { managerId } = input;
  if ('made' in outcome) {
    const { made, reference } = outcome;
    await attempt.record(async (trx) => {
      await settleSchedule(trx, attempt.operation, managerId, made);
      if (reference !== undefined) await rememberReference(trx, reference);
    });
  }
  return 'DONE';
}

/**
 * Stops the backup that the step began, and waits until its end is on record: it may have been made all the same, and
 * then the operation has not been undone.
 */
async function stopBackup(deps: Dependencies, attempt: StepAttempt): Promise<'DONE' | 'SKIPPED'> {
  const session = await begunBackup(deps, attempt);
  if (session === undefined) return 'SKIPPED';
  if (sessionEnded(session.state)) {
    if (sessionSucceeded(session.state)) {
      // As when the backup is recorded in its turn: one that cannot be looked at now follows with the next sync.
      await recordBackupOf(deps, attempt.call, session, attempt.operation.enterprise_id).catch((error: unknown) =>
        deps.logger.warn({ err: error, operationId: attempt.operation.id }, 'the backup could not be looked at'),
      );
    }
    return 'SKIPPED';
  }
  const known = session.state !== 'UNKNOWN';
  await setOutcomeKnown(deps.db, attempt.operation.id, known, 'nobody can say what became of the backup');
  const { system, name } = await deps.managers.connect(session.manager_id);
  if (known) await system.cancel(attempt.call, session.vendor_session_id);
  throw new NotYet(`${name} is stopping the backup`, LOOK_AGAIN_MS);
}
