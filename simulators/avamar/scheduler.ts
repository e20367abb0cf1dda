import type { SimulatedClock } from '../kit/clock.ts';
import type { ActivityEngine } from './activity-engine.ts';
import { lastRunWithin, nextRun } from './calendar.ts';
import { pluginOf } from './plugins.ts';
import type { Group, Schedule, State } from './state.ts';

/**
 * Starts the backups of enabled groups when their schedules say so. Runs that fell into a time when the simulator was
 * not running, or that the clock was moved over, start once, late.
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

  const start = (group: Group, schedule: Schedule, scheduledAt: number): void => {
    for (const { cid, joinType } of group.members) {
      const client = state.clients.get(cid);
      if (client === undefined || client.retired || !client.enabled) continue;
      if (joinType !== 'INCLUDED_BY_USER' && joinType !== 'INCLUDED_BY_RULE') continue;
      engine.backup(client, { user: 'MCUser', pluginNumber: pluginOf(group, state), group, schedule, scheduledAt });
    }
  };

  return {
    /** Starts what has become due since the last look. */
    look(): void {
      const now = clock.now();
      const since = checkedUntil;
      const due: { group: Group; schedule: Schedule; at: number }[] = [];
      for (const group of state.groups.values()) {
        const schedule = state.schedules.get(group.scheduleId);
        if (!group.enabled || schedule === undefined || !isDue(schedule, since, now)) continue;
        const at = lastRunWithin(schedule, since, now);
        if (at !== undefined) due.push({ group, schedule, at });
      }
      checkedUntil = now;
      // Noted rarely, because only a restart reads it, but always before something starts.
      if (due.length > 0 || now - notedUntil > 30_000) {
        state.scheduler.put('self', { checkedUntil });
        notedUntil = now;
      }
      for (const { group, schedule, at } of due) {
        if (group.skipNext) state.groups.put(group.id, { ...group, skipNext: false });
        else start(group, schedule, at);
        if (group.runOnce) state.groups.put(group.id, { ...group, runOnce: false, enabled: false });
      }
    },

    /** Runs a schedule now, for all its enabled groups. */
    run(schedule: Schedule): void {
      for (const group of state.groups.values()) {
        if (group.enabled && group.scheduleId === schedule.id) start(group, schedule, clock.now());
      }
    },
  };
}

export type Scheduler = ReturnType<typeof createScheduler>;
