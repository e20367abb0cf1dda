/**
 * The port to a backup system. The backup system owns the schedules and the backups; Holdfast tells it what to do and
 * keeps the record true.
 *
 * Vendors have no idempotency keys. What can be named is named after the VM, looked for before it is made, and looked
 * for again when an answer is lost. What cannot be named (a backup, a restore) is started once and then searched for
 * with `findSession`.
 * @module
 */
import type { ScheduleRef, StoredCheck, Tls } from '../../db/columns.ts';
import type { SessionKind, SessionState, VmSessionKind } from '../../domain/results.ts';
import type { BackupSchedule } from '../../domain/schedules.ts';
import type { CallContext, NamingContext } from '../calls.ts';
import type { OnCall } from '../http.ts';

/** A value that must not be seen: it prints as `[secret]` in logs, texts and JSON. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself, for the one call that needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

/** A backup manager with its credentials unsealed: made by an activity just before use, for one attempt. */
export interface ManagerConnection {
  readonly id: string;
  readonly name: string;
  readonly endpoint: string | null;
  readonly credentials: { readonly user: string; readonly password: Secret } | null;
  readonly tls: Tls;
  /** To be told of every call to the backup system. */
  readonly onCall?: OnCall | undefined;
}

/** A VM as a backup system sees it. */
export interface ProtectedVm {
  readonly id: string;
  readonly name: string;
  /** What the hypervisor calls it now; `null` while it is not there. */
  readonly hypervisorRef: string | null;
  /** What this backup system calls it and has called it, newest first. */
  readonly vendorRefs: readonly string[];
}

/** What the backup system says of one session. */
export interface SessionReport {
  readonly vendorSessionId: string;
  readonly kind: SessionKind;
  /** What the backup system calls the VM. */
  readonly vendorVmRef: string;
  readonly state: SessionState;
  /** 0 to 100. */
  readonly progress: number;
  /** Whether the backup system's own schedule began it. */
  readonly scheduled: boolean;
  /** What of the backup system's schedules began it, as `ScheduleRef.policies` calls it; `null`: none, or not told. */
  readonly scheduledBy: string | null;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  /** The backup that it made, restored, or copied alone, where that is known. */
  readonly vendorBackupId: string | null;
  /** Restores: what the hypervisor calls the machine that was restored, where the backup system tells. */
  readonly restoredVmRef: string | null;
  readonly sizeBytes: number | null;
  /** The backup system's own words about its end. */
  readonly message: string | null;
}

/** A VM whose backups are listed. */
export interface ListedVm {
  /** What the backup system calls it. */
  readonly vendorVmRef: string;
  /** What the VM is backed up by in that manager now, to estimate dates from; `null`: no schedule, so no estimate. */
  readonly schedule: BackupSchedule | null;
}

/** One copy of a backup. */
export interface CopyReport {
  readonly location: string;
  /** What people call the location, where that is something else. */
  readonly locationName: string | null;
  readonly vendorId: string;
  /** `null` with `expiryEstimated`: nothing is known to estimate from; an earlier estimate stays. */
  readonly expiresAt: Date | null;
  /** The backup system names no date; this one follows from the retention. */
  readonly expiryEstimated: boolean;
}

/** A backup that the backup system lists. */
export interface ResultReport {
  readonly vendorBackupId: string;
  readonly vendorVmRef: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly sizeBytes: number | null;
  readonly copies: readonly CopyReport[];
}

/** What to look for when the answer to a start was lost. */
export interface LostStart {
  readonly kind: VmSessionKind;
  readonly vendorVmRef: string;
  /** The backup system's clock when the start was sent. */
  readonly vendorTime: Date;
  /** Restores: the backup that was to be restored. */
  readonly vendorBackupId: string | null;
  /** Sessions that are known to be something else. */
  readonly notThese: readonly string[];
}

/**
 * `NONE`: there is no such session (yet). `AMBIGUOUS`: there is one that may or may not be ours; it is never claimed.
 */
export type FoundSession = SessionReport | 'NONE' | 'AMBIGUOUS';

/** Points at one copy of a backup. */
export interface CopyRef {
  readonly vendorVmRef: string;
  readonly vendorId: string;
  readonly location: string;
}

/** @throws ExternalSystemError from every method. */
export interface BackupSystem {
  /**
   * Looks whether the backup system can be used: reachable, version, rights, clock, and the policies' codes.
   * @param copied the codes of policies whose backups are to be copied to another system.
   */
  check(context: CallContext, policyCodes: readonly string[], copied?: readonly string[]): Promise<StoredCheck>;
  /** The backup system's own clock. */
  serverTime(context: CallContext): Promise<Date>;
  /**
   * Makes the VM's schedule in the backup system be this one. Idempotent.
   * @param previous what an earlier call returned for this VM; `undefined` when there is no schedule yet.
   * @returns what a later call needs to change or remove it.
   */
  applySchedule(
    context: NamingContext,
    vm: ProtectedVm,
    schedule: BackupSchedule,
    previous: ScheduleRef | undefined,
  ): Promise<ScheduleRef>;
  /**
   * Removes what `applySchedule` made, and nothing else; absent is success. Existing backups stay.
   * @param ref `undefined` when the answer of `applySchedule` never came: then by name and marker.
   */
  removeSchedule(context: NamingContext, vm: ProtectedVm, ref: ScheduleRef | undefined): Promise<void>;
  /** Starts a backup of the VM now. Not idempotent: see `findSession`. */
  startBackup(
    context: CallContext,
    vm: ProtectedVm,
    options: { readonly retentionDays: number; readonly disks: readonly string[] | null },
  ): Promise<{ readonly vendorSessionId: string; readonly vendorVmRef: string }>;
  /** Starts a restore of that copy into the VM's current reference. Not idempotent: see `findSession`. */
  startRestore(
    context: CallContext,
    vm: ProtectedVm,
    copy: CopyRef,
  ): Promise<{ readonly vendorSessionId: string; readonly vendorVmRef: string }>;
  /**
   * Begins to copy a backup of the VM to the other system that the backup system knows; the VM's other backups may be
   * copied with it. What is there already is not copied again, so one that is begun twice does no harm: a later attempt
   * looks first for what an earlier one has begun.
   * @param since the backup system's clock before the first attempt.
   */
  startReplication(
    context: CallContext,
    vm: ProtectedVm,
    backup: { readonly vendorVmRef: string; readonly vendorBackupId: string; readonly since: Date },
  ): Promise<{ readonly vendorSessionId: string; readonly vendorVmRef: string }>;
  /** What the VM would be called in a session begun now; makes it known to the backup system if it is not. */
  vmReference(context: CallContext, vm: ProtectedVm): Promise<string>;
  /** The session that a start whose answer was lost may have left. */
  findSession(context: CallContext, start: LostStart): Promise<FoundSession>;
  /** How long after a start a session may first be listed. Milliseconds. */
  readonly quietPeriodMs: number;
  /** Reports on these sessions, in as few calls as the vendor allows; one that is not known any more is left out. */
  sessions(context: CallContext, vendorSessionIds: readonly string[]): Promise<SessionReport[]>;
  /** All sessions of all VMs that began at or after that moment of the backup system's clock. */
  sessionsSince(context: CallContext, since: Date): Promise<SessionReport[]>;
  /** Asks the backup system to stop the session; what became of it is read from the session. */
  cancel(context: CallContext, vendorSessionId: string): Promise<void>;
  /** The backups of these VMs made at or after that moment. */
  listResults(context: CallContext, vms: readonly ListedVm[], since: Date): AsyncIterable<ResultReport>;
  /** One backup of the VM, or `undefined` when it is not listed. */
  result(context: CallContext, vm: ListedVm, vendorBackupId: string): Promise<ResultReport | undefined>;
  /** Which of these copies still exist, as keys made by `copyKey`. */
  listed(context: CallContext, copies: readonly CopyRef[]): Promise<ReadonlySet<string>>;
}

/** The key of a copy in the answer of `listed`. */
export function copyKey(copy: CopyRef): string {
  return JSON.stringify([copy.vendorVmRef, copy.vendorId, copy.location]);
}

/** A kind of backup system; `type` is a backup plugin type. */
export interface BackupPlugin {
  readonly type: string;
  /** A client for one manager. Makes no call; may keep a login for as long as it lives. */
  connect(manager: ManagerConnection): BackupSystem;
}
