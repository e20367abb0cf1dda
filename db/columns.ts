/**
 * What the columns hold that the database knows only as text or jsonb. The generated `schema.ts` imports these.
 * @module
 */
import type { ColumnType, Generated } from 'kysely';
import type { BackupSchedule, ChosenPolicy } from '../domain/schedules.ts';
import type { Hardware, PowerState } from '../domain/virtual-machines.ts';

export type { Severity } from '../domain/events.ts';
export type {
  CompensationState,
  OperationError,
  OperationKind,
  OperationOrigin,
  OperationState,
  StepName,
  StepState,
} from '../domain/operations.ts';
export type { Role } from '../domain/privileges.ts';
export type { CopyState, ResultStatus, SessionKind, SessionState } from '../domain/results.ts';
export type { PolicyConfiguration } from '../domain/policies.ts';
export type { BackupSchedule, ChosenPolicy } from '../domain/schedules.ts';
export type { Disk, VmState } from '../domain/virtual-machines.ts';

/** jsonb is written as text: the driver would turn a JavaScript array into a PostgreSQL array. */
export type Json<T> = ColumnType<T, string, string>;
export type NullableJson<T> = ColumnType<T | null, string | null | undefined, string | null>;
export type WithDefault<T> = ColumnType<T, string | undefined, string>;
export type Defaulted<T> = Generated<T>;

/** How the certificate of an endpoint is trusted. */
export type Tls =
  | { readonly mode: 'system' }
  | { readonly mode: 'ca'; readonly pem: string }
  | { readonly mode: 'fingerprint'; readonly sha256: string };

/** What the last check of a backup manager found. */
export interface StoredCheck {
  readonly reachable: boolean;
  readonly version: string | null;
  readonly identity: string | null;
  /** The backup system's clock minus ours. */
  readonly clockSkewSeconds: number | null;
  readonly problems: readonly { readonly code: string; readonly message: string }[];
  /** For each policy of the manager: whether the backup system can serve it. */
  readonly policies: readonly { readonly code: string; readonly ok: boolean; readonly message: string | null }[];
}

/** What a request asks for beyond its kind. */
export interface OperationRequest {
  /** BACKUP: the policy to back up by. RESTORE: the result and the copy to restore. */
  readonly policyId?: string;
  readonly managerId?: string;
  readonly replication?: boolean;
  readonly retentionDays?: number;
  readonly resultId?: string;
  readonly copyId?: string;
  /** SCHEDULED_BACKUP and adopted restores: the session that was found. */
  readonly sessionId?: string;
  /** RECONFIGURE: the labels of the disks that are deleted with what is on them. */
  readonly removedDisks?: readonly string[];
  /** UNDEPLOY: go on past a backup system that does not remove its schedule. */
  readonly forceUndeploy?: boolean;
  /** REGISTER: what the hypervisor calls the machine that becomes this VM. */
  readonly hypervisorRef?: string;
  /** CLEANUP: the operation whose residue is to be cleared. */
  readonly cleansUp?: string;
}

/** How an operator has decided that an operation ends. */
export interface Settlement {
  readonly outcome: 'SUCCEEDED' | 'FAILED';
  readonly reason: string;
  readonly by: string;
  /** ISO 8601. */
  readonly at: string;
}

/** What the hypervisor showed of a VM whose operation could go neither on nor back. */
export interface SeenVm {
  readonly power: PowerState;
  readonly hardware: Hardware;
}

/** What the VM shall be when the operation has ended well. */
export interface DesiredConfiguration {
  readonly hardware?: Hardware;
  readonly backupPolicies?: readonly ChosenPolicy[];
  /** One per backup manager, settled when the operation was requested. */
  readonly schedules?: readonly BackupSchedule[];
}

/** What a plugin needs to find, change or remove a schedule that it made. Its content is the plugin's own. */
export interface ScheduleRef {
  /** What the backup system calls the VM. */
  readonly vmRef: string;
  /**
   * When the schedule must be applied again although nothing about it changes, by the backup system's clock, ISO 8601:
   * the zone's offset changes then and the backup system keeps an offset only. Absent: never.
   */
  readonly refreshAt?: string | undefined;
  /** The policies that it schedules, each by what `SessionReport.scheduledBy` calls what runs it. */
  readonly policies?: Readonly<Record<string, string>>;
  readonly [key: string]: unknown;
}

/** What the undo of a step needs: how things were before its first effect. */
export interface StepUndoInput {
  readonly hypervisorRef?: string | null;
  readonly power?: PowerState | null;
  readonly hardware?: Hardware;
  readonly schedule?: BackupSchedule | null;
  readonly scheduleRef?: ScheduleRef | null;
  /** REPLICATE: the backup system's clock before the first request for it, ISO 8601. */
  readonly vendorTime?: string;
  /** REQUEST_RESTORE: the machines that bore the VM's mark before the restore was begun. */
  readonly machines?: readonly string[];
}

/** What a step made. */
export interface StepMade {
  readonly hypervisorRef?: string;
  readonly scheduleRef?: ScheduleRef | null;
  readonly schedule?: BackupSchedule | null;
  readonly sessionId?: string;
  readonly hardware?: Hardware;
  readonly power?: PowerState;
  /** REFRESH: whether the hypervisor calls the VM something else than before the restore. */
  readonly referenceChanged?: boolean;
  /** REFRESH: the machine that was the VM before a restore and may still be there. REPLACE, CLEAN_HYPERVISOR: removed. */
  readonly superseded?: string;
}

export type IntentKind = 'START_BACKUP' | 'START_RESTORE' | 'NAMED_WRITE';

/** What an intent is about: enough to recognise the session that a lost answer left. */
export interface IntentSubject {
  readonly vendorVmRef?: string;
  readonly vendorBackupId?: string;
  readonly name?: string;
}
