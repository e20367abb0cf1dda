/**
 * From the schedule of a VM to what Avamar shall hold for it.
 * @module
 */
import type { Subtype, Weekday } from '../../../domain/policies.ts';
import type { ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';
import type { AvamarConfig } from './config.ts';
import { objectName } from './names.ts';
import { oneOff } from './one-off.ts';
import { refused } from './refusal.ts';

/** The times of a schedule, as in Avamar's `ScheduleDTO`. */
export interface Recurrence {
  readonly recurrenceEnum: 'Daily' | 'Weekly' | 'Monthly';
  /** `HH:mm` in the schedule's zone. */
  readonly startTime: string;
  readonly dailyData?: { readonly timesOfDay: readonly string[] };
  readonly weeklyData?: { readonly daysOfWeek: readonly string[] };
  readonly monthlyData?: { readonly typeEnum: 'NthDay'; readonly nthDay: string };
  /** When it begins and ends to be in force, ISO 8601; absent: always. */
  readonly postponeUntilDate?: string;
  readonly endDate?: string;
}

/** One backup of one policy: what becomes a schedule, a retention, perhaps a dataset, and a group. */
export interface PlannedBackup {
  readonly name: string;
  readonly policyId: string;
  readonly policyCode: string;
  readonly timeZoneId: string;
  readonly recurrence: Recurrence;
  readonly retentionDays: number;
  /** Labels of the chosen disks; `null` means all. */
  readonly disks: readonly string[] | null;
  /** The one moment at which it runs; `null`: it recurs. */
  readonly once: Date | null;
}

/**
 * What a policy asks of Avamar, one entry for each of its backups.
 * @throws ExternalSystemError `REFUSED` for what Avamar cannot do, before anything is written.
 */
export function plannedBackups(config: AvamarConfig, vmId: string, policy: ScheduledPolicy): PlannedBackup[] {
  const { policyId, code: policyCode, timeZone: timeZoneId, retentionDays } = policy;
  return policy.backups.map((backup) => {
    refuseOtherTypes(policy, backup);
    return {
      ...timesOf(config, policy, backup),
      name: objectName(config.marker, vmId, policyCode, backup.subtype),
      policyId,
      policyCode,
      timeZoneId,
      retentionDays,
      disks: backup.disks,
    };
  });
}

/** @throws ExternalSystemError `REFUSED` */
export function refuseOtherTypes(policy: ScheduledPolicy, { type }: ScheduledBackup): void {
  if (type !== 'COMPLETE') throw refused(`policy ${policy.code}: Avamar makes only COMPLETE backups of a VM`);
}

/**
 * When a backup runs. HOURLY runs every n hours from midnight; DAILY once; WEEKLY_PLANNED on its days; MONTHLY on the
 * day that the configuration names, since a policy names none; DEFINED_HOUR once and never again. Where the policy
 * leaves a value to the backup system, `unlessChosen` of the configuration decides.
 */
function timesOf(
  config: AvamarConfig,
  policy: ScheduledPolicy,
  backup: ScheduledBackup,
): Pick<PlannedBackup, 'recurrence' | 'once'> {
  if (backup.subtype !== 'DEFINED_HOUR')
    return { recurrence: recurrenceOf(config, backup.subtype, backup), once: null };
  const found = backup.time === null ? undefined : oneOff(backup.time, policy.timeZone);
  if (found !== undefined) return { recurrence: found.recurrence, once: found.at };
  throw refused(
    `policy ${policy.code}: there is no moment ${backup.time ?? 'of its DEFINED_HOUR'} in ${policy.timeZone}`,
  );
}

function recurrenceOf(
  { unlessChosen }: AvamarConfig,
  subtype: Exclude<Subtype, 'DEFINED_HOUR'>,
  backup: ScheduledBackup,
): Recurrence {
  const startTime = backup.time ?? unlessChosen.time;
  switch (subtype) {
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
    case 'MONTHLY': {
      const nthDay = String(unlessChosen.monthDay);
      return { recurrenceEnum: 'Monthly', startTime, monthlyData: { typeEnum: 'NthDay', nthDay } };
    }
  }
}

function everyHours(hours: number): string[] {
  return Array.from({ length: Math.ceil(24 / hours) }, (_, index) => `${String(index * hours).padStart(2, '0')}:00`);
}

const dayName = (day: Weekday): string => `${day.charAt(0)}${day.slice(1).toLowerCase()}`;
