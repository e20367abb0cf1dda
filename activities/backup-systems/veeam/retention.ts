/**
 * How long restore points are kept. Veeam tells no date of a point, so a date is estimated from the retention.
 * @module
 */
import type { BackupSchedule, ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';
import { configuredRetention, type Retention, type VeeamConfig } from './config.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MONTH_DAYS = 31;

/** What the job of that policy keeps. */
export function retentionOf(config: VeeamConfig, policy: ScheduledPolicy, backup: ScheduledBackup): Retention {
  return configuredRetention(config, policy.code, backup.subtype) ?? { days: policy.retentionDays };
}

/** How long after one point the next is made; the longest time where it varies. Milliseconds. */
function periodOf({ subtype, time, days }: ScheduledBackup): number {
  switch (subtype) {
    case 'HOURLY':
      return Number(time ?? 1) * HOUR_MS;
    case 'WEEKLY_PLANNED':
      return (7 * DAY_MS) / Math.max(1, days?.length ?? 1);
    case 'MONTHLY':
      return MONTH_DAYS * DAY_MS;
    case 'DAILY':
    case 'DEFINED_HOUR':
      return DAY_MS;
  }
}

/**
 * When a point of that schedule is likely to be removed; `null` when the VM has no schedule to estimate from. What is
 * kept longer (points that later ones build on, weekly or yearly ones) stays listed past its date.
 */
export function estimatedExpiry(config: VeeamConfig, schedule: BackupSchedule | null, createdAt: Date): Date | null {
  const policy = schedule?.policies[0];
  const backup = policy?.backups[0];
  if (policy === undefined || backup === undefined) return null;
  const kept = retentionOf(config, policy, backup);
  const lasting = 'days' in kept ? kept.days * DAY_MS : kept.restorePoints * periodOf(backup);
  return new Date(createdAt.getTime() + lasting);
}
