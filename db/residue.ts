/**
 * What operations leave behind: named when they end, cleared by the operation that removes or adopts it.
 * @module
 */
import { sql } from 'kysely';
import type { Residue, StepName, TerminalState } from '../domain/operations.ts';
import { residueOf } from '../domain/residue.ts';
import type { Queryable } from './connect.ts';
import { currentHypervisorRef } from './operation-context.ts';
import type { OperationRow } from './operations.ts';
import type { StepRow } from './steps.ts';

/** A leftover, and the step that left it. */
export interface NamedResidue extends Residue {
  readonly step: StepName;
  readonly managerId: string | null;
}

/** Whether a step leaves something behind, given how its operation ends. */
export function isLeftover(
  step: StepRow,
  operation: OperationRow,
  outcome: TerminalState,
  abandoned: boolean,
  steps: readonly StepRow[],
): boolean {
  // Also where the operation ended before it was begun: the machine has been superseded all the same.
  if (step.name === 'REPLACE') {
    return step.state !== 'DONE' && step.state !== 'SKIPPED' && leftMachines(steps).length > 0;
  }
  if (step.compensation === 'FAILED') return true;
  const begun = step.attempts > 0 && step.state !== 'SKIPPED';
  const undone = step.compensation === 'DONE' || step.compensation === 'SKIPPED';
  if (!begun || undone) return false;
  // A schedule that was finished stands where the VM's row keeps what it belongs to.
  if (step.name === 'BACKUP_SCHEDULE' && step.state === 'DONE' && keepsSchedules(operation, outcome)) return false;
  if (abandoned && outcome !== 'SUCCEEDED') return true;
  // Nobody knows what became of a schedule that was begun and not finished, however well the rest has ended.
  // A refresh that was never allowed to write has left the schedule as it was.
  if (step.name === 'BACKUP_SCHEDULE') {
    const untouched = operation.kind === 'SCHEDULE_REFRESH' && step.write_permitted_at === null;
    return step.state !== 'DONE' && !untouched;
  }
  // Past the point of no return nothing is undone: what refused to go forward is left.
  return operation.point_of_no_return_at !== null && step.state === 'FAILED';
}

/**
 * A restore and a refresh put the schedule back that the VM has; past its point of no return an operation takes nothing
 * back.
 */
function keepsSchedules({ kind, point_of_no_return_at: crossedAt }: OperationRow, outcome: TerminalState): boolean {
  return outcome === 'SUCCEEDED' || crossedAt !== null || kind === 'RESTORE' || kind === 'SCHEDULE_REFRESH';
}

/** What the hypervisor calls the machines that a restore may have left beside the VM, by its steps. */
export function leftMachines(steps: readonly StepRow[]): readonly string[] {
  const found = steps.find(({ name }) => name === 'REPLACE')?.undo_input?.machines ?? [];
  const superseded = steps.find(({ name }) => name === 'REFRESH')?.made?.superseded;
  return [...new Set([...(superseded === undefined ? [] : [superseded]), ...found])];
}

/** Names what these steps of an operation have left behind. */
export async function nameResidue(
  trx: Queryable,
  operation: Pick<OperationRow, 'id' | 'kind'>,
  vm: { readonly id: string; readonly name: string; readonly datacenter_name: string },
  left: readonly StepRow[],
  steps: readonly StepRow[],
): Promise<NamedResidue[]> {
  if (left.length === 0) return [];
  const hypervisorRef = await currentHypervisorRef(trx, vm.id);
  const managers = await trx
    .selectFrom('backup_manager')
    .select(['id', 'name'])
    .where(
      'id',
      'in',
      left.map((step) => step.manager_id),
    )
    .execute();
  return left.flatMap((step) => {
    const manager = managers.find(({ id }) => id === step.manager_id);
    const residue = residueOf(step.name, {
      operationId: operation.id,
      kind: operation.kind,
      vmId: vm.id,
      vmName: vm.name,
      datacenterName: vm.datacenter_name,
      hypervisorRef,
      managerName: manager?.name ?? null,
      vendorRef: step.made?.scheduleRef?.vmRef ?? null,
      leftMachines: leftMachines(steps),
    });
    return residue === null ? [] : [{ ...residue, step: step.name, managerId: manager?.id ?? null }];
  });
}

/** Writes down what the operation has left behind. */
export async function recordResidue(
  trx: Queryable,
  operation: Pick<OperationRow, 'id' | 'vm_id'>,
  residue: readonly NamedResidue[],
): Promise<void> {
  if (residue.length === 0) return;
  await trx
    .insertInto('residue')
    .values(
      residue.map((item) => ({
        operation_id: operation.id,
        vm_id: operation.vm_id,
        system: item.system,
        system_name: item.systemName,
        ref: item.ref,
        description: item.description,
        remove_with: item.removeWith,
        step: item.step,
        manager_id: item.managerId,
      })),
    )
    .execute();
}

/** Which leftovers of a VM are cleared: those for which everything that is named is so. */
interface Cleared {
  readonly system?: Residue['system'];
  readonly steps?: readonly StepName[];
  /** All but what these steps left. */
  readonly exceptSteps?: readonly StepName[];
  readonly managerId?: string;
  readonly operationId?: string;
}

/** A machine beside the VM does not go with the VM: only a cleanup of its own removes it. */
const WITH_THE_VM: Cleared = { system: 'HYPERVISOR', exceptSteps: ['REPLACE'] };

/** Clears what an operation that ends has removed, or has made part of the VM again; what it could not do stays. */
export async function clearResidue(
  trx: Queryable,
  operation: OperationRow,
  steps: readonly StepRow[],
  outcome: TerminalState,
): Promise<void> {
  const cleared = operation.kind === 'CLEANUP' ? byCleanup(operation, steps) : byAdoption(operation, steps, outcome);
  for (const which of cleared) await clear(trx, operation, which);
}

/** Each step of a cleanup counts, however the others ended. */
function byCleanup(operation: OperationRow, steps: readonly StepRow[]): Cleared[] {
  const operationId = operation.request.cleansUp ?? '';
  return steps.flatMap((step): Cleared[] => {
    if (step.state !== 'DONE' && step.state !== 'SKIPPED') return [];
    if (step.name === 'CLEAN_BACKUP_SYSTEM') return [{ operationId, managerId: step.manager_id }];
    // With the VM goes whatever any operation had left of it.
    const gone = step.state === 'DONE' && step.made === null;
    return gone ? [WITH_THE_VM] : [{ system: 'HYPERVISOR', operationId }];
  });
}

/**
 * An operation that has made the VM, or made it be gone, has dealt with what earlier ones had left. A reconfigure has
 * not: a disk that another one could not delete still lies there, detached.
 */
function byAdoption(operation: OperationRow, steps: readonly StepRow[], outcome: TerminalState): Cleared[] {
  if (outcome !== 'SUCCEEDED') return [];
  const done = (name: StepName) => steps.filter((step) => step.name === name && step.state === 'DONE');
  return [
    ...(operation.kind === 'DEPLOY' || operation.kind === 'UNDEPLOY' ? [WITH_THE_VM] : []),
    ...done('BACKUP_SCHEDULE').map(({ manager_id: managerId }): Cleared => ({ steps: ['BACKUP_SCHEDULE'], managerId })),
  ];
}

/** An operation of which nothing is left any more needs nobody's attention. */
async function clear(trx: Queryable, operation: OperationRow, which: Cleared): Promise<void> {
  const { system, steps, exceptSteps, managerId, operationId } = which;
  const rows = await trx
    .updateTable('residue')
    .set({ cleared_at: sql<Date>`now()`, cleared_by: operation.id })
    .where('vm_id', '=', operation.vm_id)
    .where('cleared_at', 'is', null)
    .$if(system !== undefined, (q) => q.where('system', '=', system as Residue['system']))
    .$if(steps !== undefined, (q) => q.where('step', 'in', steps as readonly StepName[]))
    .$if(exceptSteps !== undefined, (q) => q.where('step', 'not in', exceptSteps as readonly StepName[]))
    .$if(managerId !== undefined, (q) => q.where('manager_id', '=', managerId as string))
    .$if(operationId !== undefined, (q) => q.where('operation_id', '=', operationId as string))
    .returning('operation_id')
    .execute();
  if (rows.length === 0) return;
  await trx
    .updateTable('operation as o')
    .set({ needs_attention: false, attention_reason: null })
    .where(
      'o.id',
      'in',
      rows.map((row) => row.operation_id),
    )
    .where('o.finished_at', 'is not', null)
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
    .execute();
}
