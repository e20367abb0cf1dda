/**
 * Operations: the long-running things that are done to a VM, the steps they are made of, and how they can end.
 * @module
 */

export const OPERATION_KINDS = [
  'REGISTER',
  'DEPLOY',
  'RECONFIGURE',
  'UNDEPLOY',
  'POWER_ON',
  'POWER_OFF',
  'BACKUP',
  'SCHEDULED_BACKUP',
  'RESTORE',
  'SCHEDULE_REFRESH',
  'CLEANUP',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** Who began it: a request to Holdfast, or the backup system (its own schedule, or a person at its console). */
export type OperationOrigin = 'HOLDFAST' | 'BACKUP_SYSTEM';

/** `UNKNOWN_OUTCOME` is open: the run goes on asking and the lock stays until the truth is known. */
export const OPEN_STATES = ['REQUESTED', 'RUNNING', 'UNKNOWN_OUTCOME'] as const;
export const TERMINAL_STATES = ['SUCCEEDED', 'ROLLED_BACK', 'ROLLED_BACK_WITH_RESIDUE', 'FAILED', 'CANCELLED'] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];
export type OperationState = (typeof OPEN_STATES)[number] | TerminalState;

/** Whether the operation has ended. */
export function isTerminal(state: string): state is TerminalState {
  return (TERMINAL_STATES as readonly string[]).includes(state);
}

export const STEP_NAMES = [
  'REGISTER',
  'ALLOCATE',
  'CONFIGURE',
  'POWER_ON',
  'POWER_OFF',
  'RECONFIGURE',
  'COMMIT_DISKS',
  'DECONFIGURE',
  'DEALLOCATE',
  'BACKUP_SCHEDULE',
  'REQUEST_BACKUP',
  'REQUEST_RESTORE',
  'OBSERVE',
  'WATCH',
  'REFRESH',
  'REPLACE',
  'RECORD',
  'REPLICATE',
  'CLEAN_HYPERVISOR',
  'CLEAN_BACKUP_SYSTEM',
] as const;
export type StepName = (typeof STEP_NAMES)[number];

/** The forward life of a step; `SKIPPED` always carries a reason. */
export type StepState = 'PENDING' | 'RUNNING' | 'DONE' | 'FAILED' | 'SKIPPED';

/** The life of a step's undo; `SKIPPED`: there was nothing to undo. */
export type CompensationState = 'RUNNING' | 'DONE' | 'FAILED' | 'SKIPPED';

/** The steps of an operation that began in the backup system: a backup by its schedule, or a restore at its console. */
export const OBSERVED_STEPS: readonly StepName[] = ['OBSERVE', 'WATCH', 'REFRESH', 'RECORD'];

/**
 * The steps of each operation, in order. BACKUP_SCHEDULE has one row per backup manager that it concerns, or a single
 * one that is `SKIPPED` with the reason.
 */
export const STEPS: Readonly<Record<OperationKind, readonly StepName[]>> = {
  REGISTER: ['REGISTER'],
  DEPLOY: ['ALLOCATE', 'CONFIGURE', 'POWER_ON', 'BACKUP_SCHEDULE'],
  RECONFIGURE: ['RECONFIGURE', 'BACKUP_SCHEDULE', 'COMMIT_DISKS'],
  UNDEPLOY: ['BACKUP_SCHEDULE', 'POWER_OFF', 'DECONFIGURE', 'DEALLOCATE'],
  POWER_ON: ['POWER_ON'],
  POWER_OFF: ['POWER_OFF'],
  BACKUP: ['REQUEST_BACKUP', 'WATCH', 'RECORD', 'REPLICATE'],
  SCHEDULED_BACKUP: OBSERVED_STEPS,
  RESTORE: ['REQUEST_RESTORE', 'WATCH', 'REFRESH', 'REPLACE', 'BACKUP_SCHEDULE', 'RECORD'],
  SCHEDULE_REFRESH: ['BACKUP_SCHEDULE'],
  CLEANUP: ['CLEAN_HYPERVISOR', 'CLEAN_BACKUP_SYSTEM'],
};

/**
 * The step whose start is the point of no return: once it is committed the operation goes forward until it is done and
 * can no longer be cancelled.
 */
export const POINT_OF_NO_RETURN: Readonly<Partial<Record<OperationKind, StepName>>> = {
  RECONFIGURE: 'COMMIT_DISKS',
  UNDEPLOY: 'DECONFIGURE',
};

/**
 * How an operation whose run was lost is carried on.
 * - `FORWARD`: it is past its point of no return, or takes nothing back at all: what is left is done.
 * - `WATCH`: the backup system has been asked, or may have been: what became of that is found out.
 * - `UNDO`: everything it began is undone.
 */
export type RecoveryMode = 'FORWARD' | 'WATCH' | 'UNDO';

/** Chooses how a lost run's operation is carried on, from what the database knows of it. */
export function recoveryMode(operation: {
  readonly kind: OperationKind;
  readonly origin: OperationOrigin;
  readonly crossed: boolean;
  /** A session of it is known, or its start was sent and may have begun one. */
  readonly sessionPossible: boolean;
  /** The undo of one of its steps has begun. */
  readonly undoing: boolean;
}): RecoveryMode {
  const { kind, origin, crossed, sessionPossible, undoing } = operation;
  // A refresh wants what is there already: its undo would be the same call once more.
  if (crossed || kind === 'CLEANUP' || kind === 'SCHEDULE_REFRESH') return 'FORWARD';
  if (undoing) return 'UNDO';
  if (origin === 'BACKUP_SYSTEM' || sessionPossible) return 'WATCH';
  return 'UNDO';
}

/** The error of an operation or a step, as the API shows it. */
export interface OperationError {
  readonly code: string;
  readonly message: string;
  /** What the other system said, in its own words. */
  readonly vendorMessage?: string;
}

/** What an operation had to leave behind, where it lies, and the call that removes it. */
export interface Residue {
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  readonly systemName: string;
  readonly ref: string;
  readonly description: string;
  readonly removeWith: string;
}

/**
 * The word in a workflow id and in sentences: `SCHEDULED_BACKUP` → `scheduled-backup`.
 * @example kindSlug('POWER_ON') // 'power-on'
 */
export function kindSlug(kind: OperationKind): string {
  return kind.toLowerCase().replaceAll('_', '-');
}

/**
 * The last 8 hex digits of an id: short enough to read aloud, unique by an index in the database.
 * @example tail('0191d9d0-0000-7000-8000-0000003f9c2a') // '003f9c2a'
 */
export function tail(id: string): string {
  return id.replaceAll('-', '').slice(-8);
}

/**
 * The id of an operation's workflow, written to be read by a person.
 * @param recovery 0 for the first run; recoveries count from 1.
 * @example workflowId({ vmName: 'web-1', vmId, kind: 'DEPLOY', operationId }, 0) // 'vm/web-1~3f9c2a01/deploy~77ab0c1d'
 */
export function workflowId(
  operation: {
    readonly vmName: string;
    readonly vmId: string;
    readonly kind: OperationKind;
    readonly operationId: string;
  },
  recovery: number,
): string {
  const first = `vm/${operation.vmName}~${tail(operation.vmId)}/${kindSlug(operation.kind)}~${tail(operation.operationId)}`;
  return recovery === 0 ? first : `${first}/recovery-${recovery}`;
}
