/**
 * One activity of Avamar as a session: a backup, a restore, or what a replication copies for one client.
 * @module
 */
import { z } from 'zod';
import type { SessionState } from '../../../domain/results.ts';
import { sessionEnded } from '../../../domain/results.ts';
import type { SessionReport } from '../backup-system.ts';
import { backupId } from './backup-id.ts';
import { copiedAlone } from './names.ts';
import { activityKind, type Origin, sessionState } from './states.ts';

const Text = z.string().nullish();

/** `Activity` of the swagger; only what is used. */
const Work = z.object({
  id: z.string(),
  cid: Text,
  targetCid: Text,
  type: Text,
  pluginName: Text,
  state: Text,
  user: Text,
  groupId: Text,
  groupFqdn: Text,
  parentWid: Text,
  canceling: z.boolean().nullish(),
  codeReason: Text,
  description: Text,
  errorCode: z.number().nullish(),
  queuedDate: Text,
  activatedDate: Text,
  scheduledDate: Text,
  completedDate: Text,
  estimatedBytes: z.number().nullish(),
  stats: z
    .object({
      labelNumber: z.union([z.string(), z.number()]).nullish(),
      bytesProtected: z.number().nullish(),
      bytesProcessed: z.number().nullish(),
    })
    .nullish(),
});
type Work = z.infer<typeof Work>;

/** `children` are the clients' parts of a replication. */
export const Activity = Work.extend({ children: z.array(Work).nullish() });
export type Activity = z.infer<typeof Activity>;

/** A session with what only the search for one needs. */
export interface AvamarSession {
  readonly report: SessionReport;
  readonly origin: Origin;
  /** Restores: the client of the VM that is restored into. */
  readonly targetCid: string | undefined;
  readonly user: string | undefined;
  readonly groupId: string | undefined;
  /** Whether Avamar is stopping it. */
  readonly isCanceling: boolean;
}

/** The activity as a backup or a restore; `undefined` when it is neither, or says not whose or since when. */
export function vmSession(activity: Activity): AvamarSession | undefined {
  const what = activityKind(activity);
  const startedAt = beginning(activity);
  if (what === undefined || what.kind === 'REPLICATION' || !activity.cid || startedAt === undefined) return undefined;
  const label = activity.stats?.labelNumber;
  const isLabelled = label !== undefined && label !== null && label !== '' && Number(label) !== 0;
  const isScheduled = what.origin === 'SCHEDULE';
  const report: SessionReport = {
    ...outcomeOf(activity, sessionState(activity.state)),
    vendorSessionId: activity.id,
    kind: what.kind,
    vendorVmRef: activity.cid,
    scheduled: isScheduled,
    scheduledBy: isScheduled ? activity.groupId || null : null,
    startedAt,
    vendorBackupId: isLabelled ? backupId(activity.cid, String(label)) : null,
    // A restore into a VM overwrites its disks: it stays the machine that it was.
    restoredVmRef: null,
  };
  return { ...searchable(activity), report, origin: what.origin };
}

/**
 * A replication as the session of one client: one run copies for all clients of its group, each with an end of its own.
 * @returns `undefined` when it does not say since when it runs.
 */
export function replicationFor(run: Activity, cid: string): AvamarSession | undefined {
  const startedAt = beginning(run);
  if (startedAt === undefined) return undefined;
  const { origin } = activityKind(run) ?? { origin: 'UNCLEAR' };
  const label = copiedAlone(run.groupFqdn ?? undefined, cid);
  const part = decidingPart(run.children?.filter((child) => child.cid === cid) ?? []);
  const ofPart = sessionState(part?.state);
  const ofRun = sessionState(run.state);
  // A part that is left without an end when its run has one has ended with it.
  const isPartsOwn = part !== undefined && (sessionEnded(ofPart) || !sessionEnded(ofRun));
  const report: SessionReport = {
    ...(isPartsOwn ? outcomeOf(part, ofPart, run.completedDate) : outcomeOf(run, ofRun)),
    vendorSessionId: replicationId(run.id, cid),
    kind: 'REPLICATION',
    vendorVmRef: cid,
    // Who asks for one has a name; a schedule has none.
    scheduled: origin === 'SCHEDULE' || (origin === 'UNCLEAR' && !run.user),
    scheduledBy: null,
    startedAt,
    vendorBackupId: label === undefined ? null : backupId(cid, label),
    restoredVmRef: null,
  };
  return { ...searchable(run), report, origin };
}

/** A client may have several parts: it is done when all are, and no better than the worst. */
const WORST_FIRST: readonly SessionState[] = ['RUNNING', 'FAILED', 'CANCELLED', 'WARNING', 'SUCCEEDED'];

/** @returns `undefined` when the state of a part tells nothing: then what the run says is all that is known. */
function decidingPart(parts: readonly Work[]): Work | undefined {
  if (parts.some((part) => sessionState(part.state) === 'UNKNOWN')) return undefined;
  return WORST_FIRST.map((state) => parts.find((part) => sessionState(part.state) === state)).find((part) => part);
}

/** `<activity id>/<client id>`: one activity covers several clients, and a session is of one VM. */
function replicationId(activityId: string, cid: string): string {
  return `${activityId}/${cid}`;
}

/** The activity of a session, whatever its kind. */
export function activityIdOf(vendorSessionId: string): string {
  return vendorSessionId.split('/', 1)[0] ?? vendorSessionId;
}

/** The client of a replication's session; `undefined` for a session of another kind. */
export function clientIdOf(vendorSessionId: string): string | undefined {
  return vendorSessionId.slice(activityIdOf(vendorSessionId).length + 1) || undefined;
}

const searchable = ({ targetCid, user, groupId, canceling }: Work) => ({
  targetCid: targetCid || undefined,
  user: user || undefined,
  groupId: groupId || undefined,
  isCanceling: canceling === true,
});

function beginning({ queuedDate, activatedDate, scheduledDate }: Work): Date | undefined {
  const began = new Date(queuedDate || activatedDate || scheduledDate || NaN);
  return Number.isNaN(began.getTime()) ? undefined : began;
}

type Outcome = Pick<SessionReport, 'state' | 'progress' | 'endedAt' | 'sizeBytes' | 'message'>;

/** @param endOfWhole when what it is part of was completed. */
function outcomeOf(work: Work, state: SessionState, endOfWhole?: string | null): Outcome {
  const isEnded = sessionEnded(state);
  const completed = work.completedDate || endOfWhole;
  return {
    state,
    progress: isEnded ? 100 : share(work),
    endedAt: isEnded && completed ? new Date(completed) : null,
    sizeBytes: work.stats?.bytesProtected ?? null,
    message: wordsOf(work, state),
  };
}

/** Avamar's code and reason; where it gives no reason, the state is more telling than nothing. */
function wordsOf({ errorCode, codeReason, description, state: given }: Work, state: SessionState): string | null {
  const isGood = state === 'SUCCEEDED' || !sessionEnded(state);
  const reason = codeReason || description || (isGood ? null : given || null);
  return reason !== null && errorCode ? `${errorCode}: ${reason}` : reason;
}

/** Avamar shows no percentage, only bytes done and bytes guessed, so it stays below 100 until the end. */
function share({ stats, estimatedBytes }: Work): number {
  const done = stats?.bytesProcessed ?? 0;
  const guessed = estimatedBytes ?? 0;
  return guessed > 0 ? Math.min(99, Math.max(0, Math.floor((100 * done) / guessed))) : 0;
}
