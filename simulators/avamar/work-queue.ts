/**
 * The activities that have not ended: how they wait, are cancelled and end.
 * @module
 */
import type { SimulatedClock } from '../kit/clock.ts';
import type { Outcome, Outcomes } from './outcomes.ts';
import type { Activity, Client, State } from './state.ts';

export type WorkQueue = ReturnType<typeof createWorkQueue>;
type Ending = NonNullable<Activity['outcome']>;
type Ordered = Omit<Activity, 'id' | 'queuedAt' | 'startAt' | 'endAt' | 'cid' | 'outcome'>;

/** What a finished activity's error code and reason are by state. The code is that of a failed image backup; others are ours. */
function endingOf(state: string): Ending {
  if (state === 'SUCCESS') return { state, errorCode: 0, codeReason: '' };
  if (state.startsWith('PARTIAL_'))
    return { state, errorCode: 10020, codeReason: 'Activity completed with exceptions.' };
  if (state === 'CANCELED') return { state, errorCode: 10001, codeReason: 'Activity was cancelled.' };
  if (state === 'NO_VM') {
    return { state, errorCode: 10058, codeReason: 'The virtual machine was not found on the vCenter.' };
  }
  return { state, errorCode: 10026, codeReason: 'Activity failed - client error(s).' };
}

export function createWorkQueue(state: State, clock: SimulatedClock, outcomes: Outcomes) {
  /** Ids of the activities that have not ended, by client. */
  const open = new Map<string, Set<string>>();
  const opened = ({ id, cid }: Activity): void => void open.set(cid, (open.get(cid) ?? new Set()).add(id));
  const openOf = (cid: string): Activity[] =>
    [...(open.get(cid) ?? [])].map((id) => state.activities.get(id) as Activity);
  // A replication is the server's work, not the client's: it keeps no backup waiting.
  const workOf = (cid: string): Activity[] => openOf(cid).filter(({ kind }) => kind !== 'replication');
  for (const activity of state.activities.values()) if (activity.finished === undefined) opened(activity);

  return {
    openOf,
    openIds: (): string[] => [...open.values()].flatMap((ids) => [...ids]),
    isRunning: (cid: string): boolean => workOf(cid).length > 0,
    newId: (): string => `9${state.nextNumber()}00`,

    /** Queues what the client is to do; `outcome` where it was decided for more than this activity. */
    add(client: Client, seconds: number, ordered: Ordered & { id: string }, outcome?: Outcome): Activity {
      const queuedAt = clock.now();
      // One job at a time for a client, as the vendor queues them: a second one waits for the first.
      const before = ordered.kind === 'replication' ? [] : workOf(client.id);
      const busyUntil = before
        .filter((other) => other.cancelRequestedAt === undefined)
        .reduce((latest, other) => Math.max(latest, other.endAt), queuedAt);
      const startAt = busyUntil + Math.min(1000, seconds * 100);
      const decided = outcome ?? outcomes.take(client, ordered.kind);
      const activity: Activity = {
        ...ordered,
        cid: client.id,
        queuedAt,
        startAt,
        endAt: Math.max(startAt, busyUntil + seconds * 1000),
        ...(decided === undefined
          ? {}
          : {
              outcome: {
                state: decided.state,
                errorCode: decided.errorCode ?? endingOf(decided.state).errorCode,
                codeReason: decided.codeReason ?? endingOf(decided.state).codeReason,
              },
            }),
      };
      state.activities.put(activity.id, activity);
      opened(activity);
      return activity;
    },

    finish(activity: Activity, ending: string | Ending, more: Partial<Activity> = {}): void {
      const how = typeof ending === 'string' ? endingOf(ending) : ending;
      state.activities.put(activity.id, { ...activity, ...more, finished: { at: clock.now(), ...how } });
      const others = open.get(activity.cid);
      others?.delete(activity.id);
      if (others?.size === 0) open.delete(activity.cid);
    },

    /** False when the activity has ended already. What belongs to it is cancelled with it. */
    cancel(activity: Activity): boolean {
      if (activity.finished !== undefined) return false;
      for (const id of [activity.id, ...(activity.replication?.childIds ?? [])]) {
        const current = state.activities.get(id);
        if (current === undefined || current.finished !== undefined || current.cancelRequestedAt !== undefined)
          continue;
        state.activities.put(id, { ...current, cancelRequestedAt: clock.now() });
      }
      return true;
    },
  };
}
