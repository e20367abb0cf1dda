/**
 * From the schedule of a VM to what Avamar shall hold for it.
 * @module
 */
import type { Weekday } from '../../../domain/policies.ts';
import type { BackupSchedule, ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';
import type { AvamarConfig } from './config.ts';
import { objectName } from './names.ts';
import { refused } from './refusal.ts';

/** The times of a schedule, as in Avamar's `ScheduleDTO`. */
export interface Recurrence {
  readonly recurrenceEnum: 'Daily' | 'Weekly' | 'Monthly';
  /** `HH:mm` in the schedule's zone. */
  readonly startTime: string;
  readonly dailyData?: { readonly timesOfDay: readonly string[] };
  readonly weeklyData?: { readonly daysOfWeek: readonly string[] };
  readonly monthlyData?: { readonly typeEnum: 'NthDay'; readonly nthDay: string };
}

/** One backup of one policy: what becomes a schedule, a retention, perhaps a dataset, and a group. */
export interface PlannedBackup {
  readonly name: string;
  readonly timeZoneId: string;
  readonly recurrence: Recurrence;
  readonly retentionDays: number;
  /** Labels of the chosen disks; `null` means all. */
  readonly disks: readonly string[] | null;
}

/**
 * What a schedule asks of Avamar, one entry for each backup of each policy.
 * @throws ExternalSystemError `REFUSED` for what Avamar cannot do, before anything is written.
 */
export function plannedBackups(config: AvamarConfig, vmId: string, schedule: BackupSchedule): PlannedBackup[] {
  return schedule.policies.flatMap((policy) => {
    if (policy.replication) throw refused(`policy ${policy.code}: replication is not offered by the Avamar plugin`);
    return policy.backups.map((backup) => ({
      name: objectName(config.marker, vmId, policy.code, backup.subtype),
      timeZoneId: policy.timeZone,
      recurrence: recurrenceOf(config, policy, backup),
      retentionDays: policy.retentionDays,
      disks: backup.disks,
    }));
  });
}

/**
 * When a backup recurs. HOURLY runs every n hours from midnight; DAILY once; WEEKLY_PLANNED on its days; MONTHLY on the
 * first day of the month, which every month has. Where the policy leaves a value to the backup system, `unlessChosen`
 * of the configuration decides.
 */
function recurrenceOf(config: AvamarConfig, policy: ScheduledPolicy, backup: ScheduledBackup): Recurrence {
  const { unlessChosen } = config;
  if (backup.type !== 'COMPLETE') throw refused(`policy ${policy.code}: Avamar makes only COMPLETE backups of a VM`);
  const startTime = backup.time ?? unlessChosen.time;
  switch (backup.subtype) {
    case 'HOURLY': {
      const timesOfDay = everyHours(backup.time === null ? unlessChosen.everyHours : Number(backup.time));
      return { recurrenceEnum: 'Daily', startTime: '00:00', dailyData: { timesOfDay } };
    }
    case 'DAILY':
      return { recurrenceEnum: 'Daily', startTime, dailyData: { timesOfDay: [startTime] } };
    case 'WEEKLY_PLANNED': {
      const daysOfWeek = (backup.days ?? [unlessChosen.day]).map(dayName);
      return { recurrenceEnum: 'Weekly', startTime, weeklyData: { daysOfWeek } };
    }
    case 'MONTHLY':
      return { recurrenceEnum: 'Monthly', startTime, monthlyData: { typeEnum: 'NthDay', nthDay: '1' } };
    case 'DEFINED_HOUR':
      throw refused(`policy ${policy.code}: an Avamar schedule recurs, so DEFINED_HOUR is not offered`);
  }
}

function everyHours(hours: number): string[] {
  return Array.from({ length: Math.ceil(24 / hours) }, (_, index) => `${String(index * hours).padStart(2, '0')}:00`);
}

const dayName = (day: Weekday): string => `${day.charAt(0)}${day.slice(1).toLowerCase()}`;
