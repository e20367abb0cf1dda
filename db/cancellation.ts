/**
 * Cancelling an operation. The database decides, once and for everybody who asks; what the answer promises, the
 * operation's run keeps.
 * @module
 */
import { sql } from 'kysely';
import { kindSlug, type OperationError } from '../domain/operations.ts';
import { backupPluginType } from '../domain/plugin-types.ts';
import { sessionEnded } from '../domain/results.ts';
import type { Database, Queryable } from './connect.ts';
import { recordOperationEvent } from './events.ts';
import { closeOperation } from './finish.ts';
import { lockOperation, type OperationRow, sentenceStart } from './operations.ts';
import { sessionOfOperation } from './sessions.ts';
import { vmName } from './virtual-machines.ts';

/** What may be done about a wish to cancel. */
export type CancelDecision = 'PREVENTED' | 'ROLLING_BACK' | 'TOO_LATE';

/** What a person who wants to cancel is told. */
export interface CancelAnswer {
  readonly decision: CancelDecision | 'CANCEL_NOT_SUPPORTED';
  /** A sentence that says why, and what will be. */
  readonly reason: string;
}

/**
 * Decides on the wish of a run that was cancelled from outside, through the Temporal UI or its API. Such a run has
 * left its story, or stands where it can still be stopped.
 * @returns `ROLLING_BACK` when it has to undo everything, `TOO_LATE` when it has to go on; `undefined` when the
 * operation is another run's by now.
 */
export async function decideCancel(
  db: Database,
  operationId: string,
  runId: string,
  by: string,
): Promise<CancelDecision | undefined> {
  const answer = await db.transaction().execute(async (trx) => {
    const operation = await lockOperation(trx, operationId, null);
    return operation === undefined || operation.run_id !== runId ? undefined : decide(trx, operation, by, true);
  });
  return answer?.decision === 'CANCEL_NOT_SUPPORTED' ? 'TOO_LATE' : answer?.decision;
}

/**
 * Decides on a person's wish. An operation that no run has taken up ends here and now, as `CANCELLED`.
 * @param tenant whose operations may be cancelled; `null`: everybody's.
 * @returns the answer, and the run that has to hear of it; `undefined` when there is no such operation.
 */
export async function cancelOperation(
  db: Database,
  wish: { readonly operationId: string; readonly tenant: string | null; readonly by: string },
): Promise<
  (CancelAnswer & { readonly run: { readonly workflowId: string; readonly runId: string } | null }) | undefined
> {
  return db.transaction().execute(async (trx) => {
    const operation = await lockOperation(trx, wish.operationId, wish.tenant);
    if (operation === undefined) return undefined;
    const answer = await decide(trx, operation, wish.by, false);
    const { workflow_id: workflowId, run_id: runId, finished_at: finishedAt } = operation;
    const tell = answer.decision === 'ROLLING_BACK' && finishedAt === null && runId !== null;
    return { ...answer, run: tell ? { workflowId, runId } : null };
  });
}

async function decide(trx: Queryable, operation: OperationRow, by: string, byItsRun: boolean): Promise<CancelAnswer> {
  const begun = operation.run_id !== null || operation.recovery > 0;
  if (operation.cancel_requested_at !== null) return promised(operation, begun);
  if (operation.finished_at !== null) return tooLate(`The operation has ended ${operation.state}.`);
  if (operation.settlement !== null) {
    return tooLate(`${operation.settlement.by} has decided that the operation ends ${operation.settlement.outcome}.`);
  }
  if (operation.point_of_no_return_at !== null) {
    return tooLate('The operation is past its point of no return: it goes forward until it is done.');
  }
  if (operation.origin === 'BACKUP_SYSTEM') {
    return notSupported('It began in the backup system, not in Holdfast: stop it there.');
  }
  if (!begun) return prevent(trx, operation, by);
  if (!byItsRun && (await isBeingUndone(trx, operation.id))) {
    return { decision: 'ROLLING_BACK', reason: 'It failed and is being undone already; it ends as that undo does.' };
  }
  const obstacle = await obstacleTo(trx, operation, byItsRun);
  if (obstacle !== null) return obstacle;
  await promise(trx, operation, by);
  return rollingBack(operation);
}

/** Ends an operation that has not begun: a run that comes later finds it closed and does nothing. */
async function prevent(trx: Queryable, operation: OperationRow, by: string): Promise<CancelAnswer> {
  await promise(trx, operation, by);
  const error: OperationError = { code: 'CANCELLED', message: `${by} cancelled it before it had begun` };
  await closeOperation(trx, operation, { outcome: 'CANCELLED', error }, false);
  return PREVENTED;
}

/** What keeps an operation that has begun from being stopped. */
async function obstacleTo(trx: Queryable, operation: OperationRow, byItsRun: boolean): Promise<CancelAnswer | null> {
  switch (operation.kind) {
    case 'RESTORE': {
      // Its run knows that it will not begin the restore any more; nobody else does.
      if (byItsRun && !(await hasTakenAStep(trx, operation.id))) return null;
      return notSupported('A restore that is stopped half way leaves a virtual machine that is neither.');
    }
    case 'CLEANUP':
      return notSupported('A cleanup that is stopped leaves behind what it was to clear.');
    case 'SCHEDULE_REFRESH':
      return notSupported('A refresh applies the schedule that is there already: there is nothing to go back to.');
    case 'BACKUP':
      return obstacleToStopBackup(trx, operation, byItsRun);
    default:
      return null;
  }
}

async function obstacleToStopBackup(
  trx: Queryable,
  operation: OperationRow,
  byItsRun: boolean,
): Promise<CancelAnswer | null> {
  const manager = await trx
    .selectFrom('backup_manager')
    .select(['name', 'type'])
    .where('id', '=', operation.request.managerId ?? null)
    .executeTakeFirst();
  if (manager !== undefined && backupPluginType(manager.type)?.operations.cancel === false) {
    return notSupported(`${manager.name} cannot stop a backup that has begun.`);
  }
  const session = await sessionOfOperation(trx, operation.id);
  if (!byItsRun && session !== undefined && sessionEnded(session.state)) {
    return tooLate('The backup system has finished the backup.');
  }
  return null;
}

async function isBeingUndone(trx: Queryable, operationId: string): Promise<boolean> {
  const step = await trx
    .selectFrom('step')
    .select('name')
    .where('operation_id', '=', operationId)
    .where('compensation', 'is not', null)
    .executeTakeFirst();
  return step !== undefined;
}

async function hasTakenAStep(trx: Queryable, operationId: string): Promise<boolean> {
  const step = await trx
    .selectFrom('step')
    .select('name')
    .where('operation_id', '=', operationId)
    .where('attempts', '>', 0)
    .executeTakeFirst();
  return step !== undefined;
}

async function promise(trx: Queryable, operation: OperationRow, by: string): Promise<void> {
  await trx
    .updateTable('operation')
    .set({ cancel_requested_at: sql<Date>`now()`, cancel_requested_by: by })
    .where('id', '=', operation.id)
    .execute();
  await recordOperationEvent(trx, operation, {
    action: 'CANCEL_REQUESTED',
    severity: 'INFO',
    message: `A cancel of the ${kindSlug(operation.kind)} of ${await vmName(trx, operation.vm_id)} was asked for by ${by}.`,
    principal: by,
  });
}

const PREVENTED: CancelAnswer = {
  decision: 'PREVENTED',
  reason: 'The operation had not begun: nothing was done, and nothing will be.',
};

function rollingBack({ kind, state }: OperationRow): CancelAnswer {
  if (state === 'UNKNOWN_OUTCOME') {
    const reason =
      'Nobody can say now whether the backup runs. It is stopped as soon as the backup system says; until then the ' +
      'virtual machine stays locked, unless an operator settles the operation.';
    return { decision: 'ROLLING_BACK', reason };
  }
  const reason =
    kind === 'BACKUP'
      ? 'The backup system is asked to stop the backup; the operation will say what became of it.'
      : `${sentenceStart(kind)} that has begun is undone; it ends CANCELLED when all of it is.`;
  return { decision: 'ROLLING_BACK', reason };
}

/** The answer that the wish got the first time, with what has become of it since. */
function promised(operation: OperationRow, begun: boolean): CancelAnswer {
  if (!begun) return PREVENTED;
  if (operation.finished_at === null) return rollingBack(operation);
  return { decision: 'ROLLING_BACK', reason: `The operation was asked to stop, and has ended ${operation.state}.` };
}

function tooLate(reason: string): CancelAnswer {
  return { decision: 'TOO_LATE', reason };
}

function notSupported(reason: string): CancelAnswer {
  return { decision: 'CANCEL_NOT_SUPPORTED', reason };
}
