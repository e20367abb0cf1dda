/**
 * What a session inside a backup system leaves behind, and when it can be restored.
 * @module
 */

/** Sessions that work on the VM itself, which is locked meanwhile. */
export type VmSessionKind = 'BACKUP' | 'RESTORE';

/** `REPLICATION`: copies backups of the VM to another system; it touches no VM, so it locks none. */
export type SessionKind = VmSessionKind | 'REPLICATION';

/** `UNKNOWN`: the backup system no longer says what became of it; a later look may. */
export const SESSION_STATES = ['RUNNING', 'SUCCEEDED', 'WARNING', 'FAILED', 'CANCELLED', 'UNKNOWN'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** Whether the session has ended and says how. */
export function sessionEnded(state: SessionState): boolean {
  return state !== 'RUNNING' && state !== 'UNKNOWN';
}

/** Whether the session did what it was begun for. */
export function sessionSucceeded(state: SessionState): boolean {
  return state === 'SUCCEEDED' || state === 'WARNING';
}

/** The status of a backup or restore result; `IN_PROGRESS` from the moment that its session is known. */
export type ResultStatus = 'IN_PROGRESS' | 'SUCCEEDED' | 'SUCCEEDED_WITH_WARNING' | 'FAILED' | 'CANCELLED' | 'UNKNOWN';

const STATUS_OF: Readonly<Record<SessionState, ResultStatus>> = {
  RUNNING: 'IN_PROGRESS',
  SUCCEEDED: 'SUCCEEDED',
  WARNING: 'SUCCEEDED_WITH_WARNING',
  FAILED: 'FAILED',
  CANCELLED: 'CANCELLED',
  UNKNOWN: 'UNKNOWN',
};

/** The status that a session in this state gives its result. */
export function resultStatus(state: SessionState): ResultStatus {
  return STATUS_OF[state];
}

/** Where a copy of a backup stands: there, past its date and gone, or gone before its time. */
export type CopyState = 'LISTED' | 'EXPIRED' | 'MISSING';

/** One copy of a backup, as the expiry check sees it. */
export interface Copy {
  readonly state: CopyState;
  /** By the backup system, or estimated: `null` when nobody can tell. */
  readonly expiresAt: Date | null;
  /** How many checks in a row did not find it listed. */
  readonly absentChecks: number;
}

/** How many checks in a row must miss a copy before its absence is believed. */
export const ABSENCES_BELIEVED = 2;

/**
 * What a look at the backup system makes of a copy. Absence is believed after two checks, and taken back when the
 * copy is listed again. A date, estimated or not, changes no state by itself: a copy past it that is still listed stays
 * restorable and is `overdue`; one that is gone before it is `MISSING`, since what is not there must not be offered.
 * @param listed whether the backup system lists the copy now.
 */
export function afterCheck(copy: Copy, listed: boolean, now: Date): Copy & { readonly overdue: boolean } {
  const past = copy.expiresAt !== null && copy.expiresAt.getTime() <= now.getTime();
  if (listed) return { ...copy, state: 'LISTED', absentChecks: 0, overdue: past };
  const absentChecks = copy.absentChecks + 1;
  if (absentChecks < ABSENCES_BELIEVED) return { ...copy, absentChecks, overdue: past };
  return { ...copy, state: past ? 'EXPIRED' : 'MISSING', absentChecks, overdue: false };
}
