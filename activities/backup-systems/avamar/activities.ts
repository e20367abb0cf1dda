/**
 * The list of Avamar's activities, read for the sessions in it.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import type { SessionReport } from '../backup-system.ts';
import { Activity, activityIdOf, type AvamarSession, replicationFor, vmSession } from './activity.ts';
import { isAbsent } from './refusal.ts';
import { groupMembers } from './replication-groups.ts';
import type { AvamarRest } from './rest.ts';
import { activityKind } from './states.ts';

/** So many activities come with one call. */
const PAGE_SIZE = 500;
/** So few activities are asked for one by one; more are read from the list. */
const FEW = 3;
/** Activities that the list has not shown are asked for one by one, so many at most in one call. */
const STRAGGLERS = 20;
/** Of so many replications it is remembered for whom they copy. */
const REMEMBERED = 1_000;

/** The sessions of one Avamar server. */
export interface ActivityList {
  /** All sessions that were queued at or after that moment of Avamar's clock. */
  since(context: CallContext, since: Date): Promise<AvamarSession[]>;
  /**
   * These sessions. A filter of the API joins its conditions with "and", so several ids, or the states of what has not
   * ended, cannot be asked for: a few are read one by one, more from the list, the newest first, until all are found.
   */
  reports(context: CallContext, ids: readonly string[]): Promise<SessionReport[]>;
  /** The session of that id; `undefined` when Avamar does not know it (any more). */
  session(context: CallContext, id: string): Promise<AvamarSession | undefined>;
}

/** Reads the activities of a server, and remembers for whom its replications copy. */
export function activityList(rest: AvamarRest): ActivityList {
  const members = new Map<string, readonly string[]>();

  /** For whom a replication copies: its children say so; where it shows none, the group that it is a run of. */
  async function clientsOf(context: CallContext, run: Activity): Promise<readonly string[]> {
    const shown = (run.children ?? []).flatMap(({ cid }) => cid || []);
    if (shown.length > 0) return [...new Set(shown)];
    if (!run.groupId) return run.cid ? [run.cid] : [];
    const known = members.get(run.id);
    if (known !== undefined) return known;
    const found = await groupMembers(rest, context, run.groupId);
    const [oldest] = members.keys();
    if (members.size >= REMEMBERED && oldest !== undefined) members.delete(oldest);
    members.set(run.id, found);
    return found;
  }

  async function sessionsOf(context: CallContext, activity: Activity): Promise<AvamarSession[]> {
    if (activityKind(activity)?.kind !== 'REPLICATION') return [vmSession(activity)].filter((one) => one !== undefined);
    // A client's part that is listed beside its run is told with the run.
    if (activity.parentWid) return [];
    const cids = await clientsOf(context, activity);
    return cids.map((cid) => replicationFor(activity, cid)).filter((one) => one !== undefined);
  }

  /** Every session of all clients, the newest first. `duration=0`: however old (a client of live servers asks so). */
  async function* newestFirst(context: CallContext): AsyncGenerator<AvamarSession> {
    const query = { domain: '/', recursive: 'true', duration: '0', sort: 'queuedDate,desc' };
    const list = { path: '/activities', query, purpose: 'list its activities', item: Activity, pageSize: PAGE_SIZE };
    for await (const activity of rest.items(context, list)) yield* await sessionsOf(context, activity);
  }

  async function ofActivity(context: CallContext, activityId: string): Promise<AvamarSession[]> {
    const path = `/activities/${encodeURIComponent(activityId)}`;
    try {
      const call = { method: 'GET', path, purpose: `look at the activity ${activityId}`, answer: Activity } as const;
      return await sessionsOf(context, (await rest.read(context, call)).body);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  return {
    async since(context, since) {
      const found = new Map<string, AvamarSession>();
      for await (const session of newestFirst(context)) {
        if (session.report.startedAt < since) break;
        found.set(session.report.vendorSessionId, session);
      }
      return [...found.values()];
    },

    async reports(context, ids) {
      const missing = new Set(ids);
      const found: SessionReport[] = [];
      const take = ({ report }: AvamarSession): void => {
        if (missing.delete(report.vendorSessionId)) found.push(report);
      };
      const activities = () => [...new Set([...missing].map(activityIdOf))];
      if (activities().length > FEW) {
        for await (const one of newestFirst(context)) {
          take(one);
          if (missing.size === 0) break;
        }
      }
      for (const id of activities().slice(0, STRAGGLERS)) for (const one of await ofActivity(context, id)) take(one);
      return found;
    },

    async session(context, id) {
      const all = await ofActivity(context, activityIdOf(id));
      return all.find(({ report }) => report.vendorSessionId === id);
    },
  };
}
