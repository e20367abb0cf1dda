/**
 * When a job runs next.
 * @module
 */
import { DateTime, FixedOffsetZone, IANAZone, type Zone } from 'luxon';
import { MONTHS, type ScheduleOptions, TIME, WEEKDAYS, type Weekday } from './job-shape.ts';

/** Further ahead than any monthly recurrence with one month in the year can lie. */
const HORIZON_DAYS = 370;
const ORDINALS = ['First', 'Second', 'Third', 'Fourth'];

/** The offset that the time names is its zone for ever: the server knows no place, so no daylight saving. */
function timeOfDay(text: string, serverZone: string): { hour: number; minute: number; zone: Zone } {
  const [, hour, minute, , offset] = TIME.exec(text) ?? [];
  const minutes = /^([+-])(\d\d):(\d\d)$/.exec(offset ?? '');
  let zone: Zone = IANAZone.create(serverZone);
  if (offset === 'Z') zone = FixedOffsetZone.utcInstance;
  else if (minutes !== null) {
    zone = FixedOffsetZone.instance((minutes[1] === '-' ? -1 : 1) * (Number(minutes[2]) * 60 + Number(minutes[3])));
  }
  return { hour: Number(hour), minute: Number(minute), zone };
}

const weekdayOf = (day: DateTime): Weekday => WEEKDAYS[day.weekday % 7] as Weekday;

function nextOnDays(after: number, time: string, serverZone: string, runsOn: (day: DateTime) => boolean) {
  const { hour, minute, zone } = timeOfDay(time, serverZone);
  const firstDay = DateTime.fromMillis(after, { zone }).startOf('day');
  for (let offset = 0; offset < HORIZON_DAYS; offset += 1) {
    const day = firstDay.plus({ days: offset });
    const at = day.set({ hour, minute }).toMillis();
    if (at > after && runsOn(day)) return at;
  }
  return undefined;
}

function nextDaily({ Kind, Days, Time }: ScheduleOptions['OptionsDaily'], after: number, zone: string) {
  return nextOnDays(after, Time, zone, (day) => {
    if (Kind === 'Everyday') return true;
    return Kind === 'WeekDays' ? day.weekday <= 5 : Days.includes(weekdayOf(day));
  });
}

function nextMonthly(options: ScheduleOptions['OptionsMonthly'], after: number, zone: string) {
  const { Time, DayNumberInMonth, DayOfWeek, DayOfMonth, Months } = options;
  return nextOnDays(after, Time, zone, (day) => {
    if (!Months.includes(MONTHS[day.month - 1] as (typeof MONTHS)[number])) return false;
    if (DayNumberInMonth === 'OnDay') return day.day === DayOfMonth;
    if (weekdayOf(day) !== DayOfWeek) return false;
    return DayNumberInMonth === 'Last'
      ? day.day + 7 > (day.daysInMonth ?? 31)
      : Math.ceil(day.day / 7) === ORDINALS.indexOf(DayNumberInMonth) + 1;
  });
}

/** Every n hours or minutes, counted from the server's midnight, in the hours that are let. */
function nextPeriodically(options: ScheduleOptions['OptionsPeriodically'], after: number, zone: string) {
  const { Kind, FullPeriod, Schedule } = options;
  const step = Math.max(1, FullPeriod) * (Kind === 'Hours' ? 60 : 1);
  const today = DateTime.fromMillis(after, { zone }).startOf('day');
  for (let offset = 0; offset < 8; offset += 1) {
    const day = today.plus({ days: offset });
    const hours = Schedule[weekdayOf(day)]?.split(',');
    for (let minutes = 0; minutes < 24 * 60; minutes += step) {
      const at = day.set({ hour: Math.floor(minutes / 60), minute: minutes % 60 }).toMillis();
      if (at > after && hours?.[Math.floor(minutes / 60)] !== '0') return at;
    }
  }
  return undefined;
}

/** The first run after `after` (epoch milliseconds) by any of the recurrences that are on; undefined without one. */
export function nextRun(schedule: ScheduleOptions, after: number, serverZone: string): number | undefined {
  const { OptionsDaily: daily, OptionsMonthly: monthly, OptionsPeriodically: periodically } = schedule;
  const runs = [
    daily.Enabled ? nextDaily(daily, after, serverZone) : undefined,
    monthly.Enabled ? nextMonthly(monthly, after, serverZone) : undefined,
    periodically.Enabled ? nextPeriodically(periodically, after, serverZone) : undefined,
  ].filter((at) => at !== undefined);
  return runs.length === 0 ? undefined : Math.min(...runs);
}
