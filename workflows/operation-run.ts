/**
 * The frame of every operation: begin, the story, what happens when it fails, finish. A workflow file tells only its
 * own story; the promises that all of them keep are kept here.
 * @module
 */
import {
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  condition,
  defineSignal,
  isCancellation,
  log,
  proxyActivities,
  setCurrentDetails,
  setHandler,
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
  type ControlActivities,
  type OperationInput,
  SESSION_CHANGED,
  type SessionView,
  type StepActivities,
  type StepInput,
} from './contract.ts';
import { applicationFailure, errorOf, isFenced } from './failures.ts';
import { NEEDS_ATTENTION } from './search-attributes.ts';

/** The database may be away for a while; an operation waits for it rather than fail. */
const control = proxyActivities<ControlActivities>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '15s' },
});

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

const sessionChanged = defineSignal(SESSION_CHANGED);

/** A session's end comes as a notice; without one the row is read again after this time. */
const REREAD = '1 hour';

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
  const notices = new SessionNotices();
  const briefing = await CancellationScope.nonCancellable(() => control.beginOperation(input.operationId));
  const operation = new OperationRun(input, briefing, notices, onFailure);
  const finish = (outcome: TerminalState, error: OperationError | null) =>
    CancellationScope.nonCancellable(() =>
      control.finishOperation({ operationId: input.operationId, outcome, error, unlessCancelled: operation.mayGoBack }),
    );
  const fail = async (error: unknown): Promise<TerminalState> => {
    const outcome = await CancellationScope.nonCancellable(() => operation.settleFailure(error));
    return (await finish(outcome, errorOf(error))) ?? outcome;
  };

  let failure: unknown;
  try {
    await story(operation);
    // A cancel that came while the last step was ending still counts: nothing has been finished yet.
    if (operation.mayGoBack && CancellationScope.current().consideredCancelled) throw cancelled();
    if ((await finish('SUCCEEDED', null)) === 'SUCCEEDED') return;
    throw cancelled();
  } catch (error) {
    if (isFenced(error)) throw error;
    failure = error;
  }
  const ended = await fail(failure);
  // Only a run that was itself asked to cancel can end as cancelled.
  if (ended === 'CANCELLED' && CancellationScope.current().consideredCancelled) throw cancelled();
  throw ApplicationFailure.create({
    type: ended,
    nonRetryable: true,
    message: `${kindSlug(briefing.kind)} of ${briefing.vmName} ended ${ended}: ${errorOf(failure).message}`,
    ...(failure instanceof Error ? { cause: failure } : {}),
  });
}

function cancelled(): CancelledFailure {
  return new CancelledFailure('the operation was cancelled');
}

/** One operation under way: runs its steps in the order of its story and remembers what to undo. */
export class OperationRun {
  readonly #input: OperationInput;
  readonly #briefing: Briefing;
  readonly #notices: SessionNotices;
  readonly #onFailure: OnFailure;
  readonly #begun: BriefedStep[] = [];
  readonly #marks = new Map<BriefedStep, string>();
  #crossed = false;
  /** Whether the backup system was asked to stop the session. */
  #cancelling = false;

  constructor(input: OperationInput, briefing: Briefing, notices: SessionNotices, onFailure: OnFailure) {
    this.#onFailure = onFailure;
    this.#input = input;
    this.#briefing = briefing;
    this.#notices = notices;
    for (const step of briefing.steps) if (step.skip !== null) this.#marks.set(step, 'skipped');
    this.#showChecklist();
  }

  get kind(): OperationKind {
    return this.#briefing.kind;
  }

  /** Whether a cancel can still be obeyed by undoing everything. */
  get mayGoBack(): boolean {
    return this.#onFailure === 'ROLL_BACK' && !this.#crossed;
  }

  /**
   * Takes every step of that name (BACKUP_SCHEDULE: one per backup manager). Its undo is registered before it begins,
   * since a step that failed or was cancelled may have had its effect.
   */
  async step(name: StepName, activity: StepActivity): Promise<void> {
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

  /** Takes a step whose failure is left behind as residue, named when the operation ends, and fails nothing else. */
  async residueStep(name: StepName, activity: StepActivity): Promise<void> {
    try {
      await this.closingStep(name, activity);
    } catch (error) {
      if (isFenced(error)) throw error;
      log.error('a step is left behind as residue', { step: name, error: String(error) });
      upsertSearchAttributes([{ key: NEEDS_ATTENTION, value: true }]);
    }
  }

  /** Fails with `VM_BEING_BACKED_UP`, before any effect, while a backup system works on the VM. */
  async ensureNoSession(): Promise<void> {
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
    if (step !== undefined) this.#mark(step, 'under way');
    const end = options.cancellable ? await this.#watchCancellably() : await this.#watchToTheEnd();
    if (step !== undefined) this.#mark(step, end.succeeded ? 'done' : 'failed');
    return end;
  }

  async #watchCancellably(): Promise<SessionView> {
    try {
      return await this.#untilEnded();
    } catch (error) {
      if (!isCancellation(error)) throw error;
      return CancellationScope.nonCancellable(async () => {
        this.#cancelling = await control.decideCancel(this.#input.operationId);
        if (this.#cancelling) {
          const step = { operationId: this.#input.operationId, managerId: null, retryMs: null };
          await steps.cancelSession.executeWithOptions({ summary: 'ask the backup system to stop' }, [step]);
        }
        return this.#untilEnded();
      });
    }
  }

  #watchToTheEnd(): Promise<SessionView> {
    return CancellationScope.nonCancellable(() => this.#untilEnded());
  }

  async #untilEnded(): Promise<SessionView> {
    let attention = false;
    for (;;) {
      this.#notices.clear();
      const session = await control.lookAtSession(this.#input.operationId);
      const unknown = session.state === 'UNKNOWN';
      if (unknown !== attention) upsertSearchAttributes([{ key: NEEDS_ATTENTION, value: unknown }]);
      attention = unknown;
      if (session.ended) return session;
      await condition(() => this.#notices.any, REREAD, { summary: 'the backup system works' });
    }
  }

  /**
   * What the failed operation becomes. Undos run in reverse, each on its own; one that fails leaves residue and does
   * not stop the others.
   */
  async settleFailure(error: unknown): Promise<TerminalState> {
    const wasCancelled = this.#cancelling
      ? applicationFailure(error)?.type === 'BACKUP_CANCELLED'
      : isCancellation(error) && (await control.decideCancel(this.#input.operationId));
    if (this.#crossed) return 'FAILED';
    let residue = false;
    for (const step of this.#begun.toReversed()) {
      const undo = { ...this.#stepInput(step, this.#input.limits.undoRetryMs), name: step.name };
      try {
        const forward = this.#marks.get(step) ?? '';
        this.#mark(step, `${forward}, being undone`);
        await steps.undoStep.executeWithOptions({ summary: `undo ${describe(step)}` }, [undo]);
        this.#mark(step, `${forward}, undone`);
      } catch (undoError) {
        if (isFenced(undoError)) throw undoError;
        log.error('an undo failed', { step: step.name, error: String(undoError) });
        this.#mark(step, 'could not be undone, left behind');
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

  async #take(step: BriefedStep, activity: StepActivity, retryMs: number | null): Promise<void> {
    this.#mark(step, 'under way');
    try {
      await (activity as typeof steps.allocate).executeWithOptions({ summary: describe(step) }, [
        this.#stepInput(step, retryMs),
      ]);
      this.#mark(step, 'done');
    } catch (error) {
      this.#mark(step, isCancellation(error) ? 'cancelled' : `failed (${errorOf(error).message.replace(/\.$/, '')})`);
      throw error;
    }
  }

  #stepInput(step: BriefedStep, retryMs: number | null): StepInput {
    return { operationId: this.#input.operationId, managerId: step.managerId, retryMs };
  }

  #planned(name: StepName): BriefedStep[] {
    return this.#briefing.steps.filter((step) => step.name === name && step.skip === null);
  }

  #mark(step: BriefedStep, mark: string): void {
    this.#marks.set(step, mark);
    this.#showChecklist();
  }

  /** The steps as a checklist, for the operator who opens the run in the Temporal UI. */
  #showChecklist(): void {
    const { kind, vmName, datacenterName, enterpriseName } = this.#briefing;
    const lines = this.#briefing.steps.map((step) => {
      const mark = this.#marks.get(step) ?? 'waiting';
      return `- ${describe(step)}: ${mark}${step.skip === null ? '' : ` (${step.skip})`}`;
    });
    setCurrentDetails(
      `**${kindSlug(kind)} ${vmName}** in ${datacenterName} for ${enterpriseName}\n\n${lines.join('\n')}`,
    );
  }
}

/** Notices that the session has changed. Made before the first await, so that none is missed. */
class SessionNotices {
  #count = 0;

  constructor() {
    setHandler(sessionChanged, () => {
      this.#count += 1;
    });
  }

  get any(): boolean {
    return this.#count > 0;
  }

  clear(): void {
    this.#count = 0;
  }
}

function describe(step: BriefedStep): string {
  const words = step.name.toLowerCase().replaceAll('_', ' ');
  return step.managerName === null ? words : `${words} in ${step.managerName}`;
}
