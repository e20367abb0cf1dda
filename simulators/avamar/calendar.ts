/**
 * When a schedule runs next, in its own time zone.
 * @module
 */
import { DateTime } from 'luxon';
import type { Schedule } from './state.ts';

const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const ORDINALS = ['first', 'second', 'third', 'fourth'];

/** Further ahead than any recurrence can lie: a monthly one is at most 31 days away. */
const HORIZON_DAYS = 63;

function timesOn(schedule: Schedule): string[] {
  const times = schedule.recurrenceEnum === 'Daily' ? (schedule.dailyData?.timesOfDay ?? []) : [];
  return times.length > 0 ? times.toSorted() : [schedule.startTime];
}

function runsOnDay(schedule: Schedule, day: DateTime): boolean {
  const weekday = WEEKDAYS[day.weekday - 1];
  const lastDay = day.daysInMonth ?? 31;
  switch (schedule.recurrenceEnum) {
    case 'Daily':
      return true;
    case 'Weekly':
      return schedule.weeklyData?.daysOfWeek.includes(weekday as string) ?? false;
    case 'Monthly': {
      const { typeEnum, nthDay, nthWeekDay, dayOfWeek } = schedule.monthlyData ?? { typeEnum: 'NthDay' };
      if (typeEnum === 'NthDay') return nthDay === 'last' ? day.day === lastDay : day.day === Number(nthDay);
      if (weekday !== dayOfWeek) return false;
      return nthWeekDay === 'last'
        ? day.day + 7 > lastDay
        : Math.ceil(day.day / 7) === ORDINALS.indexOf(nthWeekDay ?? '') + 1;
    }
    case 'OnDemand':
      return false;
  }
}

/** The day of the schedule's zone on which a moment falls; undefined without one. */
const dayOf = ({ timeZoneId }: Schedule, moment: string | undefined): DateTime | undefined =>
  moment === undefined ? undefined : DateTime.fromMillis(Date.parse(moment), { zone: timeZoneId }).startOf('day');

/**
 * The first run after `after` (epoch milliseconds), or undefined when there is none. A local time that a clock change
 * leaves out runs an hour later by the wall; one that happens twice runs the first time. The vendor calls `postponeUntilDate`
 * and `endDate` effective dates: days of the schedule's zone here, the first and the last on which it runs (ours).
 */
export function nextRun(schedule: Schedule, after: number): number | undefined {
  const today = DateTime.fromMillis(after, { zone: schedule.timeZoneId }).startOf('day');
  const postponed = dayOf(schedule, schedule.postponeUntilDate);
  const lastDay = dayOf(schedule, schedule.endDate);
  const firstDay = postponed !== undefined && postponed > today ? postponed : today;
  for (let offset = 0; offset < HORIZON_DAYS; offset += 1) {
    const day = firstDay.plus({ days: offset });
    if (lastDay !== undefined && day > lastDay) return undefined;
    if (!runsOnDay(schedule, day)) continue;
    for (const time of timesOn(schedule)) {
      const [hour = 0, minute = 0] = time.split(':').map(Number);
      const at = day.set({ hour, minute }).toMillis();
      if (at > after) return at;
    }
  }
  return undefined;
}

/** The last run in `(after, until]`, or undefined when none fell into it. */
export function lastRunWithin(schedule: Schedule, after: number, until: number): number | undefined {
  let found: number | undefined;
  // A clock that was moved by months has many runs behind it; only the newest matters.
  let cursor = Math.max(after, until - HORIZON_DAYS * 86_400_000);
  for (;;) {
    const at = nextRun(schedule, cursor);
    if (at === undefined || at > until) return found;
    found = at;
    cursor = at;
  }
}
