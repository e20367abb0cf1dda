/**
 * The end of an operation: outcome, VM, lock, residue and events, in one transaction. Either all of it is there or the
 * operation is still open.
 * @module
 */
import { sql } from 'kysely';
import { errorDefinition, isErrorCode } from '../domain/errors.ts';
import { OPERATION_ACTIONS, type Severity } from '../domain/events.ts';
import type { OperationError, OperationKind, Residue, TerminalState } from '../domain/operations.ts';
import { residueOf } from '../domain/residue.ts';
import type { VmState } from '../domain/virtual-machines.ts';
import type { Database, Queryable } from './connect.ts';
import { recordEvent } from './events.ts';
import { closeIntents } from './intents.ts';
import { currentHypervisorRef } from './operation-context.ts';
import { heldBy, NO_MANAGER, type OperationRow, sentenceStart } from './operations.ts';
import { type StepRow, stepsOf } from './steps.ts';

/** How an operation ends. */
export interface Ending {
  readonly operationId: string;
  readonly outcome: TerminalState;
  readonly error: OperationError | null;
  /** Refuses to end it as SUCCEEDED when a cancel was promised in the meantime. */
  readonly unlessCancelled: boolean;
}

/**
 * Ends an operation for the run that holds it. The same run may ask again after a lost answer.
 * @returns the state that the operation ended in; `null` when a cancel was promised and it has to be rolled back;
 * `undefined` when it is not this run's to end.
 */
export async function finishOperation(
  db: Database,
  runId: string,
  ending: Ending,
): Promise<TerminalState | null | undefined> {
  return db.transaction().execute(async (trx) => {
    const operation = await trx
      .selectFrom('operation as o')
      .selectAll('o')
      .where('o.id', '=', ending.operationId)
      .where(heldBy(runId))
      .forUpdate()
      .executeTakeFirst();
    if (operation !== undefined) {
      const promised = operation.cancel_requested_at !== null && ending.unlessCancelled;
      if (promised && ending.outcome === 'SUCCEEDED') return null;
      await close(trx, operation, ending, false);
      return ending.outcome;
    }
    const done = await trx
      .selectFrom('operation')
      .select('state')
      .where('id', '=', ending.operationId)
      .where('run_id', '=', runId)
      .where('finished_at', 'is not', null)
      .executeTakeFirst();
    return done?.state as TerminalState | undefined;
  });
}

/**
 * Ends an operation that no run will end: it could not be started, or its run was lost. Every step that was begun and
 * not undone is named as residue.
 * @param expectedRunId the run that was found lost; `null`: none was ever bound. With another one nothing is changed.
 *
 * The fence grows first: an activity of the lost run that is still at work may write nothing more. The lock is freed
 * only when nothing that it was permitted to write can still take effect.
 * @param settleMs after how long a permitted write can have no further effect.
 * @returns whether this call ended it; false also while a write may still be on its way: ask again later.
 */
export async function abandonOperation(
  db: Database,
  operationId: string,
  expectedRunId: string | null,
  error: OperationError,
  settleMs: number,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const operation = await trx
      .selectFrom('operation as o')
      .selectAll('o')
      .where('o.id', '=', operationId)
      .where('o.finished_at', 'is', null)
      .where('o.run_id', expectedRunId === null ? 'is' : '=', expectedRunId)
      .forUpdate()
      .executeTakeFirst();
    if (operation === undefined) return false;
    if (!(await everythingSettled(trx, operationId, settleMs))) return false;
    await close(trx, operation, { operationId, outcome: 'FAILED', error, unlessCancelled: false }, true);
    return true;
  });
}

/** Whether no step of the operation has a write under way. From the first question on no step may begin another one. */
async function everythingSettled(trx: Queryable, operationId: string, settleMs: number): Promise<boolean> {
  // The newest epoch belongs to nobody now, so no attempt gets a permission any more.
  await trx
    .updateTable('step')
    .set({ epoch: sql<number>`epoch + 1` })
    .where('operation_id', '=', operationId)
    .execute();
  const unsettled = await trx
    .selectFrom('step')
    .select('name')
    .where('operation_id', '=', operationId)
    .where('attempt_ended_at', 'is', null)
    .where('write_permitted_at', '>', sql<Date>`now() - ${settleMs} * interval '1 millisecond'`)
    .executeTakeFirst();
  return unsettled === undefined;
}

async function close(trx: Queryable, operation: OperationRow, ending: Ending, abandoned: boolean): Promise<void> {
  // What a start that nobody looks for any more has left is adopted when it turns up.
  await closeIntents(trx, operation.id);
  const steps = await stepsOf(trx, operation.id);
  const vm = await trx
    .selectFrom('virtual_machine as vm')
    .innerJoin('datacenter as dc', 'dc.id', 'vm.datacenter_id')
    .select(['vm.id', 'vm.name', 'vm.state', 'dc.name as datacenter_name'])
    .where('vm.id', '=', operation.vm_id)
    .executeTakeFirstOrThrow();
  const left = steps.filter((step) => isLeftover(step, operation, ending.outcome, abandoned));
  const residue = await findResidue(trx, vm, left);
  const state = vmStateAfter(operation.kind, vm.state, ending.outcome, steps, residue);

  await trx
    .updateTable('operation')
    .set({
      state: ending.outcome,
      error: ending.error === null ? null : JSON.stringify(ending.error),
      finished_at: sql<Date>`now()`,
      ...(ending.outcome === 'SUCCEEDED' ? { progress: 100 } : {}),
      needs_attention: residue.length > 0,
      attention_reason: residue.length > 0 ? 'something was left behind' : null,
    })
    .where('id', '=', operation.id)
    .execute();
  await trx
    .updateTable('virtual_machine')
    .set({ state, updated_at: sql<Date>`now()`, version: sql<number>`version + 1` })
    .where('id', '=', vm.id)
    .execute();
  if (ending.outcome === 'SUCCEEDED') {
    await applyDesired(trx, operation, steps);
    if (operation.kind === 'UNDEPLOY') await clearResidue(trx, operation, steps);
  }
  await trx
    .updateTable('vm_lock')
    .set({ operation_id: null, kind: null, reason: null, since: null })
    .where('vm_id', '=', vm.id)
    .where('operation_id', '=', operation.id)
    .execute();
  await markUncertain(trx, vm.id, left);
  for (const item of residue) {
    await trx
      .insertInto('residue')
      .values({
        operation_id: operation.id,
        vm_id: vm.id,
        system: item.system,
        system_name: item.systemName,
        ref: item.ref,
        description: item.description,
        remove_with: item.removeWith,
      })
      .execute();
  }
  await recordEnd(trx, operation, vm, ending, residue);
}

/** The state of the VM once the operation has ended. Leftovers in the hypervisor make it `UNKNOWN`: undeploy helps. */
function vmStateAfter(
  kind: OperationKind,
  before: VmState,
  outcome: TerminalState,
  steps: readonly StepRow[],
  residue: readonly Residue[],
): VmState {
  if (residue.some((left) => left.system === 'HYPERVISOR')) return 'UNKNOWN';
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
      // A restore may have left the VM in another power state: REFRESH saw it.
      return steps.find((step) => step.name === 'REFRESH')?.made?.power ?? before;
  }
}

/** The VM's row and its schedules become what the operation was to make of them. */
async function applyDesired(trx: Queryable, operation: OperationRow, steps: readonly StepRow[]): Promise<void> {
  const hardware = steps.find((step) => step.name === 'REFRESH')?.made?.hardware ?? operation.desired.hardware;
  const { backupPolicies } = operation.desired;
  if (hardware !== undefined || backupPolicies !== undefined) {
    await trx
      .updateTable('virtual_machine')
      .set({
        ...(hardware === undefined
          ? {}
          : { cpu: hardware.cpu, memory_mib: hardware.memoryMiB, disks: JSON.stringify(hardware.disks) }),
        ...(backupPolicies === undefined ? {} : { backup_policies: JSON.stringify(backupPolicies) }),
      })
      .where('id', '=', operation.vm_id)
      .execute();
  }
  for (const step of steps) {
    if (step.name !== 'BACKUP_SCHEDULE' || step.state !== 'DONE' || step.manager_id === NO_MANAGER) continue;
    await settleSchedule(trx, operation, step.manager_id, step.made);
  }
}

/** Writes down which schedule now exists in a backup system for the VM, or that none does. */
export async function settleSchedule(
  trx: Queryable,
  operation: Pick<OperationRow, 'id' | 'vm_id'>,
  managerId: string,
  made: StepRow['made'],
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
    .execute();
}

/** A schedule of which nobody knows what became is not taken for one that protects the VM. */
async function markUncertain(trx: Queryable, vmId: string, left: readonly StepRow[]): Promise<void> {
  const managerIds = left.filter((step) => step.name === 'BACKUP_SCHEDULE').map((step) => step.manager_id);
  if (managerIds.length === 0) return;
  await trx
    .updateTable('vm_schedule')
    .set({ uncertain: true })
    .where('vm_id', '=', vmId)
    .where('manager_id', 'in', managerIds)
    .execute();
}

/** An undeploy that has ended well has removed what earlier operations had to leave of the VM. */
async function clearResidue(trx: Queryable, operation: OperationRow, steps: readonly StepRow[]): Promise<void> {
  const managerIds = steps.filter((step) => step.name === 'BACKUP_SCHEDULE').map((step) => step.manager_id);
  const managers = trx.selectFrom('backup_manager').select('name').where('id', 'in', managerIds);
  await trx
    .updateTable('residue')
    .set({ cleared_at: sql<Date>`now()`, cleared_by: `operation ${operation.id}` })
    .where('vm_id', '=', operation.vm_id)
    .where('cleared_at', 'is', null)
    .where((eb) => eb.or([eb('system', '=', 'HYPERVISOR'), eb('system_name', 'in', managers)]))
    .execute();
}

async function findResidue(
  trx: Queryable,
  vm: { readonly id: string; readonly name: string; readonly datacenter_name: string },
  left: readonly StepRow[],
): Promise<Residue[]> {
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
    const residue = residueOf(step.name, {
      vmId: vm.id,
      vmName: vm.name,
      datacenterName: vm.datacenter_name,
      hypervisorRef,
      managerName: managers.find((manager) => manager.id === step.manager_id)?.name ?? null,
      vendorRef: step.made?.scheduleRef?.vmRef ?? null,
    });
    return residue === null ? [] : [residue];
  });
}

/** Whether a step leaves something behind, given how its operation ends. */
function isLeftover(step: StepRow, operation: OperationRow, outcome: TerminalState, abandoned: boolean): boolean {
  if (step.compensation === 'FAILED') return true;
  const begun = step.attempts > 0 && step.state !== 'SKIPPED';
  const undone = step.compensation === 'DONE' || step.compensation === 'SKIPPED';
  if (abandoned) return begun && !undone;
  // A restore is not failed by a schedule that could not be put back.
  if (outcome === 'SUCCEEDED') return step.name === 'BACKUP_SCHEDULE' && step.state === 'FAILED';
  // Past the point of no return nothing is undone: what refused to go forward is left.
  return operation.point_of_no_return_at !== null && step.state === 'FAILED';
}

const SEVERITY: Readonly<Record<TerminalState, Severity>> = {
  SUCCEEDED: 'INFO',
  CANCELLED: 'WARN',
  ROLLED_BACK: 'ERROR',
  ROLLED_BACK_WITH_RESIDUE: 'ERROR',
  FAILED: 'ERROR',
};

async function recordEnd(
  trx: Queryable,
  operation: OperationRow,
  vm: { readonly id: string; readonly name: string },
  ending: Ending,
  residue: readonly Residue[],
): Promise<void> {
  const what = `${sentenceStart(operation.kind)} of ${vm.name}`;
  const why = ending.error === null ? '' : `: ${titleOf(ending.error.code)}: ${ending.error.message}`;
  const left = residue.length === 0 ? '' : ` Left behind: ${residue.map((item) => item.description).join('; ')}.`;
  const session = await trx
    .selectFrom('session')
    .select(['vendor_session_id', 'vendor_backup_id', 'size_bytes', 'message', 'started_at', 'ended_at'])
    .where('operation_id', '=', operation.id)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  await recordEvent(trx, {
    entity: 'VIRTUAL_MACHINE',
    action: OPERATION_ACTIONS[operation.kind].end,
    severity: SEVERITY[ending.outcome],
    message: `${what} ended ${ending.outcome}${why}${why === '' ? '.' : ''}${left}`,
    enterpriseId: operation.enterprise_id,
    datacenterId: operation.datacenter_id,
    vmId: vm.id,
    entityId: vm.id,
    operationId: operation.id,
    errorCode: ending.error?.code ?? null,
    principal: operation.requested_by,
    details: {
      outcome: ending.outcome,
      ...(session === undefined ? {} : { session }),
      ...(residue.length === 0 ? {} : { residue }),
      ...(ending.error?.vendorMessage === undefined ? {} : { vendorMessage: ending.error.vendorMessage }),
    },
  });
}

function titleOf(code: string): string {
  return isErrorCode(code) ? errorDefinition(code).title.toLowerCase() : code;
}
