import { describe, expect, test } from 'vitest';
import { loadAvamarConfig } from '../../../activities/backup-systems/avamar/config.ts';
import { plannedBackups } from '../../../activities/backup-systems/avamar/schedule-mapping.ts';
import type { BackupSchedule, ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';

const config = loadAvamarConfig(undefined);
const VM = '0198a1b2-0000-7000-8000-0123456789ab';

function scheduleOf(backup: Partial<ScheduledBackup>, policy: Partial<ScheduledPolicy> = {}): BackupSchedule {
  const settled: ScheduledBackup = {
    type: 'COMPLETE',
    subtype: 'DAILY',
    time: null,
    days: null,
    disks: null,
    ...backup,
  };
  const whole = { policyId: 'p1', code: 'GOLD', name: 'Gold', replication: false, timeZone: 'Europe/Madrid' };
  return { managerId: 'm1', policies: [{ ...whole, retentionDays: 30, backups: [settled], ...policy }] };
}
const recurrence = (backup: Partial<ScheduledBackup>) => plannedBackups(config, VM, scheduleOf(backup))[0]?.recurrence;

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

  test('MONTHLY runs on the first day of every month', () => {
    expect(recurrence({ subtype: 'MONTHLY', time: '04:00' })).toEqual({
      recurrenceEnum: 'Monthly',
      startTime: '04:00',
      monthlyData: { typeEnum: 'NthDay', nthDay: '1' },
    });
  });

  test('values that the policy leaves to the backup system come from the configuration', () => {
    expect(recurrence({ subtype: 'DAILY' })?.startTime).toBe('22:00');
    expect(recurrence({ subtype: 'WEEKLY_PLANNED' })?.weeklyData?.daysOfWeek).toEqual(['Sunday']);
    expect(recurrence({ subtype: 'HOURLY' })?.dailyData?.timesOfDay).toHaveLength(4);
  });

  test('keeps the zone, the retention and the disks, and has one entry for each backup', () => {
    const one = scheduleOf({ disks: ['Hard disk 2'] }, { timeZone: 'Asia/Tokyo', retentionDays: 7 });
    expect(plannedBackups(config, VM, one)).toMatchObject([
      { timeZoneId: 'Asia/Tokyo', retentionDays: 7, disks: ['Hard disk 2'] },
    ]);
    const backups = scheduleOf({}).policies[0]?.backups ?? [];
    const two = scheduleOf({}, { backups: [...backups, { ...backups[0]!, subtype: 'MONTHLY' }] });
    expect(plannedBackups(config, VM, two).map(({ name }) => name)).toEqual([
      `holdfast-${VM}-GOLD-daily`,
      `holdfast-${VM}-GOLD-monthly`,
    ]);
  });

  test('what Avamar cannot do is refused with the policy named', () => {
    const impossible = [
      scheduleOf({ subtype: 'DEFINED_HOUR', time: '2026-01-01T10:00' }),
      scheduleOf({ type: 'SNAPSHOT' }),
      scheduleOf({}, { replication: true }),
    ];
    for (const schedule of impossible) {
      expect(() => plannedBackups(config, VM, schedule)).toThrow(
        expect.objectContaining({ kind: 'REFUSED', message: expect.stringContaining('GOLD') }),
      );
    }
  });
});
