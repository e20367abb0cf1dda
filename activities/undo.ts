/**
 * Undoing a step: the same code for a saga that rolls back and for a recovery. Every undo accepts that its step never
 * had its effect.
 * @module
 */
import { closeIntents } from '../db/intents.ts';
import { forgetHypervisorReference } from '../db/operation-context.ts';
import { settleSchedule } from '../db/finish.ts';
import { sessionOfOperation } from '../db/sessions.ts';
import { sessionEnded } from '../domain/results.ts';
import type { UndoInput } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import { hypervisorOf } from './lifecycle.ts';
import { type StepAttempt, undo } from './recorded-step.ts';
import { bringSchedule, protectedVm } from './schedules.ts';

/** Undoes one step of an operation. */
export function undoStep(deps: Dependencies, input: UndoInput): Promise<void> {
  return undo(deps, input, async (attempt) => {
    const hypervisor = hypervisorOf(deps, attempt);
    const { call, vm, step } = attempt;
    const before = step.undo_input;
    switch (input.name) {
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
        await hypervisor.reconfigure(call, vm, before.hardware);
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

/** Puts the previous schedule back, or removes the new one where there was none. */
async function undoSchedule(deps: Dependencies, attempt: StepAttempt, input: UndoInput): Promise<'DONE' | 'SKIPPED'> {
  const before = attempt.step.undo_input;
  if (before === null || input.managerId === null) return 'SKIPPED';
  if (before.schedule === null || before.schedule === undefined) {
    const manager = await deps.managers.connect(input.managerId);
    const vm = await protectedVm(deps, attempt, input.managerId);
    await manager.system.removeSchedule(attempt.call, vm, attempt.step.made?.scheduleRef ?? undefined);
    return 'DONE';
  }
  const outcome = await bringSchedule(deps, attempt, input.managerId, before.schedule);
  const { managerId } = input;
  if ('made' in outcome) {
    const { made } = outcome;
    await attempt.record((trx) => settleSchedule(trx, attempt.operation, managerId, made));
  }
  return 'DONE';
}

/** Stops the backup that the step began; an end that came first is fine. */
async function stopBackup(deps: Dependencies, attempt: StepAttempt): Promise<'DONE' | 'SKIPPED'> {
  const session = await sessionOfOperation(deps.db, attempt.operation.id);
  if (session === undefined) {
    // A start that was claimed and never found may still appear; the watcher adopts it then, so nothing is lost.
    await closeIntents(deps.db, attempt.operation.id);
    return 'SKIPPED';
  }
  if (sessionEnded(session.state)) return 'SKIPPED';
  const manager = await deps.managers.connect(session.manager_id);
  await manager.system.cancel(attempt.call, session.vendor_session_id);
  return 'DONE';
}
