/**
 * Veeam's sessions as reports: the task of one VM within a run of a job, and the restore of a VM.
 *
 * A backup is always known by the id of its task session, which never changes. A run that ended before it had any task
 * (no VM found, no repository) is reported by the id of its job session, and only when it is over: no task comes then.
 * @module
 */
import type { SessionReport } from '../backup-system.ts';
import { linkedId } from './links.ts';
import { hasEnded, sessionState } from './states.ts';
import { guidOf, jobKey, keptReference, veeamUrn, vmParts } from './urn.ts';
import { attribute, textOf, type XmlElement } from './xml.ts';

/** How long after the end of a run its tasks may still come to light. Milliseconds. */
const LATE_TASKS_MS = 120_000;

const dateOf = (text: string | undefined): Date | undefined => {
  const date = new Date(text ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
};

/** What a session says of itself. */
export interface SessionFacts {
  readonly uid: string;
  readonly startedAt: Date;
  readonly endedAt: Date | null;
  readonly isOver: boolean;
  readonly result: string | undefined;
  /** The job session that a task session belongs to. */
  readonly jobSessionUid: string | undefined;
  /** The job of a job session. */
  readonly jobUid: string | undefined;
  readonly jobName: string | undefined;
  readonly jobType: string | undefined;
  /** The restore point that it made, or restores. */
  readonly pointUid: string | undefined;
  /** The VM, where the session tells it. */
  readonly vmRef: string | undefined;
  /** The machine that a restore has made. */
  readonly restoredRef: string | undefined;
  readonly vmName: string | undefined;
  readonly entity: XmlElement;
}

/** Reads a session of any kind; `undefined` when it lacks what every session has. */
export function sessionFacts(entity: XmlElement): SessionFacts | undefined {
  const uid = attribute(entity, 'UID');
  const startedAt = dateOf(textOf(entity, 'CreationTimeUTC'));
  if (uid === undefined || startedAt === undefined) return undefined;
  const isOver = hasEnded(textOf(entity, 'State'));
  const point = linkedId(entity, 'VmRestorePoint', 'Related');
  const jobSession = textOf(entity, 'JobSessionUid') ?? linkedId(entity, 'BackupJobSession', 'Up');
  return {
    uid,
    startedAt,
    endedAt: isOver ? (dateOf(textOf(entity, 'EndTimeUTC')) ?? startedAt) : null,
    isOver,
    result: textOf(entity, 'Result'),
    jobSessionUid:
      jobSession === undefined ? undefined : veeamUrn('BackupJobSession', guidOf(jobSession) ?? jobSession),
    jobUid: textOf(entity, 'JobUid'),
    jobName: textOf(entity, 'JobName'),
    jobType: textOf(entity, 'JobType'),
    pointUid: point === undefined ? undefined : veeamUrn('VmRestorePoint', point),
    vmRef: keptReference(textOf(entity, 'VmUid')),
    restoredRef: keptReference(textOf(entity, 'RestoredObjRef')),
    vmName: attribute(entity, 'VmDisplayName'),
    entity,
  };
}

const wordsOf = (entity: XmlElement): string | null =>
  textOf(entity, 'Reason') ?? textOf(entity, 'FailureMessage') ?? null;

const numberOf = (text: string | undefined): number | null => {
  const number = Number(text ?? Number.NaN);
  return Number.isFinite(number) && number >= 0 ? number : null;
};

const percent = (text: string | undefined): number => Math.min(99, Math.max(0, Math.floor(numberOf(text) ?? 0)));

/**
 * The report of a backup of one VM. A good one counts as running until its restore point is known, for a time: what is
 * recorded as ended without one would never find it.
 * @param now the server's clock.
 */
export function backupReport(
  task: SessionFacts,
  jobSession: SessionFacts | undefined,
  vmRef: string,
  now: Date,
  restorePointTimeoutSeconds: number,
): SessionReport {
  const message = wordsOf(task.entity) ?? (jobSession === undefined ? null : wordsOf(jobSession.entity));
  const state = sessionState(textOf(task.entity, 'State'), task.result, message);
  const isGood = state === 'SUCCEEDED' || state === 'WARNING';
  const waits = now.getTime() - (task.endedAt?.getTime() ?? 0) < restorePointTimeoutSeconds * 1_000;
  const isComing = isGood && task.pointUid === undefined && waits;
  const isRunning = isComing || state === 'RUNNING' || state === 'UNKNOWN';
  return {
    vendorSessionId: task.uid,
    kind: 'BACKUP',
    vendorVmRef: vmRef,
    state: isComing ? 'RUNNING' : state,
    progress: isRunning ? (isComing ? 99 : percent(jobSession && textOf(jobSession.entity, 'Progress'))) : 100,
    scheduled: true,
    scheduledBy: jobOf(jobSession),
    startedAt: task.startedAt,
    endedAt: isRunning ? null : task.endedAt,
    vendorBackupId: task.pointUid ?? null,
    restoredVmRef: null,
    sizeBytes: numberOf(textOf(task.entity, 'TotalSize')),
    message: isComing ? 'the backup has ended and its restore point is not listed yet' : message,
  };
}

function jobOf(jobSession: SessionFacts | undefined): string | null {
  return jobSession?.jobUid === undefined ? null : jobKey(jobSession.jobUid);
}

/** The report of a run that failed before it had a task; `undefined` while it may still get one. */
export function failedRunReport(jobSession: SessionFacts, vmRef: string, now: Date): SessionReport | undefined {
  const { uid, startedAt, endedAt, entity } = jobSession;
  const isOld = now.getTime() - (endedAt?.getTime() ?? now.getTime()) >= LATE_TASKS_MS;
  if (jobSession.result?.toLowerCase() !== 'failed' || !isOld) return undefined;
  const message = wordsOf(entity) ?? 'the job ended before it came to the virtual machine';
  return {
    vendorSessionId: uid,
    kind: 'BACKUP',
    vendorVmRef: vmRef,
    state: sessionState(textOf(entity, 'State'), jobSession.result, message),
    progress: 100,
    scheduled: true,
    scheduledBy: jobOf(jobSession),
    startedAt,
    endedAt,
    vendorBackupId: null,
    restoredVmRef: null,
    sizeBytes: null,
    message,
  };
}

/** The MoRef of what was restored. In another vCenter the same one is a machine of somebody else, so it is not told. */
function restoredMachine(restoredRef: string | undefined, vmRef: string): string | null {
  const [made, of] = [vmParts(restoredRef), vmParts(vmRef)];
  return made !== undefined && made.rootId.toLowerCase() === of?.rootId.toLowerCase() ? made.moref : null;
}

/** The report of a restore of a whole VM. */
export function restoreReport(session: SessionFacts, vmRef: string): SessionReport {
  const message = wordsOf(session.entity);
  const state = sessionState(textOf(session.entity, 'State'), session.result, message);
  const isRunning = state === 'RUNNING' || state === 'UNKNOWN';
  const isGood = state === 'SUCCEEDED' || state === 'WARNING';
  return {
    vendorSessionId: session.uid,
    kind: 'RESTORE',
    vendorVmRef: vmRef,
    state,
    progress: isRunning ? percent(textOf(session.entity, 'Progress')) : 100,
    scheduled: false,
    scheduledBy: null,
    startedAt: session.startedAt,
    endedAt: isRunning ? null : session.endedAt,
    vendorBackupId: session.pointUid ?? null,
    restoredVmRef: isGood ? restoredMachine(session.restoredRef, vmRef) : null,
    sizeBytes: null,
    message,
  };
}

/** Whether the session restores a whole VM; `FileLevelRestore` and others change no machine. */
export function isVmRestore(session: SessionFacts): boolean {
  return session.jobType?.toLowerCase() === 'restorevm';
}
