/**
 * The list of Avamar's activities, read for the sessions in it.
 * @module
 */
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { SessionReport } from '../backup-system.ts';
import { Activity, activityIdOf, type AvamarSession, clientIdOf, replicationFor, vmSession } from './activity.ts';
import { isAbsent } from './refusal.ts';
import { allMembers } from './replication-groups.ts';
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

  const remember = (runId: string, cids: readonly string[]): void => {
    const [oldest] = members.keys();
    if (members.size >= REMEMBERED && oldest !== undefined) members.delete(oldest);
    members.set(runId, cids);
  };

  /**
   * For whom replications copy that show no children: the members of the groups that they are runs of, read by one list
   * however many they are. Where it cannot be read, nobody's for now: that must not hide the sessions of all others.
   */
  async function membersOf(context: CallContext, runs: readonly Activity[]): Promise<MembersOfRun> {
    const known = new Map<string, readonly string[]>();
    const missing: Activity[] = [];
    for (const run of runs) {
      const cids = run.groupId ? members.get(run.id) : run.cid ? [run.cid] : [];
      if (cids === undefined) missing.push(run);
      else known.set(run.id, cids);
    }
    if (missing.length === 0) return known;
    try {
      const groups = await allMembers(rest, context);
      for (const { id, groupId } of missing) {
        const cids = groups.get(groupId ?? '') ?? [];
        known.set(id, cids);
        remember(id, cids);
      }
    } catch (error) {
      if (!(error instanceof ExternalSystemError) || error.status === undefined) throw error;
    }
    return known;
  }

  /** Every activity of all clients, the newest first. `duration=0`: however old (a client of live servers asks so). */
  function newestFirst(context: CallContext): AsyncGenerator<Activity> {
    const query = { domain: '/', recursive: 'true', duration: '0', sort: 'queuedDate,desc' };
    const purpose = 'list its activities';
    return rest.items(context, { path: '/activities', query, purpose, item: Activity, pageSize: PAGE_SIZE });
  }

  async function activityOf(context: CallContext, activityId: string): Promise<Activity | undefined> {
    const path = `/activities/${encodeURIComponent(activityId)}`;
    try {
      const call = { method: 'GET', path, purpose: `look at the activity ${activityId}`, answer: Activity } as const;
      return (await rest.read(context, call)).body;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  return {
    async since(context, since) {
      const activities: Activity[] = [];
      for await (const activity of newestFirst(context)) {
        // By what the list is sorted by: an older moment of another kind says nothing of what follows.
        if (activity.queuedDate && new Date(activity.queuedDate) < since) break;
        activities.push(activity);
      }
      const silent = activities.filter((one) => isRun(one) && clientsShown(one).length === 0);
      const known = await membersOf(context, silent);
      const found = new Map<string, AvamarSession>();
      for (const activity of activities) {
        for (const session of sessionsOf(activity, known)) {
          if (session.report.startedAt >= since) found.set(session.report.vendorSessionId, session);
        }
      }
      return [...found.values()];
    },

    async reports(context, ids) {
      const missing = new Map<string, string[]>();
      for (const id of new Set(ids)) missing.set(activityIdOf(id), [...(missing.get(activityIdOf(id)) ?? []), id]);
      const found: SessionReport[] = [];
      const take = (activity: Activity): void => {
        for (const id of missing.get(activity.id) ?? []) {
          const session = sessionOf(activity, id);
          if (session !== undefined) found.push(session.report);
        }
        missing.delete(activity.id);
      };
      if (missing.size > FEW) {
        for await (const activity of newestFirst(context)) {
          take(activity);
          if (missing.size === 0) break;
        }
      }
      for (const id of [...missing.keys()].slice(0, STRAGGLERS)) {
        const activity = await activityOf(context, id);
        if (activity !== undefined) take(activity);
      }
      return found;
    },

    async session(context, id) {
      const activity = await activityOf(context, activityIdOf(id));
      return activity && sessionOf(activity, id);
    },
  };
}

/** The clients of replications, by the ids of their activities. */
type MembersOfRun = ReadonlyMap<string, readonly string[]>;

const isReplication = (activity: Activity): boolean => activityKind(activity)?.kind === 'REPLICATION';

/** Whether it is a replication as a whole: a client's part that is listed beside its run is told with the run. */
const isRun = (activity: Activity): boolean => isReplication(activity) && !activity.parentWid;

const clientsShown = ({ children }: Activity): string[] => [
  ...new Set((children ?? []).flatMap(({ cid }) => cid || [])),
];

function sessionsOf(activity: Activity, members: MembersOfRun): AvamarSession[] {
  if (!isReplication(activity)) return [vmSession(activity)].filter((one) => one !== undefined);
  if (!isRun(activity)) return [];
  const shown = clientsShown(activity);
  const cids = shown.length > 0 ? shown : (members.get(activity.id) ?? []);
  return cids.map((cid) => replicationFor(activity, cid)).filter((one) => one !== undefined);
}

/** The session of that id, which names the client of a replication: its group may be gone by now. */
function sessionOf(activity: Activity, id: string): AvamarSession | undefined {
  const cid = clientIdOf(id);
  if (cid === undefined) return vmSession(activity);
  return isReplication(activity) ? replicationFor(activity, cid) : undefined;
}
