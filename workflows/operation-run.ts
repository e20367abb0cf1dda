/**
 * The frame of every operation: begin, the story, what happens when it fails, finish. A workflow file tells only its
 * own story; the promises that all of them keep are kept here.
 * @module
 */
import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  isCancellation,
  log,
  proxyActivities,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import {
  kindSlug,
  type OperationError,
  type OperationKind,
  POINT_OF_NO_RETURN,
  type StepName,
  type TerminalState,
} from '../domain/operations.ts';
import {
  type BriefedStep,
  type Briefing,
  type OperationInput,
  type SessionView,
  type StepActivities,
  type StepInput,
} from './contract.ts';
import { applicationFailure, errorOf, isFenced } from './failures.ts';
import { control } from './control.ts';
import { Checklist, describeStep } from './checklist.ts';
import { NEEDS_ATTENTION } from './search-attributes.ts';
import { SessionWatch } from './session-watch.ts';

/**
 * A step that is being cancelled is waited for before any undo starts: the SDK's default would let the undo run beside
 * it. How long errors are retried is decided by the step's own record, so the policy here has no end.
 */
export const steps = proxyActivities<StepActivities>({
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '20s',
  cancellationType: 'WAIT_CANCELLATION_COMPLETED',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
});

/** What an operation becomes when its story fails: lifecycle operations roll back, backups and restores have failed. */
export type OnFailure = 'ROLL_BACK' | 'FAIL';

type StepActivity = (step: StepInput) => Promise<void>;

/**
 * Runs one operation from its beginning to its recorded end.
 *
 * A run that has been overtaken (`FENCED`) ends at once, without compensation: what it began belongs to another run.
 * @throws ApplicationFailure with the outcome as its type when the story failed; a cancellation when it was cancelled.
 */
export async function runOperation(
  input: OperationInput,
  onFailure: OnFailure,
  story: (operation: OperationRun) => Promise<void>,
): Promise<void> {
  try {
    await run(input, onFailure, story);
  } catch (error) {
    throw isFenced(error) ? applicationFailure(error) : error;
  }
}

async function run(
  input: OperationInput,
  onFailure: OnFailure,
  story: (operation: OperationRun) => Promise<void>,
): Promise<void> {
  const session = new SessionWatch(input.operationId);
  const briefing = await CancellationScope.nonCancellable(() => control.beginOperation(input.operationId));
  const operation = new OperationRun(input, briefing, session, onFailure);
  const { recovery } = briefing;
  const finish = (outcome: TerminalState, error: OperationError | null) =>
    CancellationScope.nonCancellable(() =>
      control.finishOperation({ operationId: input.operationId, outcome, error, unlessCancelled: operation.mayGoBack }),
    );
  const fail = async (error: unknown): Promise<TerminalState> => {
    const asked = CancellationScope.current().consideredCancelled;
    const outcome = await CancellationScope.nonCancellable(() => operation.settleFailure(error, asked));
    return (await finish(outcome, endOf(outcome, error))) ?? outcome;
  };

  let failure: unknown;
  try {
    if (recovery?.mode === 'UNDO') throw runLost(recovery.lost);
    await (operation.mayStop ? story(operation) : CancellationScope.nonCancellable(() => story(operation)));
    // A cancel that came while the last step was ending still counts: nothing has been finished yet.
    if (operation.mayGoBack && CancellationScope.current().consideredCancelled) throw cancelled();
    if ((await finish('SUCCEEDED', null)) === 'SUCCEEDED') return;
    throw cancelled();
  } catch (error) {
    if (isFenced(error)) throw error;
    failure = error;
  }
  const ended = await fail(failure);
  // The backup was made before it could be stopped.
  if (ended === 'SUCCEEDED') return;
  // Only a run that was itself asked to cancel can end as cancelled.
  if (ended === 'CANCELLED' && CancellationScope.current().consideredCancelled) throw cancelled();
  throw ApplicationFailure.create({
    type: ended,
    nonRetryable: true,
    message: `${kindSlug(briefing.kind)} of ${briefing.vmName} ended ${ended}: ${errorOf(failure).message}`,
    ...(failure instanceof Error ? { cause: failure } : {}),
  });
}

/** What failed when a run was lost and what it had begun is undone. */
function runLost(lost: string): ApplicationFailure {
  const error: OperationError = { code: 'RUN_LOST', message: `${lost}; what it had begun was undone` };
  return ApplicationFailure.nonRetryable(error.message, error.code, error);
}

/** The error that an operation ends with: one that was cancelled says so, whatever its last step met on the way. */
function endOf(outcome: TerminalState, error: unknown): OperationError {
  return errorOf(outcome === 'CANCELLED' ? cancelled() : error);
}

function cancelled(): CancelledFailure {
  return new CancelledFailure('the operation was cancelled');
}

/** One operation under way: runs its steps in the order of its story and remembers what to undo. */
export class OperationRun {
  readonly #input: OperationInput;
  readonly #briefing: Briefing;
  readonly #session: SessionWatch;
  readonly #onFailure: OnFailure;
  readonly #begun: BriefedStep[] = [];
  readonly #checklist: Checklist;
  #crossed = false;
  /** Whether the backup system was asked to stop the session. */
  #cancelling = false;
  /** Whether the session has ended. */
  #watched = false;

  constructor(input: OperationInput, briefing: Briefing, session: SessionWatch, onFailure: OnFailure) {
    this.#onFailure = onFailure;
    this.#input = input;
    this.#briefing = briefing;
    this.#session = session;
    this.#crossed = briefing.recovery?.mode === 'FORWARD';
    this.#checklist = new Checklist(briefing);
    // What a lost run had begun and not undone is undone by the recovery.
    if (briefing.recovery?.mode === 'UNDO') this.#begun.push(...briefing.steps.filter(isToUndo));
  }

  get kind(): OperationKind {
    return this.#briefing.kind;
  }

  /** Whether a failure of the backup system to remove a schedule is passed over. */
  get force(): boolean {
    return this.#briefing.force;
  }

  /** Whether a cancellation may reach the story: not when it can only go forward. */
  get mayStop(): boolean {
    return this.#briefing.recovery?.mode !== 'FORWARD';
  }

  /** Whether a cancel can still be obeyed by undoing everything. */
  get mayGoBack(): boolean {
    return this.#onFailure === 'ROLL_BACK' && !this.#crossed;
  }

  /**
   * Takes every step of that name (BACKUP_SCHEDULE: one per backup manager). Its undo is registered before it begins,
   * since a step that failed or was cancelled may have had its effect. A recovery past the point of no return has it
   * behind itself.
   */
  async step(name: StepName, activity: StepActivity): Promise<void> {
    if (this.#crossed) return;
    for (const step of this.#planned(name)) {
      this.#begun.push(step);
      await this.#take(step, activity, this.#input.limits.stepRetryMs);
    }
  }

  /** Takes a step that cannot be cancelled and is retried until it is done: what lies past the point of no return. */
  async forwardStep(name: StepName, activity: StepActivity): Promise<void> {
    await CancellationScope.nonCancellable(async () => {
      for (const step of this.#planned(name)) await this.#take(step, activity, null);
    });
  }

  /** Takes a step that cannot be cancelled, but gives up like any other. */
  async closingStep(name: StepName, activity: StepActivity): Promise<void> {
    await CancellationScope.nonCancellable(async () => {
      for (const step of this.#planned(name)) await this.#take(step, activity, this.#input.limits.stepRetryMs);
    });
  }

  /**
   * Takes a step whose failure is left behind as residue, named when the operation ends, and fails nothing else: not
   * even the same step in another backup system.
   * @returns the failures.
   */
  async residueStep(name: StepName, activity: StepActivity): Promise<readonly unknown[]> {
    const failures: unknown[] = [];
    await CancellationScope.nonCancellable(async () => {
      for (const step of this.#planned(name)) {
        // What went well is undone too when the rest of the story does not.
        if (this.mayGoBack) this.#begun.push(step);
        try {
          await this.#take(step, activity, this.#input.limits.stepRetryMs);
        } catch (error) {
          if (isFenced(error)) throw error;
          failures.push(error);
          log.error('a step is left behind as residue', { step: name, error: String(error) });
          upsertSearchAttributes([{ key: NEEDS_ATTENTION, value: true }]);
        }
      }
    });
    return failures;
  }

  /**
   * Fails with `VM_BEING_BACKED_UP`, before any effect, while a backup system works on the VM. A recovery does not ask:
   * its operation has begun, and the session may be its own.
   */
  async ensureNoSession(): Promise<void> {
    if (this.#briefing.recovery) return;
    await steps.ensureNoSession.executeWithOptions({ summary: 'ask the backup systems for running sessions' }, [
      { operationId: this.#input.operationId, managerId: null, retryMs: this.#input.limits.stepRetryMs },
    ]);
  }

  /**
   * From here on there is no way back, unless a cancel came first. Nothing happens when every step past it is skipped.
   */
  async pointOfNoReturn(): Promise<void> {
    const name = POINT_OF_NO_RETURN[this.#briefing.kind];
    if (name === undefined || this.#planned(name).length === 0) return;
    if (CancellationScope.current().consideredCancelled) throw cancelled();
    await CancellationScope.nonCancellable(async () => {
      if (!(await control.crossPointOfNoReturn(this.#input.operationId))) {
        throw cancelled();
      }
      this.#crossed = true;
    });
  }

  /**
   * Waits for the end of the operation's session. A cancellation is passed on to the backup system where it can
   * cancel; what became of the session is then seen, not assumed.
   */
  async watch(options: { readonly cancellable: boolean }): Promise<SessionView> {
    const step = this.#planned('WATCH')[0];
    if (step !== undefined) this.#checklist.mark(step, 'under way');
    const end = options.cancellable ? await this.#watchCancellably() : await this.#watchToTheEnd();
    this.#watched = true;
    if (step !== undefined) this.#checklist.mark(step, end.succeeded ? 'done' : 'failed');
    return end;
  }

  async #watchCancellably(): Promise<SessionView> {
    if (this.#briefing.recovery?.cancelled === true) return this.#watchWhatIsCancelled();
    try {
      return await this.#session.end();
    } catch (error) {
      if (!isCancellation(error)) throw error;
      return this.#watchWhatIsCancelled();
    }
  }

  #watchWhatIsCancelled(): Promise<SessionView> {
    return CancellationScope.nonCancellable(async () => {
      this.#cancelling = await control.decideCancel(this.#input.operationId);
      if (this.#cancelling) {
        const step = { operationId: this.#input.operationId, managerId: null, retryMs: null };
        await steps.cancelSession.executeWithOptions({ summary: 'ask the backup system to stop' }, [step]);
      }
      return this.#session.end();
    });
  }

  #watchToTheEnd(): Promise<SessionView> {
    return CancellationScope.nonCancellable(() => this.#session.end());
  }

  /**
   * What the failed operation becomes. Undos run in reverse, each on its own; one that fails leaves residue and does
   * not stop the others.
   * @param asked whether the run was asked to cancel: a step that meets an error meanwhile is not tried again, and fails
   * with that error.
   */
  async settleFailure(error: unknown, asked: boolean): Promise<TerminalState> {
    const wasCancelled = await this.#wasCancelled(error, asked);
    if (this.#crossed) {
      await this.#seeVm();
      return 'FAILED';
    }
    let residue = false;
    for (const step of this.#begun.toReversed()) {
      const undo = { ...this.#stepInput(step, this.#input.limits.undoRetryMs), name: step.name };
      try {
        const forward = this.#checklist.markOf(step);
        this.#checklist.mark(step, `${forward}, being undone`);
        await steps.undoStep.executeWithOptions({ summary: `undo ${describeStep(step)}` }, [undo]);
        this.#checklist.mark(step, `${forward}, undone`);
      } catch (undoError) {
        if (isFenced(undoError)) throw undoError;
        log.error('an undo failed', { step: step.name, error: String(undoError) });
        this.#checklist.mark(step, 'could not be undone, left behind');
        residue = true;
      }
    }
    if (residue) {
      upsertSearchAttributes([{ key: NEEDS_ATTENTION, value: true }]);
      return 'ROLLED_BACK_WITH_RESIDUE';
    }
    if (wasCancelled) return 'CANCELLED';
    return this.#onFailure === 'FAIL' ? 'FAILED' : 'ROLLED_BACK';
  }

  async #wasCancelled(error: unknown, asked: boolean): Promise<boolean> {
    if (this.#briefing.recovery?.mode === 'UNDO') return this.#briefing.recovery.cancelled;
    if (this.#cancelling) return applicationFailure(error)?.type === 'BACKUP_CANCELLED';
    // Once its session has ended, a backup has failed or not: there is nothing to cancel.
    const wished = isCancellation(error) || (asked && !this.#watched);
    return wished && (await control.decideCancel(this.#input.operationId));
  }

  /** Past the point of no return what refuses to go on is left; how the VM is then is looked up, not assumed. */
  async #seeVm(): Promise<void> {
    if (POINT_OF_NO_RETURN[this.#briefing.kind] === undefined) return;
    const step = { operationId: this.#input.operationId, managerId: null, retryMs: null };
    try {
      await steps.seeVm.executeWithOptions(
        { summary: 'look at the virtual machine', scheduleToCloseTimeout: this.#input.limits.stepRetryMs },
        [step],
      );
    } catch (error) {
      if (isFenced(error)) throw error;
      log.error('nobody knows what the virtual machine is like', { error: String(error) });
    }
  }

  async #take(step: BriefedStep, activity: StepActivity, retryMs: number | null): Promise<void> {
    this.#checklist.mark(step, 'under way');
    try {
      await (activity as typeof steps.allocate).executeWithOptions({ summary: describeStep(step) }, [
        this.#stepInput(step, retryMs),
      ]);
      this.#checklist.mark(step, 'done');
    } catch (error) {
      this.#checklist.mark(
        step,
        isCancellation(error) ? 'cancelled' : `failed (${errorOf(error).message.replace(/\.$/, '')})`,
      );
      throw error;
    }
  }

  #stepInput(step: BriefedStep, retryMs: number | null): StepInput {
    return { operationId: this.#input.operationId, managerId: step.managerId, retryMs };
  }

  #planned(name: StepName): BriefedStep[] {
    return this.#briefing.steps.filter((step) => step.name === name && step.skip === null);
  }
}

function isToUndo(step: BriefedStep): boolean {
  return step.skip === null && (step.before === 'BEGUN' || step.before === 'DONE');
}
