/**
 * Settling: an operator decides how an operation ends whose outcome nobody can find out. The decision takes effect as
 * soon as nothing that the operation was permitted to write can still have one.
 * @module
 */
import { sql } from 'kysely';
import { HoldfastError } from '../domain/errors.ts';
import { kindSlug, type OperationError } from '../domain/operations.ts';
import type { Settlement } from './columns.ts';
import type { Database, Queryable } from './connect.ts';
import { recordOperationEvent } from './events.ts';
import { closeOperation } from './finish.ts';
import { lockOperation, type OperationRow } from './operations.ts';
import { stepsOf } from './steps.ts';
import { vmName } from './virtual-machines.ts';

/** An operation that has been at one thing for so long may be settled. Milliseconds. */
export const SETTLEABLE_AFTER_MS = 3_600_000;

/** How an operator wants an operation to end. */
export interface SettlementWish {
  readonly operationId: string;
  /** Whose operations may be settled; `null`: everybody's. */
  readonly tenant: string | null;
  readonly outcome: Settlement['outcome'];
  readonly reason: string;
  readonly by: string;
}

/**
 * Writes down how the operation shall end. From then on it is no run's any more: a run that still works on it ends
 * `FENCED`. The same wish again changes nothing.
 * @returns false when there is no such operation.
 * @throws HoldfastError OPERATION_ENDED, OPERATION_SETTLED, OPERATION_NOT_SETTLEABLE.
 */
export async function requestSettlement(db: Database, wish: SettlementWish): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const operation = await lockOperation(trx, wish.operationId, wish.tenant);
    if (operation === undefined) return false;
    if (isSettledAs(operation, wish)) return true;
    await requireSettleable(trx, operation);
    if (wish.outcome === 'SUCCEEDED') await requirePossible(trx, operation);
    await settle(trx, operation, wish);
    return true;
  });
}

/** Whether the same was decided before. @throws HoldfastError OPERATION_SETTLED when something else was. */
function isSettledAs({ settlement, finished_at: finishedAt, state }: OperationRow, wish: SettlementWish): boolean {
  if (settlement?.outcome === wish.outcome) return true;
  if (finishedAt !== null) {
    throw new HoldfastError('OPERATION_ENDED', `The operation has ended ${state}: there is nothing to settle.`, {
      state,
    });
  }
  if (settlement === null) return false;
  throw new HoldfastError(
    'OPERATION_SETTLED',
    `${settlement.by} has decided that the operation ends ${settlement.outcome}; that stands.`,
  );
}

async function requireSettleable(trx: Queryable, operation: OperationRow): Promise<void> {
  if (operation.state === 'UNKNOWN_OUTCOME') return;
  const since = await stuckSince(trx, operation.id);
  if (since?.due === true) return;
  const when =
    since === undefined
      ? 'It is not stuck at anything now.'
      : `It can be settled from ${since.at.toISOString()} on, if it has not ended by then.`;
  throw new HoldfastError(
    'OPERATION_NOT_SETTLEABLE',
    `The operation is ${operation.state} and can still find out how it ends. ${when}`,
    { state: operation.state, ...(since === undefined ? {} : { settleableAt: since.at.toISOString() }) },
  );
}

/** Refuses a success of which the record says that it cannot be. */
async function requirePossible(trx: Queryable, operation: OperationRow): Promise<void> {
  const known = await knownAgainst(trx, operation);
  if (known === undefined) return;
  throw new HoldfastError(
    'OPERATION_NOT_SETTLEABLE',
    `The operation cannot have succeeded: ${known}. It can be settled as FAILED.`,
    { state: operation.state },
  );
}

/**
 * What the record says against a success. What follows a session cannot have begun while nobody knows how the session
 * ended, so it says nothing; past the point of no return of an undeploy only what is left of the VM is removed.
 */
async function knownAgainst(trx: Queryable, operation: OperationRow): Promise<string | undefined> {
  const { kind } = operation;
  const steps = await stepsOf(trx, operation.id);
  const undone = steps.find((step) => step.compensation !== null);
  if (undone !== undefined) return `the undo of ${undone.name} has begun`;
  const failed = steps.find((step) => step.state === 'FAILED' && !maySucceedWithout(step.name));
  if (failed !== undefined) return `${failed.name} has failed`;
  if (kind === 'UNDEPLOY') {
    return operation.point_of_no_return_at === null ? 'nothing of the virtual machine was removed' : undefined;
  }
  const watch = steps.findIndex((step) => step.name === 'WATCH');
  const pending = steps.slice(0, watch === -1 ? steps.length : watch).find((step) => step.state === 'PENDING');
  return pending === undefined ? undefined : `${pending.name} was never begun`;

  /** An undeploy with force, or a restore, goes on past a schedule and leaves it behind. */
  function maySucceedWithout(name: string): boolean {
    return name === 'BACKUP_SCHEDULE' && (kind === 'UNDEPLOY' || kind === 'RESTORE');
  }
}

/**
 * Since when the operation has been at the same thing, by the database's clock: trying a step or its undo, or waiting
 * for a session of which nothing is heard. A session that is heard of is no trouble, however long it lasts.
 */
async function stuckSince(trx: Queryable, operationId: string): Promise<{ at: Date; due: boolean } | undefined> {
  const { rows } = await sql<{ at: Date | null; due: boolean }>`
    select at, at <= now() as due from (
      select min(since) + ${SETTLEABLE_AFTER_MS} * interval '1 millisecond' as at from (
        select compensation_started_at as since from step
          where operation_id = ${operationId} and compensation = 'RUNNING'
        union all
        select first_attempt_at from step
          where operation_id = ${operationId} and state = 'RUNNING' and compensation is null and name <> 'WATCH'
        union all
        select last_seen_at from session
          where operation_id = ${operationId} and state in ('RUNNING', 'UNKNOWN')
      ) as trouble
    ) as earliest`.execute(trx);
  const [row] = rows;
  return row === undefined || row.at === null ? undefined : { at: row.at, due: row.due };
}

async function settle(trx: Queryable, operation: OperationRow, wish: SettlementWish): Promise<void> {
  const { outcome, reason, by } = wish;
  await trx
    .updateTable('operation')
    .set({
      settlement: sql<string>`jsonb_build_object(
        'outcome', ${outcome}::text, 'reason', ${reason}::text, 'by', ${by}::text,
        'at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`,
    })
    .where('id', '=', operation.id)
    .execute();
  await recordOperationEvent(trx, operation, {
    action: 'SETTLE_REQUESTED',
    severity: 'WARN',
    message: `${by} decided that the ${kindSlug(operation.kind)} of ${await vmName(trx, operation.vm_id)} ends ${outcome}: ${reason}`,
    principal: by,
    details: { outcome, reason },
  });
}

/**
 * Ends an operation as it was settled, unless something that it was permitted to write can still take effect.
 * @param settleMs after how long a permitted write can have no further effect.
 * @returns whether it has ended; if not, ask again later.
 */
export async function trySettle(db: Database, operationId: string, settleMs: number): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const operation = await lockOperation(trx, operationId, null);
    if (operation === undefined || operation.finished_at !== null) return true;
    const { settlement } = operation;
    if (settlement === null || !(await everythingSettled(trx, operationId, settleMs))) return false;
    await closeOperation(trx, operation, { outcome: settlement.outcome, error: errorOf(settlement) }, true);
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

function errorOf({ outcome, reason, by }: Settlement): OperationError | null {
  return outcome === 'SUCCEEDED' ? null : { code: 'OPERATION_SETTLED', message: `${by} decided so: ${reason}` };
}

/** Operations that were settled and have not ended yet. */
export async function unsettledOperations(db: Queryable): Promise<string[]> {
  const rows = await db
    .selectFrom('operation')
    .select('id')
    .where('settlement', 'is not', null)
    .where('finished_at', 'is', null)
    .orderBy('created_at')
    .execute();
  return rows.map((row) => row.id);
}
