import { DateTime } from 'luxon';
import { describe, expect, test } from 'vitest';
import { loadAvamarConfig } from '../../../activities/backup-systems/avamar/config.ts';
import { plannedBackups } from '../../../activities/backup-systems/avamar/schedule-mapping.ts';
import type { ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';

const config = loadAvamarConfig(undefined);
const VM = '0198a1b2-0000-7000-8000-0123456789ab';

function policyOf(backup: Partial<ScheduledBackup>, policy: Partial<ScheduledPolicy> = {}): ScheduledPolicy {
  const settled: ScheduledBackup = {
    type: 'COMPLETE',
    subtype: 'DAILY',
    time: null,
    days: null,
    disks: null,
    ...backup,
  };
  const whole = { policyId: 'p1', code: 'GOLD', name: 'Gold', replication: false, timeZone: 'Europe/Madrid' };
  return { ...whole, retentionDays: 30, backups: [settled], ...policy };
}
const planned = (backup: Partial<ScheduledBackup>, policy: Partial<ScheduledPolicy> = {}) =>
  plannedBackups(config, VM, policyOf(backup, policy))[0];
const recurrence = (backup: Partial<ScheduledBackup>) => planned(backup)?.recurrence;

describe('a schedule in Avamar', () => {
  test('HOURLY runs every n hours from midnight', () => {
    expect(recurrence({ subtype: 'HOURLY', time: '6' })).toEqual({
      recurrenceEnum: 'Daily',
      startTime: '00:00',
      dailyData: { timesOfDay: ['00:00', '06:00', '12:00', '18:00'] },
    });
    expect(recurrence({ subtype: 'HOURLY', time: '5' })?.dailyData?.timesOfDay).toEqual([
      '00:00',
      '05:00',
      '10:00',
      '15:00',
      '20:00',
    ]);
    expect(recurrence({ subtype: 'HOURLY', time: '1' })?.dailyData?.timesOfDay).toHaveLength(24);
    expect(recurrence({ subtype: 'HOURLY', time: '23' })?.dailyData?.timesOfDay).toEqual(['00:00', '23:00']);
  });

  test('DAILY runs once a day', () => {
    expect(recurrence({ subtype: 'DAILY', time: '03:30' })).toEqual({
      recurrenceEnum: 'Daily',
      startTime: '03:30',
      dailyData: { timesOfDay: ['03:30'] },
    });
  });

  test('WEEKLY_PLANNED runs on its days', () => {
    expect(recurrence({ subtype: 'WEEKLY_PLANNED', time: '01:15', days: ['MONDAY', 'FRIDAY'] })).toEqual({
      recurrenceEnum: 'Weekly',
      startTime: '01:15',
      weeklyData: { daysOfWeek: ['Monday', 'Friday'] },
    });
  });

  test('MONTHLY runs on the first day of every month, or on the one that the configuration names', () => {
    expect(recurrence({ subtype: 'MONTHLY', time: '04:00' })).toEqual({
      recurrenceEnum: 'Monthly',
      startTime: '04:00',
      monthlyData: { typeEnum: 'NthDay', nthDay: '1' },
    });
    for (const monthDay of [28, 'last'] as const) {
      const named = { ...config, unlessChosen: { ...config.unlessChosen, monthDay } };
      const [plan] = plannedBackups(named, VM, policyOf({ subtype: 'MONTHLY', time: '04:00' }));
      expect(plan?.recurrence.monthlyData).toEqual({ typeEnum: 'NthDay', nthDay: String(monthDay) });
    }
  });

  test('DEFINED_HOUR runs at its moment, and is over before the same time of the next day', () => {
    expect(planned({ subtype: 'DEFINED_HOUR', time: '2026-07-31T22:30' })).toMatchObject({
      once: new Date('2026-07-31T20:30:00Z'),
      recurrence: {
        recurrenceEnum: 'Daily',
        startTime: '22:30',
        dailyData: { timesOfDay: ['22:30'] },
        postponeUntilDate: '2026-07-30T22:00:00.000Z',
        endDate: '2026-08-01T20:29:00.000Z',
      },
    });
  });

  test.each([
    ['at midnight', '2026-05-01T00:00', 'Europe/Madrid'],
    ['on the day that has 23 hours', '2026-03-29T12:00', 'Europe/Madrid'],
    ['on the day before it, at the time that it leaves out', '2026-03-28T02:30', 'Europe/Madrid'],
    ['at the time that is left out', '2026-03-29T02:30', 'Europe/Madrid'],
    ['at the time that comes twice', '2026-10-25T02:30', 'Europe/Madrid'],
    ['in a zone of half hours', '2026-04-04T23:59', 'Australia/Lord_Howe'],
    ['on the last day of a year', '2026-12-31T23:59', 'Pacific/Auckland'],
  ])('DEFINED_HOUR %s is in force at that run of its time and at no other', (_, time, timeZone) => {
    const plan = planned({ subtype: 'DEFINED_HOUR', time }, { timeZone });
    const [hour = 0, minute = 0] = (plan?.recurrence.startTime ?? '').split(':').map(Number);
    const day = DateTime.fromISO(time.slice(0, 10), { zone: timeZone });
    const runs = [-2, -1, 0, 1, 2].map((days) => day.plus({ days }).set({ hour, minute }).toMillis());
    const [from, to] = [plan?.recurrence.postponeUntilDate, plan?.recurrence.endDate].map((at) => Date.parse(at ?? ''));
    expect(runs.filter((run) => run >= (from ?? 0) && run <= (to ?? 0))).toEqual([plan?.once?.getTime()]);
  });

  test('values that the policy leaves to the backup system come from the configuration', () => {
    expect(recurrence({ subtype: 'DAILY' })?.startTime).toBe('22:00');
    expect(recurrence({ subtype: 'WEEKLY_PLANNED' })?.weeklyData?.daysOfWeek).toEqual(['Sunday']);
    expect(recurrence({ subtype: 'HOURLY' })?.dailyData?.timesOfDay).toHaveLength(4);
  });

  test('keeps the zone, the retention and the disks, and has one entry for each backup', () => {
    const one = policyOf({ disks: ['Hard disk 2'] }, { timeZone: 'Asia/Tokyo', retentionDays: 7 });
    expect(plannedBackups(config, VM, one)).toMatchObject([
      { timeZoneId: 'Asia/Tokyo', retentionDays: 7, disks: ['Hard disk 2'] },
    ]);
    const { backups } = policyOf({});
    const two = policyOf({}, { backups: [...backups, { ...backups[0]!, subtype: 'MONTHLY' }] });
    expect(plannedBackups(config, VM, two).map(({ name }) => name)).toEqual([
      `holdfast-${VM}-GOLD-daily`,
      `holdfast-${VM}-GOLD-monthly`,
    ]);
  });

  test('what Avamar cannot do is refused with the policy named', () => {
    const impossible = [
      policyOf({ subtype: 'DEFINED_HOUR' }),
      policyOf({ subtype: 'DEFINED_HOUR', time: '2026-01-01T10:00' }, { timeZone: 'Mars/Olympus' }),
      policyOf({ type: 'SNAPSHOT' }),
    ];
    for (const policy of impossible) {
      expect(() => plannedBackups(config, VM, policy)).toThrow(
        expect.objectContaining({ kind: 'REFUSED', message: expect.stringContaining('GOLD') }),
      );
    }
  });
});
