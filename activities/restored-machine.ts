/**
 * What a restore made of a VM. A backup system either writes into the VM's machine, or makes a machine of its own: then
 * that one becomes the VM, and the one that was it is removed. Exactly one machine is left, and it is the restored one.
 * @module
 */
import { rememberReference } from '../db/operation-context.ts';
import { leftMachines } from '../db/residue.ts';
import { type SessionRow, sessionOfOperation } from '../db/sessions.ts';
import { stepsOf } from '../db/steps.ts';
import { refreshAtOnce } from '../db/vm-schedules.ts';
import { HoldfastError } from '../domain/errors.ts';
import { sessionSucceeded } from '../domain/results.ts';
import type { Hardware } from '../domain/virtual-machines.ts';
import type { StepActivities } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import { hypervisorOf, labelsOf } from './lifecycle.ts';
import { forward, type StepAttempt, type StepOutcome } from './recorded-step.ts';

/** The activities of REFRESH and REPLACE. */
export function restoredMachineActivities(deps: Dependencies): Pick<StepActivities, 'refreshVm' | 'replaceVm'> {
  return {
    refreshVm: (input) => forward(deps, 'REFRESH', input, (attempt) => refresh(deps, attempt)),
    replaceVm: (input) => forward(deps, 'REPLACE', input, (attempt) => replace(deps, attempt)),
  };
}

/** The machines that bear the VM's mark before a restore: one that bears it afterwards and is not among them is new. */
export async function markedMachines(deps: Dependencies, attempt: StepAttempt): Promise<string[]> {
  const machines = await hypervisorOf(deps, attempt).machinesOf(attempt.call, attempt.vm);
  return machines.map(({ ref }) => ref);
}

async function refresh(deps: Dependencies, attempt: StepAttempt): Promise<StepOutcome> {
  const hypervisor = hypervisorOf(deps, attempt);
  const { call, vm, operation } = attempt;
  // Before the first effect: a later attempt finds the VM under its new reference.
  const { hypervisorRef: before = null } = await attempt.keepForUndo({ hypervisorRef: vm.hypervisorRef });
  const session = await sessionOfOperation(deps.db, operation.id);
  const restored = session?.kind === 'RESTORE' && sessionSucceeded(session.state);
  const isOurs = operation.origin === 'HOLDFAST';
  if (restored && isOurs) await takeOverOurs(deps, attempt, session, before);
  // A VM that was not there is not deployed by a restore: what was restored of it is somebody's at the console.
  if (restored && !isOurs && before !== null) await takeOverFromConsole(deps, attempt, session);
  const found = await hypervisor.inspect(call, vm);
  if (found === undefined) {
    const reason = 'the hypervisor has no such virtual machine any more';
    if (restored && isOurs) throw new HoldfastError('HYPERVISOR_VM_NOT_FOUND', `after the restore ${reason}`);
    return { made: null, reason };
  }
  const { ref, hardware, power } = found;
  const referenceChanged = before !== ref;
  await attempt.record(async (trx) => {
    await rememberReference(trx, { vmId: vm.id, system: 'HYPERVISOR', systemId: attempt.datacenter.id, ref });
    // An observed restore has no step that would put the schedule on the new machine.
    if (referenceChanged && !isOurs) await refreshAtOnce(trx, vm.id);
  });
  const superseded = referenceChanged && isOurs && before !== null ? { superseded: before } : {};
  const made = { hypervisorRef: ref, hardware, power, referenceChanged, ...superseded };
  const beside = restored && !isOurs ? (await markedMachines(deps, attempt)).filter((other) => other !== ref) : [];
  if (beside.length === 0) return { made };
  return { made, reason: `${beside.join(', ')} bears the mark of ${vm.name} too and was left alone` };
}

/** Our own restore: the machine that it made becomes the VM. */
async function takeOverOurs(
  deps: Dependencies,
  attempt: StepAttempt,
  session: SessionRow,
  before: string | null,
): Promise<void> {
  const told = session.restored_vm_ref;
  if (told !== null) return told === before ? undefined : takeOver(deps, attempt, told);
  const steps = await stepsOf(deps.db, attempt.operation.id);
  const known = steps.find(({ name }) => name === 'REQUEST_RESTORE')?.undo_input?.machines;
  if (known === undefined) return;
  const isNew = (ref: string): boolean => ref !== before && !known.includes(ref);
  const [machine, ...others] = (await markedMachines(deps, attempt)).filter(isNew);
  if (machine !== undefined && others.length === 0) return takeOver(deps, attempt, machine);
  const why = machine === undefined ? 'none is new' : `${[machine, ...others].join(', ')} are new`;
  throw await unclear(deps, attempt, `of the machines that bear the mark of ${attempt.vm.name} ${why}`);
}

/**
 * A restore at the backup system's console. Whoever began it may want both machines: while the VM is there it stays
 * the VM. Where the restore has taken its place, the one machine that can be meant becomes the VM.
 */
async function takeOverFromConsole(deps: Dependencies, attempt: StepAttempt, session: SessionRow): Promise<void> {
  if ((await hypervisorOf(deps, attempt).inspect(attempt.call, attempt.vm)) !== undefined) return;
  const machines = session.restored_vm_ref === null ? await markedMachines(deps, attempt) : [session.restored_vm_ref];
  const [machine, ...others] = machines;
  if (machine !== undefined && others.length === 0) await takeOver(deps, attempt, machine);
}

async function takeOver(deps: Dependencies, attempt: StepAttempt, ref: string): Promise<void> {
  try {
    await hypervisorOf(deps, attempt).takeOver(attempt.call, attempt.vm, ref);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    throw await unclear(deps, attempt, error.message);
  }
}

/** What a restore ends with whose machine cannot be told; it says whether the VM is still there. */
async function unclear(deps: Dependencies, attempt: StepAttempt, why: string): Promise<HoldfastError> {
  const { call, vm } = attempt;
  const found = await hypervisorOf(deps, attempt).inspect(call, vm);
  const how = found === undefined ? 'is not there any more' : `is ${found.ref} as before`;
  const code = found === undefined ? 'HYPERVISOR_VM_NOT_FOUND' : 'RESTORED_VM_UNCLEAR';
  return new HoldfastError(code, `nobody can tell which machine was restored: ${why}; ${vm.name} ${how}`);
}

/**
 * Removes what the restore has superseded, once the restored machine was looked at. What a failed restore has left is
 * only named: nobody knows what it is good for.
 */
async function replace(deps: Dependencies, attempt: StepAttempt): Promise<StepOutcome> {
  const hypervisor = hypervisorOf(deps, attempt);
  const { call, vm, operation } = attempt;
  const steps = await stepsOf(deps.db, operation.id);
  const refreshed = steps.find(({ name }) => name === 'REFRESH')?.made;
  const superseded = refreshed?.superseded;
  if (superseded === undefined) return nameHalfMade(deps, attempt);
  const isThere = (await markedMachines(deps, attempt)).includes(superseded);
  const { machines = [] } = await attempt.keepForUndo({ machines: isThere ? [superseded] : [] });
  const restored = isThere ? await hypervisor.inspect(call, vm) : undefined;
  if (isThere && !(restored?.ref === refreshed?.hypervisorRef && hasDisksOf(restored?.hardware, refreshed?.hardware))) {
    throw new HoldfastError(
      'RESTORED_VM_UNCLEAR',
      `${refreshed?.hypervisorRef} is not there with the disks that it was restored with; ${superseded} was not removed`,
    );
  }
  const removed = await hypervisor.removeSuperseded(call, vm, superseded);
  if (!removed && machines.length === 0) {
    return { skipped: `the backup system has put the restored machine in the place of ${superseded} itself` };
  }
  return { made: { superseded } };
}

function hasDisksOf(found: Hardware | undefined, wanted: Hardware | undefined): boolean {
  const labels = labelsOf(found?.disks ?? []);
  const expected = labelsOf(wanted?.disks ?? []);
  return expected.length > 0 && expected.every((label) => labels.includes(label));
}

/** A restore that superseded nothing: it was made into the VM itself, or it failed and may have left half a machine. */
async function nameHalfMade(deps: Dependencies, attempt: StepAttempt): Promise<StepOutcome> {
  const session = await sessionOfOperation(deps.db, attempt.operation.id);
  if (session === undefined || sessionSucceeded(session.state)) return { skipped: 'the restore superseded no machine' };
  const steps = await stepsOf(deps.db, attempt.operation.id);
  const before = steps.find(({ name }) => name === 'REQUEST_RESTORE')?.undo_input?.machines ?? [];
  const machines = await hypervisorOf(deps, attempt).machinesOf(attempt.call, attempt.vm);
  const left = machines.filter(({ ref, isVm }) => !isVm && !before.includes(ref)).map(({ ref }) => ref);
  const { machines: kept = [] } = await attempt.keepForUndo({ machines: left });
  if (kept.length === 0) return { skipped: 'the restore failed and left no machine' };
  throw new HoldfastError('RESTORED_VM_UNCLEAR', `the restore failed and has left ${kept.join(', ')}`);
}

/**
 * Removes what a restore had to leave beside the VM. What has become a VM since, or bears the mark no more, is not ours.
 * @param operationId the restore.
 */
export async function removeLeftMachines(
  deps: Dependencies,
  attempt: StepAttempt,
  operationId: string,
): Promise<StepOutcome> {
  const hypervisor = hypervisorOf(deps, attempt);
  const leftAlone: string[] = [];
  const refs = leftMachines(await stepsOf(deps.db, operationId));
  for (const ref of refs) {
    try {
      await hypervisor.removeSuperseded(attempt.call, attempt.vm, ref);
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === 'HYPERVISOR_VM_IN_USE')) throw error;
      leftAlone.push(error.message);
    }
  }
  const made = { superseded: refs.join(', ') };
  return leftAlone.length === 0 ? { made } : { made, reason: leftAlone.join('; ') };
}
