/**
 * Backup policies: what a VM can choose, and who decides each of its values. Times are local times of the policy's
 * zone; offsets are computed by a plugin, at the edge.
 * @module
 */

export const BACKUP_TYPES = ['COMPLETE', 'SNAPSHOT', 'FILESYSTEM'] as const;
export type BackupType = (typeof BACKUP_TYPES)[number];

export const SUBTYPES = ['DEFINED_HOUR', 'HOURLY', 'DAILY', 'WEEKLY_PLANNED', 'MONTHLY'] as const;
export type Subtype = (typeof SUBTYPES)[number];

export const WEEKDAYS = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** Who decides a value: the policy (`fixed`), the backup system (`dont_apply`) or the VM (`define_in_vm`). */
export type PolicyValue<T> =
  | { readonly mode: 'fixed'; readonly value: T }
  | { readonly mode: 'dont_apply' }
  | { readonly mode: 'define_in_vm' };

/**
 * One backup of a policy. `time` is `HH:mm` (DAILY, WEEKLY_PLANNED, MONTHLY), a whole number of hours (HOURLY) or
 * `YYYY-MM-DDTHH:mm` (DEFINED_HOUR); `disks` are disk labels.
 */
export interface PolicyConfiguration {
  readonly type: BackupType;
  readonly subtype: Subtype;
  readonly time: PolicyValue<string>;
  readonly days: PolicyValue<readonly Weekday[]>;
  readonly disks: PolicyValue<readonly string[]>;
}

export interface BackupPolicy {
  readonly id: string;
  readonly managerId: string;
  /** The plugin type of the manager. */
  readonly managerType: string;
  readonly code: string;
  readonly name: string;
  readonly replication: boolean;
  /** IANA name, for example `Europe/Madrid`. */
  readonly timeZone: string;
  /** Days that a backup made on demand or by schedule is kept. */
  readonly retentionDays: number;
  readonly configurations: readonly PolicyConfiguration[];
}

/** One thing wrong with a document, with a JSON pointer to the field. */
export interface FieldProblem {
  readonly pointer: string;
  readonly detail: string;
  readonly code: string;
}

const CLOCK = /^([01]\d|2[0-3]):[0-5]\d$/;
const DATE_AND_CLOCK = /^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d$/;

/** Whether the day exists: a Date turns February 31 into March 3. */
function isRealDate(time: string): boolean {
  const date = new Date(`${time}Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(time);
}

/** Why a time does not fit its subtype, or `undefined` when it fits. Hours: 1 to 23 (Abiquo BC-16 says 0 to 24; 0 and 24 mean nothing useful). */
export function timeProblem(subtype: Subtype, time: string): { detail: string; code: string } | undefined {
  if (subtype === 'HOURLY') {
    const hours = /^\d{1,2}$/.test(time) ? Number(time) : Number.NaN;
    if (hours >= 1 && hours <= 23) return undefined;
    return { detail: 'HOURLY takes a whole number of hours from 1 to 23, as a string', code: 'BACKUP_INVALID_HOURLY' };
  }
  if (subtype === 'DEFINED_HOUR') {
    if (DATE_AND_CLOCK.test(time) && isRealDate(time)) return undefined;
    return {
      detail: 'DEFINED_HOUR takes a local date and time: YYYY-MM-DDTHH:mm',
      code: 'BACKUP_INVALID_DATE_FORMAT_DEFINED',
    };
  }
  if (CLOCK.test(time)) return undefined;
  return { detail: `${subtype} takes a local time: HH:mm`, code: 'BACKUP_INVALID_DATE_FORMAT' };
}
