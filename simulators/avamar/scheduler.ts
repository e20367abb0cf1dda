import type { SimulatedClock } from '../kit/clock.ts';
import type { ActivityEngine } from './activity-engine.ts';
import { lastRunWithin, nextRun } from './calendar.ts';
import { includedIn } from './members.ts';
import { pluginOf } from './plugins.ts';
import type { ReplicationGroup } from './replication-state.ts';
import type { Group, Schedule, State } from './state.ts';

/**
 * Starts the backups and replications of enabled groups when their schedules say so. Runs that fell into a time when the
 * simulator was not running, or that the clock was moved over, start once, late.
 */
export function createScheduler(state: State, clock: SimulatedClock, engine: ActivityEngine) {
  let checkedUntil = state.scheduler.get('self')?.checkedUntil ?? clock.now();
  let notedUntil = 0;
  // Next runs are remembered per schedule object: a changed schedule is another object. A clock that was moved back asks anew.
  const nextRuns = new WeakMap<Schedule, { since: number; next: number }>();
  const isDue = (schedule: Schedule, since: number, now: number): boolean => {
    const known = nextRuns.get(schedule);
    if (known !== undefined && known.since <= since && since < known.next) return known.next <= now;
    const next = nextRun(schedule, since) ?? Number.POSITIVE_INFINITY;
    nextRuns.set(schedule, { since, next });
    return next <= now;
  };

  const backUp = (group: Group, schedule: Schedule, scheduledAt: number): void => {
    for (const cid of includedIn(state, group)) {
      const client = state.clients.get(cid);
      if (client === undefined || client.retired || !client.enabled) continue;
      engine.backup(client, { user: 'MCUser', pluginNumber: pluginOf(group, state), group, schedule, scheduledAt });
    }
  };
  // A group that is still running misses this run of its schedule.
  const replicate = (group: ReplicationGroup, schedule: Schedule, scheduledAt: number): void =>
    void engine.replicate(group, { user: 'MCUser', schedule, scheduledAt });

  /** The enabled groups whose schedule passes the test, with the moment that it gives. */
  const chosen = <G extends { enabled: boolean; scheduleId: string }>(
    groups: G[],
    momentOf: (schedule: Schedule) => number | undefined,
  ): { group: G; schedule: Schedule; at: number }[] =>
    groups.flatMap((group) => {
      const schedule = group.enabled ? state.schedules.get(group.scheduleId) : undefined;
      const at = schedule === undefined ? undefined : momentOf(schedule);
      return schedule === undefined || at === undefined ? [] : [{ group, schedule, at }];
    });

  return {
    /** Starts what has become due since the last look. */
    look(): void {
      const now = clock.now();
      const since = checkedUntil;
      const due = (schedule: Schedule): number | undefined =>
        isDue(schedule, since, now) ? lastRunWithin(schedule, since, now) : undefined;
      const backups = chosen(state.groups.values(), due);
      const replications = chosen(state.replicationGroups.values(), due);
      checkedUntil = now;
      // Noted rarely, because only a restart reads it, but always before something starts.
      if (backups.length + replications.length > 0 || now - notedUntil > 30_000) {
        state.scheduler.put('self', { checkedUntil });
        notedUntil = now;
      }
      for (const { group, schedule, at } of backups) {
        if (group.skipNext) state.groups.put(group.id, { ...group, skipNext: false });
        else backUp(group, schedule, at);
        if (group.runOnce) state.groups.put(group.id, { ...group, runOnce: false, enabled: false });
      }
      for (const { group, schedule, at } of replications) replicate(group, schedule, at);
    },

    /** Runs a schedule now, for all its enabled groups. */
    run({ id }: Schedule): void {
      const now = (schedule: Schedule): number | undefined => (schedule.id === id ? clock.now() : undefined);
      for (const { group, schedule, at } of chosen(state.groups.values(), now)) backUp(group, schedule, at);
      for (const { group, schedule, at } of chosen(state.replicationGroups.values(), now)) {
        replicate(group, schedule, at);
      }
    },
  };
}

export type Scheduler = ReturnType<typeof createScheduler>;
