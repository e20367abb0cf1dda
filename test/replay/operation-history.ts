/**
 * Histories of operations: begun, steps taken, steps undone, finished.
 * @module
 */
import type {
  OperationError,
  OperationKind,
  OperationOrigin,
  RecoveryMode,
  StepName,
  TerminalState,
} from '../../domain/operations.ts';
import { POINT_OF_NO_RETURN } from '../../domain/operations.ts';
import { type Intention, type PlannedStep, planSteps } from '../../domain/plan.ts';
import type { BackupSchedule } from '../../domain/schedules.ts';
import type { Hardware } from '../../domain/virtual-machines.ts';
import type { Briefing, Limits, SessionView } from '../../workflows/contract.ts';
import { workflowType } from '../../workflows/start.ts';
import { History, type Told } from './history.ts';

export const OPERATION_ID = '0191d9d0-0000-7000-8000-0000003f9c2a';
export const LIMITS: Limits = { stepRetryMs: 600_000, undoRetryMs: 14_400_000 };
/** The wait of a run that hears nothing of its session. */
export const HOUR = 3_600_000;

export const REFUSAL: Told = { code: 'BACKUP_SYSTEM_REFUSED', message: 'no room' };
export const FENCED: Told = { code: 'FENCED', message: 'another run carries the operation on' };
export const CANCELLED: OperationError = { code: 'CANCELLED', message: 'the operation was cancelled' };

/** A session that ended badly, as the operation tells it. */
export const cancelledThere: OperationError = {
  code: 'BACKUP_CANCELLED',
  message: 'the backup was cancelled in the backup system',
};
export function failedThere(kind: 'BACKUP' | 'RESTORE'): OperationError {
  return { code: `${kind}_FAILED`, message: 'the backup system says: disk full', vendorMessage: 'disk full' };
}

const ACTIVITIES: Readonly<Partial<Record<StepName, string>>> = {
  REGISTER: 'register',
  ALLOCATE: 'allocate',
  CONFIGURE: 'configure',
  POWER_ON: 'powerOn',
  POWER_OFF: 'powerOff',
  RECONFIGURE: 'reconfigureHardware',
  COMMIT_DISKS: 'commitDisks',
  DECONFIGURE: 'deconfigure',
  DEALLOCATE: 'deallocate',
  BACKUP_SCHEDULE: 'configureSchedule',
  REQUEST_BACKUP: 'requestBackup',
  REQUEST_RESTORE: 'requestRestore',
  OBSERVE: 'observeSession',
  REFRESH: 'refreshVm',
  REPLACE: 'replaceVm',
  RECORD: 'recordResult',
  REPLICATE: 'replicateBackup',
  CLEAN_HYPERVISOR: 'cleanHypervisor',
  CLEAN_BACKUP_SYSTEM: 'cleanBackupSystem',
};

/** Kinds that are not rolled back when they fail. */
const FAILING: readonly OperationKind[] = ['BACKUP', 'RESTORE', 'SCHEDULED_BACKUP', 'SCHEDULE_REFRESH', 'CLEANUP'];

/** An operation with the plan that it follows. */
export interface PlannedOperation {
  readonly kind: OperationKind;
  readonly origin: OperationOrigin;
  readonly plan: readonly PlannedStep[];
  /** What the run is told beyond the plan; a first run that is not forced, unless told otherwise. */
  readonly told?: Partial<Pick<Briefing, 'force' | 'recovery'>>;
  /** How far an earlier run has come. */
  readonly before?: (step: PlannedStep) => Briefing['steps'][number]['before'];
}

/** How a lost run ended, in words. */
export const LOST = 'the run was terminated';

/** What was lost with a run, and undone by its recovery. */
export const RUN_LOST: OperationError = { code: 'RUN_LOST', message: `${LOST}; what it had begun was undone` };

/** The operation as a recovery finds it. */
export function recovered(
  operation: PlannedOperation,
  mode: RecoveryMode,
  before: NonNullable<PlannedOperation['before']>,
  cancelled = false,
): PlannedOperation {
  return { ...operation, told: { ...operation.told, recovery: { mode, lost: LOST, cancelled } }, before };
}

/** Plans an operation as a request for it does; what is left out of the intention is empty. */
export function planned(kind: OperationKind, intention: Partial<Intention> = {}): PlannedOperation {
  const whole: Intention = { kind, origin: 'HOLDFAST', currentSchedules: [], desiredSchedules: [], ...intention };
  return { kind, origin: whole.origin, plan: planSteps(whole) };
}

/** A schedule of one policy in that manager. */
export function schedule(managerId: string, code = 'gold'): BackupSchedule {
  const policy = { policyId: code, code, name: code, replication: false, timeZone: 'Europe/Madrid', retentionDays: 30 };
  return { managerId, policies: [{ ...policy, backups: [] }] };
}

/** Hardware with disks of that many GiB. */
export function hardware(cpu: number, ...disks: readonly number[]): Hardware {
  return { cpu, memoryMiB: 2048, disks: disks.map((sizeGiB, index) => ({ label: `disk-${index}`, sizeGiB })) };
}

/** The steps of an operation that can be taken back, in their order. */
export function reversible({ kind, plan }: PlannedOperation): readonly PlannedStep[] {
  const taken = plan.filter((step) => step.skip === null);
  const end = taken.findIndex((step) => step.name === POINT_OF_NO_RETURN[kind]);
  return end < 0 ? taken : taken.slice(0, end);
}

/** The steps of an operation past its point of no return. */
export function irreversible(operation: PlannedOperation): readonly PlannedStep[] {
  return operation.plan.filter((step) => step.skip === null).slice(reversible(operation).length);
}

/** `BACKUP_SCHEDULE in m1`. */
export function told(step: PlannedStep): string {
  return step.managerId === null ? step.name : `${step.name} in ${step.managerId}`;
}

/** What a look at a session shows. */
export function session(
  state: SessionView['state'],
  message: string | null = null,
  kind: SessionView['kind'] = 'BACKUP',
): SessionView {
  const ended = state !== 'RUNNING' && state !== 'UNKNOWN';
  return { kind, state, ended, succeeded: state === 'SUCCEEDED' || state === 'WARNING', message };
}

/** The input of activities that are about no single step. */
export const WHOLE = { operationId: OPERATION_ID, managerId: null, retryMs: null };

export class OperationHistory extends History {
  readonly #operation: PlannedOperation;
  #crossed = false;

  constructor(operation: PlannedOperation) {
    super(workflowType(operation.kind, operation.origin), { operationId: OPERATION_ID, limits: LIMITS });
    this.#operation = operation;
    this.#crossed = operation.told?.recovery?.mode === 'FORWARD';
  }

  begins(): this {
    return this.does('beginOperation', [OPERATION_ID], this.briefing());
  }

  /** What the run is told when it begins. */
  briefing(): Briefing {
    const { kind, plan, told, before } = this.#operation;
    const steps = plan.map((step) => ({ ...step, managerName: step.managerId, before: before?.(step) ?? null }));
    const place = { vmName: 'web-1', datacenterName: 'dc-madrid', enterpriseName: 'Acme' };
    return { kind, ...place, steps, force: false, recovery: null, ...told };
  }

  /** The backup systems are asked for running sessions, and there is none. */
  asksFirst(): this {
    return this.does(...this.question());
  }

  question(): [activity: string, args: unknown[]] {
    return ['ensureNoSession', [{ operationId: OPERATION_ID, managerId: null, retryMs: LIMITS.stepRetryMs }]];
  }

  takes(steps: readonly PlannedStep[]): this {
    for (const step of steps) this.does(...this.attempt(step));
    return this;
  }

  /** The activity of a step: its name and its input. */
  attempt(step: PlannedStep): [activity: string, args: unknown[]] {
    const { kind } = this.#operation;
    const removes = kind === 'UNDEPLOY' && step.name === 'BACKUP_SCHEDULE';
    // What a restore has made of the VM has to be taken over, however long that takes.
    const forward = irreversible(this.#operation).includes(step) || step.name === 'REFRESH';
    const retryMs = forward ? null : LIMITS.stepRetryMs;
    return [
      removes ? 'removeSchedule' : (ACTIVITIES[step.name] ?? ''),
      [{ operationId: OPERATION_ID, managerId: step.managerId, retryMs }],
    ];
  }

  /** The steps are undone, the last one first. */
  undoes(steps: readonly PlannedStep[]): this {
    for (const step of steps.toReversed()) this.does(...this.undo(step));
    return this;
  }

  undo(step: PlannedStep): [activity: string, args: unknown[]] {
    const { name, managerId } = step;
    return ['undoStep', [{ operationId: OPERATION_ID, managerId, retryMs: LIMITS.undoRetryMs, name }]];
  }

  /** The database decides on a cancellation. */
  decides(rollsBack: boolean): this {
    return this.does('decideCancel', [OPERATION_ID], rollsBack);
  }

  crosses(answer: boolean, happens: (history: this) => void = () => {}): this {
    this.#crossed = answer;
    return this.meanwhile(happens, 'crossPointOfNoReturn', [OPERATION_ID], answer);
  }

  looks(...views: readonly SessionView[]): this {
    for (const view of views) this.does('lookAtSession', [OPERATION_ID], view);
    return this;
  }

  asksToStop(): this {
    return this.does('cancelSession', [WHOLE], true);
  }

  /** What the VM is like is looked up: its operation can go neither on nor back. */
  seesVm(): this {
    return this.does('seeVm', [WHOLE]);
  }

  needsAttention(value: boolean): this {
    return this.sets({ NeedsAttention: value });
  }

  /** The end is recorded, and the run ends. */
  finishes(outcome: TerminalState, error: OperationError | null = null): this {
    this.does(...this.end(outcome, error), outcome);
    return outcome === 'SUCCEEDED' ? this.succeeded() : this.failed(outcome);
  }

  /** The database refuses to end it as SUCCEEDED: a cancel was promised. */
  isRefusedTheEnd(): this {
    return this.does(...this.end('SUCCEEDED', null), null);
  }

  /** The end is recorded, and the run ends cancelled. */
  finishesCancelled(): this {
    return this.does(...this.end('CANCELLED', CANCELLED), 'CANCELLED').cancelled();
  }

  /** Whether a cancel could still be obeyed: backups and restores are not rolled back. */
  #mayGoBack(): boolean {
    return !this.#crossed && !FAILING.includes(this.#operation.kind);
  }

  end(outcome: TerminalState, error: OperationError | null): [activity: string, args: unknown[]] {
    return ['finishOperation', [{ operationId: OPERATION_ID, outcome, error, unlessCancelled: this.#mayGoBack() }]];
  }
}
