/**
 * What the workflows and the activities say to each other: types only, since workflow code may import nothing else.
 * Everything here is stored in Temporal's history: small, and free of secrets and personal data.
 * @module
 */
import type { OperationError, OperationKind, RecoveryMode, StepName, TerminalState } from '../domain/operations.ts';
import type { SessionKind, SessionState } from '../domain/results.ts';

/** How long things are retried. A workflow's input, so that tests use milliseconds where operators use hours. */
export interface Limits {
  /** Transient errors of a step, before the operation rolls back. */
  readonly stepRetryMs: number;
  /** Errors of an undo, before what it could not undo is named as residue. */
  readonly undoRetryMs: number;
}

/** The input of every workflow that runs an operation. */
export interface OperationInput {
  readonly operationId: string;
  readonly limits: Limits;
}

/** A step of the plan, as the workflow follows it. */
export interface BriefedStep {
  readonly name: StepName;
  readonly managerId: string | null;
  /** For people: the name of the backup manager that the step concerns. */
  readonly managerName: string | null;
  /** Why the step is left out; `null` when it is to be done. */
  readonly skip: string | null;
  /** How far an earlier run has come with it; `null`: none has begun it. */
  readonly before: 'BEGUN' | 'DONE' | 'UNDONE' | null;
}

/** What a run is told when it begins. */
export interface Briefing {
  readonly kind: OperationKind;
  readonly vmName: string;
  readonly datacenterName: string;
  readonly enterpriseName: string;
  readonly steps: readonly BriefedStep[];
  /** UNDEPLOY: go on past a backup system that does not remove its schedule. */
  readonly force: boolean;
  /** How an operation is carried on whose run was lost; `null` for its first run. */
  readonly recovery: {
    readonly mode: RecoveryMode;
    /** How the run was lost, in words. */
    readonly lost: string;
    /** A cancel was promised before the run was lost. */
    readonly cancelled: boolean;
  } | null;
}

/** The input of an activity that makes an attempt of a step. */
export interface StepInput {
  readonly operationId: string;
  readonly managerId: string | null;
  /** How long transient errors are retried; `null`: until it is done (past the point of no return). */
  readonly retryMs: number | null;
}

/** The input of the activity that undoes a step. */
export interface UndoInput extends StepInput {
  readonly name: StepName;
}

/** How an operation ends. */
export interface OperationEnd {
  readonly operationId: string;
  readonly outcome: TerminalState;
  readonly error: OperationError | null;
  /** Refuses to end it as SUCCEEDED when a cancel was promised in the meantime. */
  readonly unlessCancelled: boolean;
}

/** What a look at an operation's session shows. */
export interface SessionView {
  readonly kind: SessionKind;
  readonly state: SessionState;
  readonly ended: boolean;
  readonly succeeded: boolean;
  /** The backup system's own words. */
  readonly message: string | null;
}

/** Activities that change only the database. */
export interface ControlActivities {
  /** Binds the run to its operation. Fails with `FENCED` when the operation is another run's, or has ended. */
  beginOperation(operationId: string): Promise<Briefing>;
  /** Decides on a cancellation; true: the operation rolls back. */
  decideCancel(operationId: string): Promise<boolean>;
  /** Crosses the point of no return; false: a cancel came first. */
  crossPointOfNoReturn(operationId: string): Promise<boolean>;
  /** Outcome, VM, lock and events, in one transaction; `null`: a cancel was promised, so it has not ended. */
  finishOperation(end: OperationEnd): Promise<TerminalState | null>;
  /** The newest known state of the operation's session. */
  lookAtSession(operationId: string): Promise<SessionView>;
}

/** Activities that touch a hypervisor or a backup system. Each records its own step. */
export interface StepActivities {
  /** Takes over a machine that runs in the hypervisor already. */
  register(step: StepInput): Promise<void>;
  allocate(step: StepInput): Promise<void>;
  configure(step: StepInput): Promise<void>;
  powerOn(step: StepInput): Promise<void>;
  powerOff(step: StepInput): Promise<void>;
  reconfigureHardware(step: StepInput): Promise<void>;
  commitDisks(step: StepInput): Promise<void>;
  deconfigure(step: StepInput): Promise<void>;
  deallocate(step: StepInput): Promise<void>;
  /** Makes the schedule in one backup system be the desired one. */
  configureSchedule(step: StepInput): Promise<void>;
  removeSchedule(step: StepInput): Promise<void>;
  requestBackup(step: StepInput): Promise<void>;
  requestRestore(step: StepInput): Promise<void>;
  observeSession(step: StepInput): Promise<void>;
  /** Takes over what a restore made of the VM. */
  refreshVm(step: StepInput): Promise<void>;
  /** Removes the machine that a restored one has superseded. */
  replaceVm(step: StepInput): Promise<void>;
  recordResult(step: StepInput): Promise<void>;
  /** Begins to copy the backup that the operation made to another system; the backup system's watch sees it end. */
  replicateBackup(step: StepInput): Promise<void>;
  /** Fails with `VM_BEING_BACKED_UP` when a backup system is working on the VM. */
  ensureNoSession(step: StepInput): Promise<void>;
  /** Asks the backup system to stop the operation's session; false when it cannot. */
  cancelSession(step: StepInput): Promise<boolean>;
  /** Notes what the VM is like in the hypervisor when its operation can go neither on nor back. */
  seeVm(step: StepInput): Promise<void>;
  /** Clears what an earlier operation left in the hypervisor. */
  cleanHypervisor(step: StepInput): Promise<void>;
  /** Clears what an earlier operation left in one backup system. */
  cleanBackupSystem(step: StepInput): Promise<void>;
  undoStep(undo: UndoInput): Promise<void>;
}

/** The input of the workflow that watches a backup manager. */
export interface WatchInput {
  readonly managerId: string;
  readonly managerName: string;
  /** Between two looks at the backup system while sessions are in flight. Milliseconds. */
  readonly busyMs: number;
  /** The same while none is; in between only the database is looked at, so that a new session is seen at once. */
  readonly idleMs: number;
  /** Between two syncs of results. Milliseconds. */
  readonly resultsSyncMs: number;
}

/** What one look at a backup system found: counts, never lists. */
export interface TickSummary {
  readonly inFlight: number;
  readonly adopted: number;
  readonly ended: number;
  /** Schedules whose refresh was begun. */
  readonly refreshed: number;
  /** Whether there is anything left to watch for. */
  readonly needed: boolean;
  /** The code of the error that kept this look from succeeding. */
  readonly error: string | null;
}

/** What one pass of the expiry check found. */
export interface ExpirySummary {
  readonly checked: number;
  readonly expired: number;
  readonly missing: number;
  readonly overdue: number;
  /** Whether more copies wait to be checked. */
  readonly more: boolean;
}

/** Activities that run periodically, on a queue of their own. */
export interface PeriodicActivities {
  tickManager(input: WatchInput): Promise<TickSummary>;
  checkExpired(managerId: string): Promise<ExpirySummary>;
  checkManager(managerId: string): Promise<void>;
}

/** Sent to a VM's workflow when its session has ended; carries nothing, the truth is in the database. */
export const SESSION_CHANGED = 'sessionChanged';

/** The type of the failure that ends a run which has been overtaken. */
export const FENCED = 'FENCED';
