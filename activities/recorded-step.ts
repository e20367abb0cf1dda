/**
 * One attempt of one step: begun, permitted, recorded. Every activity with an effect runs inside `forward` or `undo`;
 * here, and only here, it is decided what an error means, whether it is worth another try, and what is written down.
 * @module
 */
import { ApplicationFailureCategory } from '@temporalio/common';
import { ApplicationFailure, activityInfo, CancelledFailure, Context, heartbeat, sleep } from '@temporalio/activity';
import type { StepMade, StepUndoInput } from '../db/columns.ts';
import type { Queryable } from '../db/connect.ts';
import { type OperationContext, operationContext, type VmReference } from '../db/operation-context.ts';
import {
  type Attempt,
  attemptHolds,
  beginAttempt,
  endAttempt,
  endUndoAttempt,
  keepUndoInput,
  permitWrite,
  type StepRow,
} from '../db/steps.ts';
import { isHeldBy, needAttention } from '../db/operations.ts';
import { releaseWriteSlot, takeWriteSlot } from '../db/write-slots.ts';
import { HoldfastError } from '../domain/errors.ts';
import type { OperationError, StepName } from '../domain/operations.ts';
import { FENCED, type StepInput, type UndoInput } from '../workflows/contract.ts';
import { type CallContext, ExternalSystemError, WRITE_SETTLED_MS } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { HANDED_OVER, stopsWithItsWorker } from './hand-over.ts';

/**
 * Between two beats. The first comes after this time: most steps have ended by then, and each beat is a write in
 * Temporal's database. Milliseconds.
 */
const HEARTBEAT_MS = 2_000;

/** What an attempt works with. */
export interface StepAttempt extends OperationContext {
  readonly step: StepRow;
  readonly call: CallContext;
  readonly epoch: number;
  /** Writes to the database as long as this attempt is the newest, in one transaction. */
  record<T>(work: (trx: Queryable) => Promise<T>): Promise<T>;
  /** Keeps what the undo needs before the first effect; answers what an earlier attempt kept, if one did. */
  keepForUndo(input: StepUndoInput): Promise<StepUndoInput>;
}

/** What a forward attempt made, or why there was nothing to do. */
export type StepOutcome =
  | {
      readonly made: StepMade | null;
      readonly reason?: string;
      /** What a hypervisor or a backup system calls the VM from now on. */
      readonly reference?: VmReference;
    }
  | { readonly skipped: string };

/** Not this attempt's to do any more: a newer one, or another run, has taken its place. It ends without another effect. */
export class Fenced extends Error {
  override readonly name = 'Fenced';
}

/** Ask again later, without this counting as a failure. */
export class NotYet extends Error {
  override readonly name = 'NotYet';
  readonly retryInMs: number;
  /** Whether nothing that the attempt wrote can still take effect. */
  readonly settled: boolean;

  constructor(message: string, retryInMs: number, settled = true) {
    super(message);
    this.retryInMs = retryInMs;
    this.settled = settled;
  }
}

/** Makes a forward attempt of a step. Does nothing when an earlier attempt has finished it. */
export async function forward(
  deps: Dependencies,
  name: StepName,
  input: StepInput,
  effect: (attempt: StepAttempt) => Promise<StepOutcome>,
): Promise<void> {
  await withHeartbeat((progress) =>
    withWriteSlot(deps, name, input, 'forward', async () => {
      const begun = await begin(deps, name, input, 'forward');
      if (begun.step.state === 'DONE' || begun.step.state === 'SKIPPED') return;
      try {
        await settle(begun);
        const outcome = await effect(await attemptOf(deps, begun, progress));
        const end =
          'skipped' in outcome
            ? ({ state: 'SKIPPED', reason: outcome.skipped } as const)
            : ({
                state: 'DONE',
                made: outcome.made,
                reason: outcome.reason ?? null,
                reference: outcome.reference,
              } as const);
        if (!(await endAttempt(deps.db, begun.attempt, end))) throw new Fenced('the attempt was overtaken');
      } catch (error) {
        await failForward(deps, begun, input, error);
      }
    }),
  );
}

/** Makes an attempt to undo a step. */
export async function undo(
  deps: Dependencies,
  input: UndoInput,
  effect: (attempt: StepAttempt) => Promise<'DONE' | 'SKIPPED'>,
): Promise<void> {
  await withHeartbeat((progress) =>
    withWriteSlot(deps, input.name, input, 'undo', async () => {
      const begun = await begin(deps, input.name, input, 'undo');
      const { attempt, step } = begun;
      try {
        await settle(begun);
        // A step that never began has nothing to undo.
        const state = step.attempts === 0 ? 'SKIPPED' : await effect(await attemptOf(deps, begun, progress));
        if (!(await endUndoAttempt(deps.db, attempt, state, null, true))) throw new Fenced('the attempt was overtaken');
      } catch (error) {
        await failUndo(deps, begun, input, error);
      }
    }),
  );
}

interface Begun {
  readonly attempt: Attempt;
  readonly step: StepRow;
  readonly settlesInMs: number;
  /** How long the step, or its undo, had been tried when this attempt began. Milliseconds. */
  readonly triedForMs: number;
  /** When it began, by the process's own monotonic clock. */
  readonly since: number;
  /** Whether the writes of earlier attempts were waited for; until then this one has written nothing itself. */
  waited: boolean;
}

async function begin(
  deps: Dependencies,
  name: StepName,
  input: StepInput,
  direction: 'forward' | 'undo',
): Promise<Begun> {
  const { runId } = activityInfo().workflowExecution as { runId: string };
  const key = { operationId: input.operationId, name, managerId: input.managerId };
  const begun = await beginAttempt(deps.db, key, {
    runId,
    direction,
    settleMs: WRITE_SETTLED_MS,
    activityAttempt: activityInfo().attempt,
  });
  if (begun === undefined) throw fencedFailure('the operation has ended, or another run carries it on');
  if (begun.tooLate) throw overtakenFailure();
  return {
    attempt: { ...key, runId, epoch: begun.epoch },
    step: begun.step,
    settlesInMs: begun.settlesInMs,
    triedForMs: begun.triedForMs,
    since: performance.now(),
    waited: false,
  };
}

/** Waits until nothing that an earlier attempt was allowed to write can still take effect. */
async function settle(begun: Begun): Promise<void> {
  if (begun.settlesInMs > 0) await sleep(begun.settlesInMs);
  begun.waited = true;
}

async function attemptOf(
  deps: Dependencies,
  { attempt, step }: Begun,
  progress: CallContext['progress'],
): Promise<StepAttempt> {
  const context = await operationContext(deps.db, attempt.operationId);
  return {
    ...context,
    step,
    epoch: attempt.epoch,
    call: {
      signal: Context.current().cancellationSignal,
      beforeWrite: async () => {
        if (!(await permitWrite(deps.db, attempt))) throw new Fenced('the attempt was overtaken');
      },
      progress,
    },
    record: (work) =>
      deps.db.transaction().execute(async (trx) => {
        if (!(await attemptHolds(trx, attempt))) throw new Fenced('the attempt was overtaken');
        return work(trx);
      }),
    keepForUndo: async (undoInput) => {
      const kept = await keepUndoInput(deps.db, attempt, undoInput);
      if (kept === undefined) throw new Fenced('the attempt was overtaken');
      return kept;
    },
  };
}

/**
 * Steps that write to a backup system queue for one of its few slots; those that do not run at once. The queue comes
 * before the attempt begins, so that waiting in it does not count against a step's time.
 */
async function withWriteSlot<T>(
  deps: Dependencies,
  name: StepName,
  { operationId, managerId }: StepInput,
  direction: 'forward' | 'undo',
  work: () => Promise<T>,
): Promise<T> {
  if (managerId === null) return work();
  // A recovery queues for itself: the numbers of its attempts begin again, and what a lost run holds falls out.
  const { attempt, workflowExecution } = activityInfo();
  const holder = `${operationId}/${workflowExecution?.runId}/${name}/${managerId}/${direction}`;
  const take = () => takeWriteSlot(deps.db, managerId, holder, attempt, direction === 'undo');
  if (!(await take())) {
    throw notYetFailure(new NotYet('waiting for a write slot of the backup system', 1_000 + Math.random() * 2_000));
  }
  const renewal = setInterval(() => {
    take().catch((error) => deps.logger.warn({ err: error, managerId }, 'a write slot could not be renewed'));
  }, 10_000);
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    // A slot that cannot be given back falls out by its lease.
    await releaseWriteSlot(deps.db, holder, attempt).catch(() => {});
  }
}

/** Beats while the work runs, with its newest note, so that a dead worker is noticed and a cancellation arrives. */
async function withHeartbeat<T>(work: (progress: CallContext['progress']) => Promise<T>): Promise<T> {
  let newest: string | undefined;
  const beat = setInterval(() => heartbeat(newest), HEARTBEAT_MS);
  try {
    return await work((note) => {
      newest = note;
    });
  } finally {
    clearInterval(beat);
  }
}

async function failForward(deps: Dependencies, begun: Begun, input: StepInput, error: unknown): Promise<never> {
  if (error instanceof Fenced) throw await whoOvertook(deps, begun.attempt);
  if (error instanceof NotYet) {
    await endAttempt(deps.db, begun.attempt, {
      state: 'RUNNING',
      error: { code: 'WAITING', message: error.message },
      settled: error.settled,
    });
    throw notYetFailure(error);
  }
  const told = describeError(error);
  const settled = isSettled(begun, error);
  if (error instanceof CancelledFailure) {
    await endAttempt(deps.db, begun.attempt, { state: 'RUNNING', error: told, settled });
    throw error;
  }
  const late = input.retryMs !== null && triedFor(begun) >= input.retryMs;
  if (mayRetry(error) && !late) {
    await endAttempt(deps.db, begun.attempt, { state: 'RUNNING', error: told, settled });
    if (input.retryMs === null && begun.step.attempts > 10) {
      await needAttention(deps.db, begun.attempt.operationId, `${begun.attempt.name} keeps failing: ${told.message}`);
    }
    throw ApplicationFailure.create({ type: told.code, message: told.message, details: [told] });
  }
  await endAttempt(deps.db, begun.attempt, { state: 'FAILED', error: told, settled });
  throw ApplicationFailure.create({ type: told.code, message: told.message, details: [told], nonRetryable: true });
}

async function failUndo(deps: Dependencies, begun: Begun, input: UndoInput, error: unknown): Promise<never> {
  if (error instanceof Fenced) throw await whoOvertook(deps, begun.attempt);
  const told = describeError(error);
  if (error instanceof NotYet) {
    await endUndoAttempt(deps.db, begun.attempt, 'RUNNING', null, error.settled);
    throw notYetFailure(error);
  }
  if (stopsWithItsWorker(error)) {
    await endUndoAttempt(deps.db, begun.attempt, 'RUNNING', null, isSettled(begun, error));
    throw error;
  }
  const late = input.retryMs !== null && triedFor(begun) >= input.retryMs;
  // Even a refusal is tried again: giving up leaves something behind, and what refuses now may be mended by a person.
  if (!late) {
    await endUndoAttempt(deps.db, begun.attempt, 'RUNNING', told, isSettled(begun, error));
    if (begun.step.compensation_attempts > 5) {
      await needAttention(
        deps.db,
        begun.attempt.operationId,
        `the undo of ${input.name} keeps failing: ${told.message}`,
      );
    }
    throw ApplicationFailure.create({ type: told.code, message: told.message, details: [told] });
  }
  await endUndoAttempt(deps.db, begun.attempt, 'FAILED', told, isSettled(begun, error));
  throw ApplicationFailure.create({ type: told.code, message: told.message, details: [told], nonRetryable: true });
}

/** How long the step, or its undo, has been tried: by the database's clock, and since the attempt began by our own. */
function triedFor(begun: Begun): number {
  return begun.triedForMs + performance.now() - begun.since;
}

/** The failure that ends a run which has been overtaken, without compensation. */
export function fencedFailure(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, FENCED);
}

/** Overtaken by another run, the run ends; by a newer attempt of its own, only this attempt does. */
async function whoOvertook(deps: Dependencies, { operationId, runId }: Attempt): Promise<ApplicationFailure> {
  const held = await isHeldBy(deps.db, operationId, runId);
  return held ? overtakenFailure() : fencedFailure('the operation has ended, or another run carries it on');
}

function overtakenFailure(): ApplicationFailure {
  return ApplicationFailure.retryable('a newer attempt has taken the place of this one', 'OVERTAKEN');
}

function notYetFailure(error: NotYet): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'WAITING',
    message: error.message,
    nextRetryDelay: error.retryInMs,
    category: ApplicationFailureCategory.BENIGN,
  });
}

/**
 * Whether nothing that was written can still take effect. After a lost answer nobody knows when the write does, and an
 * attempt that ended while it waited for earlier writes leaves those as uncertain as they were.
 */
function isSettled(begun: Begun, error: unknown): boolean {
  if (!begun.waited) return begun.settlesInMs === 0;
  return !(error instanceof ExternalSystemError && error.kind === 'NO_ANSWER');
}

function mayRetry(error: unknown): boolean {
  if (error instanceof ExternalSystemError) return error.transient;
  // A rule that was broken stays broken; anything else (the database, a bug) may be gone at the next try.
  return !(error instanceof HoldfastError);
}

/** An error as the operation shows it: a code of the catalogue and a sentence, and never a credential. */
export function describeError(error: unknown): OperationError {
  if (error instanceof HoldfastError) return { code: error.code, message: error.message };
  if (error instanceof ExternalSystemError) {
    return {
      code: externalCode(error),
      message: error.message,
      ...(error.vendorMessage === undefined ? {} : { vendorMessage: error.vendorMessage }),
    };
  }
  if (error instanceof ApplicationFailure) return { code: error.type ?? 'INTERNAL', message: error.message };
  if (stopsWithItsWorker(error)) return { code: 'WAITING', message: HANDED_OVER };
  if (error instanceof CancelledFailure) return { code: 'CANCELLED', message: 'the step was cancelled' };
  return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) };
}

function externalCode(error: ExternalSystemError): string {
  const endings = {
    REFUSED: 'REFUSED',
    LOGIN_REFUSED: error.system === 'BACKUP_SYSTEM' ? 'LOGIN_REFUSED' : 'REFUSED',
    UNREACHABLE: 'UNREACHABLE',
    NO_ANSWER: 'UNREACHABLE',
    FAILED: 'FAILED',
  } as const;
  return `${error.system}_${endings[error.kind]}`;
}
