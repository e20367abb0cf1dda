/**
 * The end of an operation: outcome, VM, lock, residue and events, in one transaction. Either all of it is there or the
 * operation is still open.
 * @module
 */
import { sql } from 'kysely';
import { errorDefinition, isErrorCode } from '../domain/errors.ts';
import { OPERATION_ACTIONS, type Severity } from '../domain/events.ts';
import type { OperationError, TerminalState } from '../domain/operations.ts';
import { sessionSucceeded } from '../domain/results.ts';
import { type Database, plannedOnce, type Queryable } from './connect.ts';
import { recordOperationEvent } from './events.ts';
import { closeIntents } from './intents.ts';
import { heldBy, NO_MANAGER, type OperationRow, sentenceStart } from './operations.ts';
import { clearResidue, isLeftover, type NamedResidue, nameResidue, recordResidue } from './residue.ts';
import { sessionOfOperation } from './sessions.ts';
import { endInterruptedSteps, stepsOf } from './steps.ts';
import { vmAfter } from './vm-after.ts';
import { markUncertain, refreshIsSettled, settleSchedule } from './vm-schedules.ts';

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
      const outcome = await trueOutcome(trx, operation, ending);
      const error = trueError(operation, outcome, ending.error);
      await closeOperation(trx, operation, { outcome, error }, false);
      return outcome;
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

/** What the run could not know when it began to give up: a cancel that came later, a backup that was made all the same. */
async function trueOutcome(trx: Queryable, operation: OperationRow, ending: Ending): Promise<TerminalState> {
  const { outcome } = ending;
  if (outcome === 'ROLLED_BACK' && operation.cancel_requested_at !== null) return 'CANCELLED';
  if (operation.kind !== 'BACKUP' || (outcome !== 'CANCELLED' && ending.error?.code !== 'RUN_LOST')) return outcome;
  const session = await sessionOfOperation(trx, operation.id);
  return session !== undefined && sessionSucceeded(session.state) ? 'SUCCEEDED' : outcome;
}

/** A cancel says who wished it; what ended well has no error. */
function trueError(operation: OperationRow, outcome: TerminalState, error: OperationError | null) {
  if (outcome === 'SUCCEEDED') return null;
  const by = operation.cancel_requested_by;
  return error?.code === 'CANCELLED' && by !== null ? { ...error, message: `${by} cancelled it` } : error;
}

/**
 * Ends an operation that no run has ever taken up, and that nobody expects any more: nothing of it was begun.
 * @returns false when a run has taken it up in the meantime, or it has ended.
 */
export async function abandonOperation(db: Database, operationId: string, error: OperationError): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const operation = await trx
      .selectFrom('operation')
      .selectAll()
      .where('id', '=', operationId)
      .where('finished_at', 'is', null)
      .where('run_id', 'is', null)
      .where('recovery', '=', 0)
      .forUpdate()
      .executeTakeFirst();
    if (operation === undefined) return false;
    await closeOperation(trx, operation, { outcome: 'FAILED', error }, false);
    return true;
  });
}

/**
 * Closes an operation whose row the caller has locked: the VM, its schedules, the lock, what is left behind and the
 * events become what its end makes of them.
 * @param abandoned no run has undone what it had begun: whatever was begun is left behind.
 */
export async function closeOperation(
  trx: Queryable,
  operation: OperationRow,
  ending: Omit<Ending, 'operationId' | 'unlessCancelled'>,
  abandoned: boolean,
): Promise<void> {
  const { outcome, error } = ending;
  // What a start that nobody looks for any more has left is adopted when it turns up.
  await closeIntents(trx, operation.id);
  const steps = await stepsOf(trx, operation.id);
  const vm = await trx
    .selectFrom('virtual_machine as vm')
    .innerJoin('datacenter as dc', 'dc.id', 'vm.datacenter_id')
    .select(['vm.id', 'vm.name', 'vm.state', 'dc.name as datacenter_name'])
    .where('vm.id', '=', operation.vm_id)
    .modifyEnd(plannedOnce)
    .executeTakeFirstOrThrow();
  const left = steps.filter((step) => isLeftover(step, operation, outcome, abandoned, steps));
  const residue = await nameResidue(trx, operation, vm, left, steps);

  await trx
    .updateTable('operation')
    .set({
      state: outcome,
      error: error === null ? null : JSON.stringify(error),
      finished_at: sql<Date>`now()`,
      ...(outcome === 'SUCCEEDED' ? { progress: 100 } : {}),
      ...attentionAfter(operation, outcome, residue),
    })
    .where('id', '=', operation.id)
    .modifyEnd(plannedOnce)
    .execute();
  await trx
    .updateTable('virtual_machine')
    .set({
      ...vmAfter(operation, vm.state, outcome, steps, residue),
      updated_at: sql<Date>`now()`,
      version: sql<number>`version + 1`,
    })
    .where('id', '=', vm.id)
    .modifyEnd(plannedOnce)
    .execute();
  for (const step of steps) {
    if (step.name !== 'BACKUP_SCHEDULE' || step.state !== 'DONE' || step.manager_id === NO_MANAGER) continue;
    if (step.compensation !== null || left.includes(step)) continue;
    await settleSchedule(trx, operation, step.manager_id, step.made);
    if (operation.kind !== 'DEPLOY') await refreshIsSettled(trx, vm.id, step.manager_id);
  }
  await markUncertain(
    trx,
    vm.id,
    left.filter((step) => step.name === 'BACKUP_SCHEDULE').map((step) => step.manager_id),
  );
  await clearResidue(trx, operation, steps, outcome);
  await recordResidue(trx, operation, residue);
  await trx
    .updateTable('vm_lock')
    .set({ operation_id: null, kind: null, reason: null, since: null })
    .where('vm_id', '=', vm.id)
    .where('operation_id', '=', operation.id)
    .modifyEnd(plannedOnce)
    .execute();
  if (steps.some((step) => step.state === 'RUNNING')) await endInterruptedSteps(trx, operation.id, error);
  await recordEnd(trx, operation, vm, ending, residue);
}

/** Whether a person is needed when the operation has ended. Nobody waits for a refresh, so nobody would see it fail. */
function attentionAfter({ kind }: OperationRow, outcome: TerminalState, residue: readonly NamedResidue[]) {
  const reason =
    residue.length > 0
      ? 'something was left behind'
      : kind === 'SCHEDULE_REFRESH' && outcome !== 'SUCCEEDED'
        ? 'the backup schedule could not be refreshed'
        : null;
  return { needs_attention: reason !== null, attention_reason: reason };
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
  ending: Pick<Ending, 'outcome' | 'error'>,
  residue: readonly NamedResidue[],
): Promise<void> {
  const what = `${sentenceStart(operation.kind)} of ${vm.name}`;
  const why =
    ending.error !== null
      ? `: ${titleOf(ending.error.code)}: ${ending.error.message}`
      : operation.settlement !== null
        ? `, as ${operation.settlement.by} decided: ${operation.settlement.reason}`
        : '';
  const left = residue.length === 0 ? '' : ` Left behind: ${residue.map((item) => item.description).join('; ')}.`;
  const session = await trx
    .selectFrom('session')
    .select(['vendor_session_id', 'vendor_backup_id', 'size_bytes', 'message', 'started_at', 'ended_at'])
    .where('operation_id', '=', operation.id)
    .where('kind', '<>', 'REPLICATION')
    .orderBy('created_at', 'desc')
    .limit(1)
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  await recordOperationEvent(trx, operation, {
    action: OPERATION_ACTIONS[operation.kind].end,
    severity: SEVERITY[ending.outcome],
    message: `${what} ended ${ending.outcome}${why.replace(/\.?$/, '.')}${left}`,
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
