/**
 * Steps: each attempt is recorded by the activity that makes it, before its first effect and after its last.
 *
 * An attempt, forward or undo, begins by adding one to the step's epoch. Only the newest epoch of the run that holds
 * the operation may write to the outside or finish the step, so an old attempt that wakes up changes nothing.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import type { CompensationState, OperationError, StepName } from '../domain/operations.ts';
import type { StepMade, StepUndoInput } from './columns.ts';
import type { Queryable } from './connect.ts';
import { heldBy, NO_MANAGER } from './operations.ts';
import type { StepTable } from './schema.ts';

export type StepRow = Selectable<StepTable>;

/** Names a step of an operation. */
export interface StepKey {
  readonly operationId: string;
  readonly name: StepName;
  readonly managerId: string | null;
}

/** One attempt of one step by one run. */
export interface Attempt extends StepKey {
  readonly runId: string;
  readonly epoch: number;
}

function keyColumns(key: StepKey) {
  return { operation_id: key.operationId, name: key.name, manager_id: key.managerId ?? NO_MANAGER };
}

const DIRECTIONS = {
  forward: {
    attempts: sql<number>`attempts + 1`,
    state: 'RUNNING' as const,
    first_attempt_at: sql<Date>`coalesce(first_attempt_at, now())`,
  },
  undo: {
    compensation: 'RUNNING' as const,
    compensation_attempts: sql<number>`compensation_attempts + 1`,
    compensation_started_at: sql<Date>`coalesce(compensation_started_at, now())`,
  },
};

/** What an attempt finds. */
export interface BegunAttempt {
  /** A newer attempt has begun, or the step is being undone: this one comes too late. */
  readonly tooLate: boolean;
  readonly epoch: number;
  readonly step: StepRow;
  /**
   * Milliseconds until everything that earlier attempts were permitted to write has settled; 0 when the last of them
   * ended by its own word. Nothing may be written sooner.
   */
  readonly settlesInMs: number;
}

/**
 * Begins an attempt.
 * @param settleMs after how long a permitted write can have no further effect.
 * @returns `undefined` when the operation is closed, or is another run's by now.
 */
export async function beginAttempt(
  db: Queryable,
  key: StepKey,
  options: {
    readonly runId: string;
    readonly direction: 'forward' | 'undo';
    readonly settleMs: number;
    /** The number of the activity's attempt: one that begins late must not overtake a newer one. */
    readonly activityAttempt: number;
  },
): Promise<BegunAttempt | undefined> {
  return db.transaction().execute(async (trx) => {
    const held = await trx
      .selectFrom('operation as o')
      .select('o.id')
      .where('o.id', '=', key.operationId)
      .where(heldBy(options.runId))
      // Ordered with every other writer of this operation, so that no attempt begins while it is being finished.
      .forUpdate()
      .executeTakeFirst();
    if (held === undefined) return undefined;
    const { rows } = await sql<{ settles_in_ms: number }>`
      select case
        when attempt_ended_at is not null or write_permitted_at is null then 0
        else greatest(0, extract(epoch from write_permitted_at - now()) * 1000 + ${options.settleMs})
      end::float8 as settles_in_ms
      from step
      where operation_id = ${key.operationId} and name = ${key.name} and manager_id = ${key.managerId ?? NO_MANAGER}
    `.execute(trx);
    const settlesInMs = rows[0]?.settles_in_ms;
    if (settlesInMs === undefined) throw new Error(`operation ${key.operationId} has no step ${key.name}`);
    const before = await stepByKey(trx, key);
    if (options.direction === 'forward' && (before.state === 'DONE' || before.state === 'SKIPPED')) {
      return { epoch: before.epoch, step: before, settlesInMs: 0, tooLate: false };
    }
    const newest = options.direction === 'forward' ? before.activity_attempt : before.undo_activity_attempt;
    const undoing = options.direction === 'forward' && before.compensation !== null;
    if (undoing || options.activityAttempt < newest) {
      return { epoch: before.epoch, step: before, settlesInMs: 0, tooLate: true };
    }
    const step = await trx
      .updateTable('step')

      .set({
        ...DIRECTIONS[options.direction],
        ...(options.direction === 'forward'
          ? { activity_attempt: options.activityAttempt }
          : { undo_activity_attempt: options.activityAttempt }),
        epoch: sql<number>`epoch + 1`,
        attempt_ended_at: null,
      })
      .where((eb) => eb.and(keyColumns(key)))
      .returningAll()
      .executeTakeFirstOrThrow();
    return { epoch: step.epoch, step, settlesInMs, tooLate: false };
  });
}

function stepByKey(db: Queryable, key: StepKey): Promise<StepRow> {
  return db
    .selectFrom('step')
    .selectAll()
    .where((eb) => eb.and(keyColumns(key)))
    .executeTakeFirstOrThrow();
}

/** The rows of this attempt's step, while the attempt is the newest of the run that holds the operation. */
function mine(attempt: Attempt) {
  const { operation_id, name, manager_id } = keyColumns(attempt);
  return sql<boolean>`
    step.operation_id = ${operation_id} and step.name = ${name} and step.manager_id = ${manager_id}
    and step.epoch = ${attempt.epoch}
    and exists (
      select from operation as o
      join vm_lock as l on l.vm_id = o.vm_id and l.operation_id = o.id and l.fence = o.fence
      where o.id = step.operation_id and o.run_id = ${attempt.runId} and o.finished_at is null
    )`;
}

/**
 * Asks for permission to make one external write, and notes when it was given.
 * @returns false when the attempt may write no more: it has been overtaken, or its operation is closed.
 */
export async function permitWrite(db: Queryable, attempt: Attempt): Promise<boolean> {
  const result = await db
    .updateTable('step')
    .set({ write_permitted_at: sql<Date>`now()` })
    .where(mine(attempt))
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/**
 * Keeps what the undo needs, once: a later attempt finds the world already changed, so it reads the first answer back
 * and never replaces it.
 * @returns what is kept; `undefined` when the attempt has been overtaken.
 */
export async function keepUndoInput(
  db: Queryable,
  attempt: Attempt,
  undoInput: StepUndoInput,
): Promise<StepUndoInput | undefined> {
  const row = await db
    .updateTable('step')
    .set({ undo_input: sql<string>`coalesce(undo_input, ${JSON.stringify(undoInput)}::jsonb)` })
    .where(mine(attempt))
    .returning('undo_input')
    .executeTakeFirst();
  return row?.undo_input ?? undefined;
}

/**
 * Whether the attempt is still the newest of the run that holds the operation; if so, no other one begins before the
 * transaction ends.
 */
export async function attemptHolds(trx: Queryable, attempt: Attempt): Promise<boolean> {
  const row = await trx.selectFrom('step').select('epoch').where(mine(attempt)).forUpdate().executeTakeFirst();
  return row !== undefined;
}

/** How an attempt ended. */
export type AttemptEnd =
  | { readonly state: 'DONE'; readonly made: StepMade | null; readonly reason?: string | null }
  | { readonly state: 'SKIPPED'; readonly reason: string }
  /** `RUNNING`: it will be tried again. `settled`: nothing that was written can still take effect. */
  | { readonly state: 'FAILED' | 'RUNNING'; readonly error: OperationError; readonly settled: boolean };

/** Records how a forward attempt ended; false when it had been overtaken. */
export async function endAttempt(db: Queryable, attempt: Attempt, end: AttemptEnd): Promise<boolean> {
  const ended = end.state !== 'RUNNING';
  const settled = 'settled' in end ? end.settled : true;
  const result = await db
    .updateTable('step')
    .set({
      state: end.state,
      attempt_ended_at: settled ? sql<Date>`now()` : null,
      ...(ended ? { ended_at: sql<Date>`now()` } : {}),
      ...(end.state === 'DONE' ? { made: JSON.stringify(end.made), error: null, reason: end.reason ?? null } : {}),
      ...(end.state === 'SKIPPED' ? { reason: end.reason } : {}),
      ...('error' in end ? { error: JSON.stringify(end.error) } : {}),
    })
    .where(mine(attempt))
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Records how an undo attempt ended; `RUNNING` means that it will be tried again. False when it had been overtaken. */
export async function endUndoAttempt(
  db: Queryable,
  attempt: Attempt,
  state: CompensationState,
  error: OperationError | null,
  settled: boolean,
): Promise<boolean> {
  const result = await db
    .updateTable('step')
    .set({
      compensation: state,
      compensation_error: error === null ? null : JSON.stringify(error),
      attempt_ended_at: settled ? sql<Date>`now()` : null,
      ...(state === 'RUNNING' ? {} : { compensation_ended_at: sql<Date>`now()` }),
    })
    .where(mine(attempt))
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** The steps of an operation, in their order. */
export function stepsOf(db: Queryable, operationId: string): Promise<StepRow[]> {
  return db.selectFrom('step').selectAll().where('operation_id', '=', operationId).orderBy('position').execute();
}

/** Records how the wait for a session stands: it has no effect of its own, so it needs no attempt. */
export async function recordWatch(
  db: Queryable,
  operationId: string,
  runId: string,
  watch: { readonly state: 'RUNNING' | 'DONE' | 'FAILED'; readonly error: OperationError | null },
): Promise<void> {
  await db
    .updateTable('step')
    .set({
      state: watch.state,
      attempts: 1,
      first_attempt_at: sql<Date>`coalesce(first_attempt_at, now())`,
      ...(watch.state === 'RUNNING' ? {} : { ended_at: sql<Date>`now()` }),
      error: watch.error === null ? null : JSON.stringify(watch.error),
    })
    .where('operation_id', '=', operationId)
    .where('name', '=', 'WATCH')
    .where('state', 'in', ['PENDING', 'RUNNING'])
    .where((eb) =>
      eb.exists(eb.selectFrom('operation as o').select('o.id').where('o.id', '=', operationId).where(heldBy(runId))),
    )
    .execute();
}
