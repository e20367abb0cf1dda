import type { SimulatedClock } from '../kit/clock.ts';
import { nextRun } from './calendar.ts';
import type { ScheduleOptions } from './job-shape.ts';
import type { RunEngine } from './run-engine.ts';
import type { Settings } from './settings.ts';
import type { Job, State } from './state.ts';

export type Scheduler = ReturnType<typeof createScheduler>;

/**
 * Starts the runs of jobs when their schedules say so. What fell into a time when the simulator was not running, or that
 * the clock was moved over, starts once, late. A job that is still running misses its time.
 */
export function createScheduler(state: State, clock: SimulatedClock, runs: RunEngine, settings: () => Settings) {
  let checkedUntil = state.scheduler.get('self')?.checkedUntil ?? clock.now();
  let notedUntil = 0;
  // Next runs are remembered per schedule object: a changed schedule is another object. A clock that was moved back asks anew.
  const nextRuns = new WeakMap<ScheduleOptions, { since: number; next: number; timeZone: string }>();
  const nextAfter = (schedule: ScheduleOptions, since: number): number => {
    const known = nextRuns.get(schedule);
    const { timeZone } = settings();
    if (known?.timeZone === timeZone && known.since <= since && since < known.next) return known.next;
    const next = nextRun(schedule, since, timeZone) ?? Number.POSITIVE_INFINITY;
    nextRuns.set(schedule, { since, next, timeZone });
    return next;
  };
  const isActive = (job: Job): boolean => job.scheduleConfigured && job.scheduleEnabled;

  return {
    /** The next run of a job, epoch milliseconds; undefined when it has none. */
    nextRunOf(job: Job): number | undefined {
      const next = isActive(job) ? nextAfter(job.schedule, clock.now()) : Number.POSITIVE_INFINITY;
      return Number.isFinite(next) ? next : undefined;
    },
    /** Starts what has become due since the last look. */
    look(): void {
      const now = clock.now();
      const since = checkedUntil;
      const active = state.jobs.values().filter(isActive);
      const due = active.filter(({ schedule }) => nextAfter(schedule, since) <= now);
      const retries = active.filter(({ retry }) => retry !== undefined && retry.at <= now);
      checkedUntil = now;
      // Noted rarely, because only a restart reads it, but always before something starts.
      if (due.length > 0 || now - notedUntil > 30_000) {
        state.scheduler.put('self', { checkedUntil });
        notedUntil = now;
      }
      for (const job of due) {
        const started = runs.start(job, { isScheduled: true });
        if (started !== undefined && job.retry !== undefined) state.jobs.put(job.id, { ...job, retry: undefined });
      }
      for (const job of retries) {
        if (job.retry === undefined || due.includes(job)) continue;
        const { attempt, refs } = job.retry;
        const started = runs.start(job, { isScheduled: true, attempt, refs });
        if (started !== undefined) state.jobs.put(job.id, { ...job, retry: undefined });
      }
    },
  };
}
