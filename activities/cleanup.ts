/**
 * Clearing what an earlier operation had to leave behind. Whatever has become part of the VM since is left alone.
 * @module
 */
import {
  type CleanedOperation,
  cleanedOperation,
  leftoversOf,
  promisedSchedule,
  reconfigureToUndo,
} from '../db/cleanup.ts';
import {
  existingSchedule,
  forgetHypervisorReference,
  operationContext,
  rememberReference,
} from '../db/operation-context.ts';
import { stepsOf } from '../db/steps.ts';
import { settleSchedule } from '../db/vm-schedules.ts';
import { HoldfastError } from '../domain/errors.ts';
import { wayOfCleaning } from '../domain/residue.ts';
import { type Hardware, onlyDisks } from '../domain/virtual-machines.ts';
import type { StepActivities, StepInput } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import { hypervisorOf, labelsOf } from './lifecycle.ts';
import { ensureNoSession, runningSession } from './observations.ts';
import { forward, type StepAttempt, type StepOutcome } from './recorded-step.ts';
import { removeLeftMachines } from './restored-machine.ts';
import { bringSchedule } from './schedules.ts';
import { previousHardware } from './undo.ts';

const OWNED: StepOutcome = { skipped: 'the virtual machine was deployed or in use since and owns it by now' };
const GONE: StepOutcome = { skipped: 'the hypervisor has no such virtual machine any more' };

/** The activities of CLEAN_HYPERVISOR and CLEAN_BACKUP_SYSTEM. */
export function cleanupActivities(deps: Dependencies): Pick<StepActivities, 'cleanHypervisor' | 'cleanBackupSystem'> {
  return {
    cleanHypervisor: (input) =>
      forward(deps, 'CLEAN_HYPERVISOR', input, async (attempt) => {
        const cleaned = await cleanedOperation(deps.db, attempt.operation);
        const left = await leftoversOf(deps.db, cleaned.operation.id);
        if (left.some(({ step }) => step === 'REPLACE')) {
          await ensureNoSession(deps, input);
          return removeLeftMachines(deps, attempt, cleaned.operation.id);
        }
        switch (wayFor(attempt, cleaned)) {
          case 'OWNED':
            return OWNED;
          case 'REMOVE':
            return remove(deps, attempt, input);
          case 'RELEASE':
            return release(deps, attempt);
          case 'MEND':
            return mend(deps, attempt, input, cleaned);
        }
      }),

    cleanBackupSystem: (input) =>
      forward(deps, 'CLEAN_BACKUP_SYSTEM', input, (attempt) => cleanBackupSystem(deps, attempt, input)),
  };
}

function wayFor({ vm }: StepAttempt, { operation, since }: CleanedOperation) {
  const left = {
    kind: operation.kind,
    crossed: operation.point_of_no_return_at !== null,
    deployedSince: since.deployed,
    usedSince: since.used,
  };
  return wayOfCleaning(left, vm.state);
}

/** Takes away what is left of a VM that shall not be there. */
async function remove(deps: Dependencies, attempt: StepAttempt, input: StepInput): Promise<StepOutcome> {
  await ensureNoSession(deps, input);
  const hypervisor = hypervisorOf(deps, attempt);
  const { call, vm } = attempt;
  const found = await hypervisor.inspect(call, vm);
  if (found?.power === 'ON') await hypervisor.powerOff(call, vm);
  await hypervisor.destroy(call, vm);
  await attempt.record((trx) => forgetHypervisorReference(trx, vm.id));
  await hypervisor.deallocate(call, vm);
  return { made: null, reason: 'what was left of the virtual machine was removed' };
}

/** Gives back a machine that was to be registered, as it is. */
async function release(deps: Dependencies, attempt: StepAttempt): Promise<StepOutcome> {
  await hypervisorOf(deps, attempt).unregister(attempt.call, attempt.vm);
  await attempt.record((trx) => forgetHypervisorReference(trx, attempt.vm.id));
  return { made: null, reason: 'the machine bears no mark any more' };
}

/** Puts a VM in order that shall be there, and takes over what it is like then. */
async function mend(
  deps: Dependencies,
  attempt: StepAttempt,
  input: StepInput,
  cleaned: CleanedOperation,
): Promise<StepOutcome> {
  const hypervisor = hypervisorOf(deps, attempt);
  const { call, vm } = attempt;
  const before = await hypervisor.inspect(call, vm);
  if (before === undefined) return GONE;
  await mendHardware(deps, attempt, before.hardware, input, cleaned);
  const found = await hypervisor.inspect(call, vm);
  if (found === undefined) return GONE;
  const { ref, power } = found;
  await attempt.record((trx) =>
    rememberReference(trx, { vmId: vm.id, system: 'HYPERVISOR', systemId: attempt.datacenter.id, ref }),
  );
  const other = await reconfigureToUndo(deps.db, vm.id, cleaned.operation.id);
  if (vm.state === 'UNKNOWN' && other !== undefined) {
    // In the row a disk that is to be attached again would be missing for good.
    return {
      made: { hypervisorRef: ref },
      reason: `the hardware is still to be put back: clean up operation ${other}`,
    };
  }
  const hardware = onlyDisks(found.hardware, namedDisks(attempt, cleaned));
  return { made: { hypervisorRef: ref, hardware, power } };
}

/** A disk that neither the row nor the reconfigure names is somebody else's: in the row it could be asked away. */
function namedDisks({ vm }: StepAttempt, { operation, since }: CleanedOperation): string[] {
  const desired =
    operation.kind === 'RECONFIGURE' && !since.hardwareSet ? operation.desired.hardware?.disks : undefined;
  return labelsOf([...vm.hardware.disks, ...(desired ?? [])]);
}

/**
 * A reconfigure that was to be undone is undone, unless the hardware was set since: then it counts. Of one that was
 * past its point of no return only the disks are deleted that it detached and that have stayed so.
 */
async function mendHardware(
  deps: Dependencies,
  attempt: StepAttempt,
  found: Hardware,
  input: StepInput,
  { operation, since }: CleanedOperation,
): Promise<void> {
  if (operation.kind !== 'RECONFIGURE') return;
  const hypervisor = hypervisorOf(deps, attempt);
  const { call, vm } = attempt;
  if (operation.point_of_no_return_at !== null) {
    const attached = new Set(labelsOf(found.disks));
    // Until something else sets it the row may still be the one from before the reconfigure.
    const owned = new Set(since.hardwareSet || vm.state !== 'UNKNOWN' ? labelsOf(vm.hardware.disks) : []);
    const remove = (operation.request.removedDisks ?? []).filter((label) => !attached.has(label) && !owned.has(label));
    if (remove.length === 0) return;
    await ensureNoSession(deps, input);
    await hypervisor.commitDisks(call, vm, { grow: [], remove });
    return;
  }
  if (vm.state !== 'UNKNOWN' || since.hardwareSet) return;
  const step = (await stepsOf(deps.db, operation.id)).find(({ name }) => name === 'RECONFIGURE');
  const before = step?.undo_input?.hardware;
  if (before === undefined) return;
  await ensureNoSession(deps, input);
  // Nothing has set the row since, so it still tells what the reconfigure was to change.
  const context = await operationContext(deps.db, operation.id);
  await hypervisor.putBack(call, vm, previousHardware(context, before));
}

async function cleanBackupSystem(deps: Dependencies, attempt: StepAttempt, input: StepInput): Promise<StepOutcome> {
  const { managerId } = input;
  if (managerId === null) throw new Error('CLEAN_BACKUP_SYSTEM needs a backup manager');
  const cleaned = await cleanedOperation(deps.db, attempt.operation);
  const left = (await leftoversOf(deps.db, cleaned.operation.id)).filter(
    (leftover) => leftover.managerId === managerId,
  );
  if (left.some(({ step }) => step !== 'BACKUP_SCHEDULE')) await ensureNothingRuns(deps, attempt, managerId);
  if (left.every(({ step }) => step !== 'BACKUP_SCHEDULE')) {
    return { made: null, reason: 'nothing of it is running any more' };
  }
  const existing = await existingSchedule(deps.db, attempt.vm.id, managerId);
  if (existing?.uncertain === false) return { skipped: 'the virtual machine owns its schedule there by now' };
  const wanted = (await isThere(deps, attempt, cleaned))
    ? await promisedSchedule(deps.db, cleaned.operation, managerId)
    : undefined;
  const outcome = await bringSchedule(deps, attempt, managerId, wanted);
  if ('made' in outcome) {
    const { made } = outcome;
    await attempt.record((trx) => settleSchedule(trx, attempt.operation, managerId, made));
  }
  return outcome;
}

async function ensureNothingRuns(deps: Dependencies, attempt: StepAttempt, managerId: string): Promise<void> {
  const running = await runningSession(deps, attempt.operation.id, attempt.vm.id, managerId, true);
  if (running === undefined) return;
  const { name } = await deps.managers.connect(managerId);
  throw new HoldfastError(
    'VM_BEING_BACKED_UP',
    `${name} is working on ${attempt.vm.name} (session ${running}). Clean up again when it has ended.`,
  );
}

/** Whether there is a VM that a schedule could protect, now that the hypervisor was cleaned. */
async function isThere(deps: Dependencies, attempt: StepAttempt, cleaned: CleanedOperation): Promise<boolean> {
  const steps = await stepsOf(deps.db, attempt.operation.id);
  const hypervisor = steps.find((step) => step.name === 'CLEAN_HYPERVISOR');
  // A machine beside the VM was removed: that says nothing of the VM.
  if (hypervisor?.state === 'DONE' && hypervisor.made?.superseded === undefined) return hypervisor.made !== null;
  return attempt.vm.state !== 'NOT_ALLOCATED' && wayFor(attempt, cleaned) !== 'REMOVE';
}
