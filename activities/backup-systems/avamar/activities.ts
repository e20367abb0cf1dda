/**
 * Avamar's activities as sessions.
 * @module
 */
import { z } from 'zod';
import type { CallContext } from '../../calls.ts';
import type { SessionReport } from '../backup-system.ts';
import { backupId } from './backup-id.ts';
import { isAbsent } from './refusal.ts';
import type { AvamarRest } from './rest.ts';
import { activityKind, type Origin, sessionState } from './states.ts';

/** So many activities come with one call. */
const PAGE_SIZE = 500;
/** So few sessions are asked for one by one; more are read from the list. */
const FEW = 3;
/** Sessions that the list has not shown are asked for one by one, so many at most in one call. */
const STRAGGLERS = 20;

const Text = z.string().nullish();

/** `Activity` of the swagger; only what is used. */
const Activity = z.object({
  id: z.string(),
  cid: Text,
  targetCid: Text,
  type: Text,
  state: Text,
  user: Text,
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
type Activity = z.infer<typeof Activity>;

/** A session with what only the search for a lost one needs. */
export interface AvamarSession {
  readonly report: SessionReport;
  readonly origin: Origin;
  /** Restores: the client of the VM that is restored into. */
  readonly targetCid: string | undefined;
  readonly user: string | undefined;
}

/** An activity as a session; `undefined` when it is neither a backup nor a restore of a client. */
function sessionOf(activity: Activity): AvamarSession | undefined {
  const what = activityKind(activity.type);
  const began = activity.queuedDate ?? activity.activatedDate ?? activity.scheduledDate;
  if (what === undefined || !activity.cid || !began) return undefined;
  const state = sessionState(activity.state);
  const isRunning = state === 'RUNNING' || state === 'UNKNOWN';
  const label = activity.stats?.labelNumber;
  const isLabelled = label !== undefined && label !== null && label !== '' && Number(label) !== 0;
  const report: SessionReport = {
    vendorSessionId: activity.id,
    kind: what.kind,
    vendorVmRef: activity.cid,
    state,
    progress: isRunning ? share(activity) : 100,
    scheduled: what.origin === 'SCHEDULE',
    scheduledBy: null,
    startedAt: new Date(began),
    endedAt: !isRunning && activity.completedDate ? new Date(activity.completedDate) : null,
    vendorBackupId: isLabelled ? backupId(activity.cid, String(label)) : null,
    // A restore into a VM overwrites its disks: it stays the machine that it was.
    restoredVmRef: null,
    sizeBytes: activity.stats?.bytesProtected ?? null,
    message: activity.codeReason || activity.description || null,
  };
  const { targetCid, user } = activity;
  return { report, origin: what.origin, targetCid: targetCid ?? undefined, user: user ?? undefined };
}

/** Avamar shows no percentage, only bytes done and bytes guessed, so it stays below 100 until the end. */
function share(activity: Activity): number {
  const done = activity.stats?.bytesProcessed ?? 0;
  const guessed = activity.estimatedBytes ?? 0;
  return guessed > 0 ? Math.min(99, Math.max(0, Math.floor((100 * done) / guessed))) : 0;
}

/** Every session of all clients, the newest first. `duration=0`: however old (a live client of 19.x servers asks so). */
async function* newestFirst(rest: AvamarRest, context: CallContext): AsyncGenerator<AvamarSession> {
  const query = { domain: '/', recursive: 'true', duration: '0', sort: 'queuedDate,desc' };
  const list = { path: '/activities', query, purpose: 'list its activities', item: Activity, pageSize: PAGE_SIZE };
  for await (const activity of rest.items(context, list)) {
    const session = sessionOf(activity);
    if (session !== undefined) yield session;
  }
}

/** All sessions that were queued at or after that moment of Avamar's clock. */
export async function sessionsSince(rest: AvamarRest, context: CallContext, since: Date): Promise<AvamarSession[]> {
  const found = new Map<string, AvamarSession>();
  for await (const session of newestFirst(rest, context)) {
    if (session.report.startedAt < since) break;
    found.set(session.report.vendorSessionId, session);
  }
  return [...found.values()];
}

/** The session of that id; `undefined` when Avamar does not know it (any more). */
export async function session(rest: AvamarRest, context: CallContext, id: string): Promise<AvamarSession | undefined> {
  const path = `/activities/${encodeURIComponent(id)}`;
  try {
    const call = { method: 'GET', path, purpose: `look at the activity ${id}`, answer: Activity } as const;
    return sessionOf((await rest.read(context, call)).body);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/**
 * These sessions. A filter of the API joins its conditions with "and", so several ids cannot be asked for: a few are
 * read one by one, more from the list, the newest first, until all are found.
 */
export async function sessions(
  rest: AvamarRest,
  context: CallContext,
  ids: readonly string[],
): Promise<SessionReport[]> {
  const missing = new Set(ids);
  const found: SessionReport[] = [];
  const take = (one: AvamarSession | undefined): void => {
    if (one !== undefined && missing.delete(one.report.vendorSessionId)) found.push(one.report);
  };
  if (missing.size > FEW) {
    for await (const one of newestFirst(rest, context)) {
      take(one);
      if (missing.size === 0) break;
    }
  }
  for (const id of [...missing].slice(0, STRAGGLERS)) take(await session(rest, context, id));
  return found;
}
