/**
 * From the schedule of a VM to what its job shall do.
 * @module
 */
import { IANAZone } from 'luxon';
import type { Weekday } from '../../../domain/policies.ts';
import type { BackupSchedule, ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';
import type { Retention, VeeamConfig } from './config.ts';
import { refused } from './refusal.ts';
import { retentionOf } from './retention.ts';

/** When the job runs; `null`: as the template says. Times are local to the policy's zone, `HH:mm`. */
export type Recurrence =
  | { readonly kind: 'HOURS'; readonly hours: number | null }
  | { readonly kind: 'EVERY_DAY'; readonly time: string | null }
  | { readonly kind: 'DAYS_OF_WEEK'; readonly time: string | null; readonly days: readonly string[] | null }
  | { readonly kind: 'FIRST_OF_MONTH'; readonly time: string | null };

export interface PlannedJob {
  readonly policyId: string;
  /** The name of the template job. */
  readonly policyCode: string;
  readonly timeZone: string;
  readonly recurrence: Recurrence;
  readonly retention: Retention;
}

/**
 * What a schedule asks of the VM's one job.
 * @throws ExternalSystemError `REFUSED` for what Veeam cannot do, before anything is written.
 */
export function plannedJob(config: VeeamConfig, schedule: BackupSchedule): PlannedJob {
  const [policy, ...otherPolicies] = schedule.policies;
  if (policy === undefined || otherPolicies.length > 0) {
    throw refused('a virtual machine has one job in Veeam, so it takes exactly one backup policy of the manager');
  }
  const [backup, ...otherBackups] = policy.backups;
  if (backup === undefined || otherBackups.length > 0) {
    throw refused(
      `policy ${policy.code}: a Veeam job recurs in one way, so the policy needs exactly one configuration`,
    );
  }
  if (policy.replication) throw refused(`policy ${policy.code}: replication is not offered by the Veeam plugin`);
  if (backup.type !== 'COMPLETE') throw refused(`policy ${policy.code}: Veeam makes only COMPLETE backups of a VM`);
  if (backup.disks !== null) throw refused(`policy ${policy.code}: a Veeam job always backs up all disks`);
  if (!IANAZone.isValidZone(policy.timeZone)) {
    throw refused(`policy ${policy.code}: there is no timeZone ${policy.timeZone}`);
  }
  return {
    policyId: policy.policyId,
    policyCode: policy.code,
    timeZone: policy.timeZone,
    recurrence: recurrenceOf(policy, backup),
    retention: retentionOf(config, policy, backup),
  };
}

function recurrenceOf(policy: ScheduledPolicy, { subtype, time, days }: ScheduledBackup): Recurrence {
  switch (subtype) {
    case 'HOURLY': {
      const hours = time === null ? null : Number(time);
      if (hours !== null && !(Number.isInteger(hours) && hours >= 1 && hours <= 23)) {
        throw refused(`policy ${policy.code}: HOURLY takes 1 to 23 hours`);
      }
      return { kind: 'HOURS', hours };
    }
    case 'DAILY':
      return { kind: 'EVERY_DAY', time };
    case 'WEEKLY_PLANNED':
      return { kind: 'DAYS_OF_WEEK', time, days: days?.map(dayName) ?? null };
    case 'MONTHLY':
      return { kind: 'FIRST_OF_MONTH', time };
    case 'DEFINED_HOUR':
      throw refused(`policy ${policy.code}: a Veeam job recurs, so DEFINED_HOUR is not offered`);
  }
}

const dayName = (day: Weekday): string => `${day.charAt(0)}${day.slice(1).toLowerCase()}`;

/** Whether the policy leaves a value to the backup system: then the template has to be read. */
export function needsTemplate({ recurrence }: PlannedJob): boolean {
  if (recurrence.kind === 'HOURS') return recurrence.hours === null;
  return recurrence.time === null || (recurrence.kind === 'DAYS_OF_WEEK' && recurrence.days === null);
}

/** The job's local time and the zone whose offset it depends on; `undefined` when it depends on none. */
export function zonedTime({
  recurrence,
  timeZone,
}: PlannedJob): { readonly time: string; readonly zone: string } | undefined {
  if (recurrence.kind === 'HOURS' || recurrence.time === null) return undefined;
  return { time: recurrence.time, zone: timeZone };
}
