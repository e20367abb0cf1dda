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

/**
 * The first run after `after` (epoch milliseconds), or undefined when there is none. A local time that a clock change
 * leaves out runs an hour later by the wall; one that happens twice runs the first time.
 */
export function nextRun(schedule: Schedule, after: number): number | undefined {
  const notBefore =
    schedule.postponeUntilDate === undefined ? after : Math.max(after, Date.parse(schedule.postponeUntilDate) - 1);
  const notAfter = schedule.endDate === undefined ? Number.POSITIVE_INFINITY : Date.parse(schedule.endDate);
  const firstDay = DateTime.fromMillis(notBefore, { zone: schedule.timeZoneId }).startOf('day');
  for (let offset = 0; offset < HORIZON_DAYS; offset += 1) {
    const day = firstDay.plus({ days: offset });
    if (!runsOnDay(schedule, day)) continue;
    for (const time of timesOn(schedule)) {
      const [hour = 0, minute = 0] = time.split(':').map(Number);
      const at = day.set({ hour, minute }).toMillis();
      if (at > notAfter) return undefined;
      if (at > notBefore) return at;
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
