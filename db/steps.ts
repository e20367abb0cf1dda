/**
 * Steps: each attempt is recorded by the activity that makes it, before its first effect and after its last.
 *
 * An attempt, forward or undo, begins by adding one to the step's epoch. Only the newest epoch of the run that holds
 * the operation may write to the outside or finish the step, so an old attempt that wakes up changes nothing.
 * @module
 */
import { type ExpressionBuilder, type QueryCreator, type Selectable, sql } from 'kysely';
import type { CompensationState, OperationError, StepName } from '../domain/operations.ts';
import type { StepMade, StepUndoInput } from './columns.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import { rememberReference, type VmReference } from './operation-context.ts';
import { heldBy, isHeldBy, NO_MANAGER } from './operations.ts';
import type { DB, StepTable } from './schema.ts';

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

const STEP_COLUMNS = [
  'step.activity_attempt',
  'step.attempt_ended_at',
  'step.attempts',
  'step.compensation',
  'step.compensation_attempts',
  'step.compensation_ended_at',
  'step.compensation_error',
  'step.compensation_started_at',
  'step.ended_at',
  'step.epoch',
  'step.error',
  'step.first_attempt_at',
  'step.made',
  'step.manager_id',
  'step.name',
  'step.operation_id',
  'step.position',
  'step.reason',
  'step.state',
  'step.undo_activity_attempt',
  'step.undo_input',
  'step.write_permitted_at',
] as const;

function keyColumns(key: StepKey) {
  return { operation_id: key.operationId, name: key.name, manager_id: key.managerId ?? NO_MANAGER };
}

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
  /** How long the step, or its undo, has been tried, by the database's clock. Milliseconds. */
  readonly triedForMs: number;
}

/** An attempt that wants to begin. */
export interface AttemptRequest {
  readonly runId: string;
  readonly direction: 'forward' | 'undo';
  /** After how long a permitted write can have no further effect. Milliseconds. */
  readonly settleMs: number;
  /** The number of the activity's attempt: one that begins late must not overtake a newer one. */
  readonly activityAttempt: number;
}

/**
 * Begins an attempt. A forward attempt of a step that is finished begins nothing and finds the step as it is.
 * @returns `undefined` when the operation is closed, or is another run's by now.
 */
export async function beginAttempt(
  db: Queryable,
  key: StepKey,
  request: AttemptRequest,
): Promise<BegunAttempt | undefined> {
  const begun = await takeEpoch(db, key, request);
  if (begun !== undefined) {
    const { settles_in_ms: settlesInMs, tried_for_ms: triedForMs, ...step } = begun;
    return { epoch: step.epoch, step, settlesInMs, triedForMs, tooLate: false };
  }
  // The reasons for not beginning are for good: none of them can have passed since.
  if (!(await isHeldBy(db, key.operationId, request.runId))) return undefined;
  const step = await db
    .selectFrom('step')
    .selectAll()
    .where((eb) => eb.and(keyColumns(key)))
    .executeTakeFirst();
  if (step === undefined) throw new Error(`operation ${key.operationId} has no step ${key.name}`);
  const finished = request.direction === 'forward' && isFinished(step);
  return { epoch: step.epoch, step, settlesInMs: 0, triedForMs: 0, tooLate: !finished };
}

function isFinished(step: StepRow): boolean {
  return step.state === 'DONE' || step.state === 'SKIPPED';
}

/**
 * One statement, since every step waits for it. The operation's row is locked first: that orders it with every other
 * writer of the operation, so that no attempt begins while it is being finished. `old` is the step's row as it was
 * replaced, also where another attempt was permitted a write in the last moment.
 */
function takeEpoch(db: Queryable, key: StepKey, { runId, direction, settleMs, activityAttempt }: AttemptRequest) {
  const changes =
    direction === 'forward'
      ? {
          attempts: sql<number>`step.attempts + 1`,
          activity_attempt: activityAttempt,
          state: 'RUNNING' as const,
          first_attempt_at: sql<Date>`coalesce(step.first_attempt_at, now())`,
        }
      : {
          compensation: 'RUNNING' as const,
          compensation_attempts: sql<number>`step.compensation_attempts + 1`,
          undo_activity_attempt: activityAttempt,
          compensation_started_at: sql<Date>`coalesce(step.compensation_started_at, now())`,
        };
  const since = direction === 'forward' ? 'step.first_attempt_at' : 'step.compensation_started_at';
  const mayBegin =
    direction === 'forward'
      ? sql<boolean>`step.state not in ('DONE', 'SKIPPED') and step.compensation is null
                     and step.activity_attempt <= ${activityAttempt}`
      : sql<boolean>`step.undo_activity_attempt <= ${activityAttempt}`;
  return db
    .with('held', (qb) =>
      qb
        .selectFrom('operation as o')
        .select('o.id')
        .where('o.id', '=', key.operationId)
        .where(heldBy(runId))
        .forUpdate(),
    )
    .updateTable('step')
    .set({ ...changes, epoch: sql<number>`step.epoch + 1`, attempt_ended_at: null })
    .where((eb) => eb.and(keyColumns(key)))
    .where(mayBegin)
    .where((eb) => eb.exists(eb.selectFrom('held').select('held.id')))
    .returning(STEP_COLUMNS)
    .returning([
      sql<number>`case
        when old.attempt_ended_at is not null or old.write_permitted_at is null then 0
        else greatest(0, extract(epoch from old.write_permitted_at - now()) * 1000 + ${settleMs})
      end::float8`.as('settles_in_ms'),
      sql<number>`(extract(epoch from now() - ${sql.ref(since)}) * 1000)::float8`.as('tried_for_ms'),
    ])
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
}

/** The rows of this attempt's step, while the attempt is the newest of the run that holds the operation. */
function mine(attempt: Attempt) {
  return (eb: ExpressionBuilder<DB, 'step'>) =>
    eb.and([
      eb.and(keyColumns(attempt)),
      eb('step.epoch', '=', attempt.epoch),
      eb.exists(
        eb
          .selectFrom('operation as o')
          .select('o.id')
          .where('o.id', '=', attempt.operationId)
          .where(heldBy(attempt.runId)),
      ),
    ]);
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
    .modifyEnd(plannedOnce)
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
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  return row?.undo_input ?? undefined;
}

/**
 * Whether the attempt is still the newest of the run that holds the operation; if so, no other one begins before the
 * transaction ends.
 */
export async function attemptHolds(trx: Queryable, attempt: Attempt): Promise<boolean> {
  const row = await trx
    .selectFrom('step')
    .select('epoch')
    .where(mine(attempt))
    .forUpdate()
    .modifyEnd(plannedOnce)
    .executeTakeFirst();
  return row !== undefined;
}

/** How an attempt ended. */
export type AttemptEnd = (
  | { readonly state: 'DONE'; readonly made: StepMade | null; readonly reason?: string | null }
  | { readonly state: 'SKIPPED'; readonly reason: string }
  /** `RUNNING`: it will be tried again. `settled`: nothing that was written can still take effect. */
  | { readonly state: 'FAILED' | 'RUNNING'; readonly error: OperationError; readonly settled: boolean }
) & {
  /** What a hypervisor or a backup system calls the VM from now on: written down together with the end. */
  readonly reference?: VmReference | undefined;
};

/** Records how a forward attempt ended; false when it had been overtaken. */
export async function endAttempt(db: Queryable, attempt: Attempt, end: AttemptEnd): Promise<boolean> {
  const { reference } = end;
  if (reference === undefined) {
    const result = await ending(db, attempt, end).modifyEnd(plannedOnce).executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }
  const remembered = await rememberReference(
    db.with('ended', (qb) => ending(qb, attempt, end).returning('step.epoch')),
    reference,
    sql<boolean>`exists (select from ended)`,
  );
  return remembered;
}

function ending(db: QueryCreator<DB>, attempt: Attempt, end: AttemptEnd) {
  const ended = end.state !== 'RUNNING';
  const settled = 'settled' in end ? end.settled : true;
  return db
    .updateTable('step')
    .set({
      state: end.state,
      attempt_ended_at: settled ? sql<Date>`now()` : null,
      ...(ended ? { ended_at: sql<Date>`now()` } : {}),
      ...(end.state === 'DONE' ? { made: JSON.stringify(end.made), error: null, reason: end.reason ?? null } : {}),
      ...(end.state === 'SKIPPED' ? { reason: end.reason } : {}),
      ...('error' in end ? { error: JSON.stringify(end.error) } : {}),
    })
    .where(mine(attempt));
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

/**
 * Ends the steps that were under way when their operation ended: its run was lost in them, or an operator decided how it
 * ends. Nobody knows more of them than that.
 * @param error the operation's error; `null`: it has been settled as SUCCEEDED.
 */
export async function endInterruptedSteps(
  trx: Queryable,
  operationId: string,
  error: OperationError | null,
): Promise<void> {
  await trx
    .updateTable('step')
    .set({
      ended_at: sql<Date>`now()`,
      ...(error === null
        ? { state: 'SKIPPED', reason: 'an operator decided how the operation ends' }
        : { state: 'FAILED', error: JSON.stringify(error) }),
    })
    .where('operation_id', '=', operationId)
    .where('state', '=', 'RUNNING')
    .execute();
}
