import { expect, test } from 'vitest';
import { nextRun } from '../../../simulators/veeam/calendar.ts';
import { type ScheduleOptions, newSchedule } from '../../../simulators/veeam/job-shape.ts';

type Changes = {
  daily?: Partial<ScheduleOptions['OptionsDaily']>;
  monthly?: Partial<ScheduleOptions['OptionsMonthly']>;
  periodically?: Partial<ScheduleOptions['OptionsPeriodically']>;
};

function schedule({ daily, monthly, periodically }: Changes): ScheduleOptions {
  const all = newSchedule();
  return {
    ...all,
    OptionsDaily: { ...all.OptionsDaily, Enabled: daily !== undefined, ...daily },
    OptionsMonthly: { ...all.OptionsMonthly, Enabled: monthly !== undefined, ...monthly },
    OptionsPeriodically: { ...all.OptionsPeriodically, Enabled: periodically !== undefined, ...periodically },
  };
}

/** The next runs after a moment, one after the other. */
function runs(changes: Changes, after: string, count: number, zone = 'UTC'): string[] {
  const found: string[] = [];
  let at = Date.parse(after);
  while (found.length < count) {
    const next = nextRun(schedule(changes), at, zone);
    if (next === undefined) break;
    at = next;
    found.push(new Date(next).toISOString().slice(0, 16));
  }
  return found;
}

test('every day at a time with an offset, which is its zone for ever', () => {
  const daily = { Time: '03:30:00.0000000+02:00' };
  expect(runs({ daily }, '2026-10-24T00:00:00Z', 3)).toEqual([
    '2026-10-24T01:30',
    '2026-10-25T01:30',
    '2026-10-26T01:30',
  ]);
});

test('a time without an offset is in the zone of the server, with its daylight saving', () => {
  const daily = { Time: '03:30:00.0000000' };
  expect(runs({ daily }, '2026-10-24T00:00:00Z', 3, 'Europe/Madrid')).toEqual([
    '2026-10-24T01:30',
    '2026-10-25T02:30',
    '2026-10-26T02:30',
  ]);
});

test('days are those of the offset: Monday 01:00 at +02:00 is Sunday 23:00 UTC', () => {
  const daily = { Kind: 'SelectedDays', Days: ['Monday'], Time: '01:00:00+02:00' } as const;
  expect(runs({ daily: { ...daily, Days: [...daily.Days] } }, '2026-11-01T00:00:00Z', 2)).toEqual([
    '2026-11-01T23:00',
    '2026-11-08T23:00',
  ]);
});

test('week days are Monday to Friday', () => {
  const daily = { Kind: 'WeekDays', Time: '10:00:00Z' } as const;
  expect(runs({ daily }, '2026-11-05T12:00:00Z', 2)).toEqual(['2026-11-06T10:00', '2026-11-09T10:00']);
});

test('monthly by the last and by the second weekday, and on a day', () => {
  const at = { Time: '22:00:00Z' };
  const after = '2026-01-01T00:00:00Z';
  const weekday = { ...at, DayOfWeek: 'Saturday' } as const;
  expect(runs({ monthly: { ...weekday, DayNumberInMonth: 'Last' } }, after, 2)).toEqual([
    '2026-01-31T22:00',
    '2026-02-28T22:00',
  ]);
  expect(runs({ monthly: { ...weekday, DayNumberInMonth: 'Second' } }, after, 2)).toEqual([
    '2026-01-10T22:00',
    '2026-02-14T22:00',
  ]);
  expect(runs({ monthly: { ...at, DayNumberInMonth: 'OnDay', DayOfMonth: 31 } }, after, 2)).toEqual([
    '2026-01-31T22:00',
    '2026-03-31T22:00',
  ]);
  expect(runs({ monthly: { ...at, DayNumberInMonth: 'OnDay', DayOfMonth: 5, Months: ['May'] } }, after, 1)).toEqual([
    '2026-05-05T22:00',
  ]);
});

test('periodically counts from midnight of the server, in the hours that are let', () => {
  const hours = { Kind: 'Hours', FullPeriod: 5 } as const;
  expect(runs({ periodically: hours }, '2026-11-02T18:00:00Z', 3)).toEqual([
    '2026-11-02T20:00',
    '2026-11-03T00:00',
    '2026-11-03T05:00',
  ]);
  const minutes = { Kind: 'Minutes', FullPeriod: 45 } as const;
  expect(runs({ periodically: minutes }, '2026-11-02T00:10:00Z', 2)).toEqual(['2026-11-02T00:45', '2026-11-02T01:30']);
  const nights = Array.from({ length: 24 }, (_, hour) => (hour < 6 ? '1' : '0')).join(',');
  const everyDay = Object.fromEntries(
    Object.keys(newSchedule().OptionsPeriodically.Schedule).map((day) => [day, nights]),
  );
  expect(runs({ periodically: { ...hours, Schedule: everyDay } }, '2026-11-02T00:10:00Z', 2)).toEqual([
    '2026-11-02T05:00',
    '2026-11-03T00:00',
  ]);
});

test('a job without a recurrence never runs', () => {
  expect(runs({}, '2026-11-02T00:00:00Z', 1)).toEqual([]);
  expect(runs({ daily: { Kind: 'SelectedDays', Days: [] } }, '2026-11-02T00:00:00Z', 1)).toEqual([]);
});
