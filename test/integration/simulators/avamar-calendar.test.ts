import { describe, expect, test } from 'vitest';
import { nextRun } from '../../../simulators/avamar/calendar.ts';
import type { Schedule } from '../../../simulators/avamar/state.ts';

const BASE: Schedule = {
  id: 's',
  name: 's',
  domainFqdn: '/',
  recurrenceEnum: 'Daily',
  startTime: '02:30',
  duration: 8,
  timeZoneId: 'Europe/Madrid',
  readOnly: false,
};
const next = (schedule: Partial<Schedule>, after: string): string | undefined => {
  const at = nextRun({ ...BASE, ...schedule }, Date.parse(after));
  return at === undefined ? undefined : new Date(at).toISOString().replace(':00.000Z', 'Z');
};
const monthly = (monthlyData: NonNullable<Schedule['monthlyData']>) => ({
  recurrenceEnum: 'Monthly' as const,
  monthlyData,
});

describe('the next run of a schedule', () => {
  test.each([
    ['in winter, UTC+1', {}, '2026-01-10T00:00:00Z', '2026-01-10T01:30Z'],
    ['in summer, UTC+2', {}, '2026-07-10T00:00:00Z', '2026-07-10T00:30Z'],
    ['a left-out hour runs an hour later by the wall', {}, '2026-03-29T00:00:00Z', '2026-03-29T01:30Z'],
    ['a doubled hour runs the first time', {}, '2026-10-25T00:00:00Z', '2026-10-25T00:30Z'],
    ['and not the second', {}, '2026-10-25T00:30:00Z', '2026-10-26T01:30Z'],
    [
      'several times a day',
      { dailyData: { timesOfDay: ['22:00', '08:00'] }, timeZoneId: 'UTC' },
      '2026-01-10T09:00:00Z',
      '2026-01-10T22:00Z',
    ],
    [
      'chosen weekdays',
      { recurrenceEnum: 'Weekly', weeklyData: { daysOfWeek: ['Sunday', 'Wednesday'] }, timeZoneId: 'UTC' },
      '2026-01-08T00:00:00Z',
      '2026-01-11T02:30Z',
    ],
    ['the 28th', monthly({ typeEnum: 'NthDay', nthDay: '28' }), '2026-02-01T00:00:00Z', '2026-02-28T01:30Z'],
    ['the last day', monthly({ typeEnum: 'NthDay', nthDay: 'last' }), '2026-04-01T00:00:00Z', '2026-04-30T00:30Z'],
    [
      'the second Tuesday',
      monthly({ typeEnum: 'NthWeekDay', nthWeekDay: 'second', dayOfWeek: 'Tuesday' }),
      '2026-01-01T00:00:00Z',
      '2026-01-13T01:30Z',
    ],
    [
      'the last Friday',
      monthly({ typeEnum: 'NthWeekDay', nthWeekDay: 'last', dayOfWeek: 'Friday' }),
      '2026-01-01T00:00:00Z',
      '2026-01-30T01:30Z',
    ],
    [
      'not before it is postponed to',
      { postponeUntilDate: '2026-02-01T00:00:00Z' },
      '2026-01-10T00:00:00Z',
      '2026-02-01T01:30Z',
    ],
    [
      'on the day until which it is postponed, in its own zone',
      { postponeUntilDate: '2026-02-01T00:00:00Z', timeZoneId: 'America/Los_Angeles' },
      '2026-01-10T00:00:00Z',
      '2026-01-31T10:30Z',
    ],
    [
      'on the day of its end, in its own zone',
      { endDate: '2026-01-09T23:30:00Z' },
      '2026-01-09T12:00:00Z',
      '2026-01-10T01:30Z',
    ],
    ['and not on the next', { endDate: '2026-01-09T23:30:00Z' }, '2026-01-10T01:30:00Z', undefined],
    [
      'once, between a beginning and an end on one day',
      { postponeUntilDate: '2026-03-29T00:00:00+01:00', endDate: '2026-03-29T00:00:00+01:00' },
      '2026-01-10T00:00:00Z',
      '2026-03-29T01:30Z',
    ],
    [
      'and no second time',
      { postponeUntilDate: '2026-03-29T00:00:00+01:00', endDate: '2026-03-29T00:00:00+01:00' },
      '2026-03-29T01:30:00Z',
      undefined,
    ],
    ['not after its end', { endDate: '2026-01-09T00:00:00Z' }, '2026-01-10T00:00:00Z', undefined],
    ['never on demand', { recurrenceEnum: 'OnDemand' }, '2026-01-10T00:00:00Z', undefined],
  ] satisfies [string, Partial<Schedule>, string, string | undefined][])('%s', (_name, schedule, after, expected) => {
    expect(next(schedule, after)).toBe(expected);
  });
});
