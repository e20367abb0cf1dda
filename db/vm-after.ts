/**
 * What the end of an operation makes of its VM: the state, and the hardware that is believed.
 * @module
 */
import { sql, type UpdateObject } from 'kysely';
import type { StepName, TerminalState } from '../domain/operations.ts';
import type { VmState } from '../domain/virtual-machines.ts';
import type { StepMade } from './columns.ts';
import type { OperationRow } from './operations.ts';
import type { NamedResidue } from './residue.ts';
import type { DB } from './schema.ts';
import type { StepRow } from './steps.ts';

/** What the operation's end makes of the VM's row. */
export function vmAfter(
  operation: OperationRow,
  before: VmState,
  outcome: TerminalState,
  steps: readonly StepRow[],
  residue: readonly NamedResidue[],
): UpdateObject<DB, 'virtual_machine'> {
  const { kind, desired } = operation;
  // One that could not be registered has never been here.
  if (kind === 'REGISTER' && outcome !== 'SUCCEEDED') return { deleted_at: sql<Date>`now()` };
  const seen = seenVm(operation, outcome, steps);
  // Past its point of no return a reconfigure that failed has its new policies; its hardware is as it was seen.
  const kept = outcome === 'SUCCEEDED' || (kind === 'RECONFIGURE' && operation.point_of_no_return_at !== null);
  const hardware = seen?.hardware ?? (outcome === 'SUCCEEDED' ? desired.hardware : undefined);
  return {
    state: stateAfter(operation, before, outcome, steps, residue, seen),
    ...(hardware === undefined
      ? {}
      : { cpu: hardware.cpu, memory_mib: hardware.memoryMiB, disks: JSON.stringify(hardware.disks) }),
    ...(kept && desired.backupPolicies !== undefined
      ? { backup_policies: JSON.stringify(desired.backupPolicies) }
      : {}),
  };
}

/** What the hypervisor showed of the VM in the course of the operation, where that is how it is now. */
function seenVm(operation: OperationRow, outcome: TerminalState, steps: readonly StepRow[]): StepMade | undefined {
  const looked = steps.find(({ name, state }) => LOOKING_STEPS.includes(name) && state === 'DONE');
  if (looked?.made?.power !== undefined) return looked.made;
  // A run that was lost may have looked and given up, and its recovery have gone on.
  const gaveUp = operation.kind === 'RECONFIGURE' && outcome !== 'SUCCEEDED';
  return gaveUp ? (operation.seen ?? undefined) : undefined;
}

/** Steps that look at the VM and write down what it is like. */
const LOOKING_STEPS: readonly StepName[] = ['REGISTER', 'REFRESH', 'CLEAN_HYPERVISOR'];

/** The state of the VM once the operation has ended. Leftovers in the hypervisor make it `UNKNOWN`. */
function stateAfter(
  { kind }: OperationRow,
  before: VmState,
  outcome: TerminalState,
  steps: readonly StepRow[],
  residue: readonly NamedResidue[],
  seen: StepMade | undefined,
): VmState {
  // What was looked at is known, whatever is left beside it.
  if (seen?.power !== undefined) return seen.power;
  if (residue.some((left) => left.system === 'HYPERVISOR')) return 'UNKNOWN';
  if (kind === 'RESTORE' && before !== 'NOT_ALLOCATED' && isGone(steps)) return 'UNKNOWN';
  if (kind === 'CLEANUP') {
    const removed = steps.some(
      (step) => step.name === 'CLEAN_HYPERVISOR' && step.state === 'DONE' && step.made === null,
    );
    return removed ? 'NOT_ALLOCATED' : before;
  }
  if (outcome !== 'SUCCEEDED') return before;
  switch (kind) {
    case 'DEPLOY':
    case 'POWER_ON':
      return 'ON';
    case 'POWER_OFF':
      return 'OFF';
    case 'UNDEPLOY':
      return 'NOT_ALLOCATED';
    default:
      return before;
  }
}

/** Whether the look after a restore found no machine that is the VM. */
function isGone(steps: readonly StepRow[]): boolean {
  const refreshed = steps.find(({ name }) => name === 'REFRESH');
  if (refreshed?.state === 'DONE') return refreshed.made === null;
  return refreshed?.state === 'FAILED' && refreshed.error?.code === 'HYPERVISOR_VM_NOT_FOUND';
}
