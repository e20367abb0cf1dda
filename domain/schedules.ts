/**
 * Backup policies, what a VM chooses of them, and the schedule that results for each backup manager.
 * Times are local times; the zone is the policy's. Offsets are computed by a plugin, at the edge.
 * @module
 */
import type { BackupPluginType } from './plugin-types.ts';

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
  readonly code: string;
  readonly name: string;
  readonly replication: boolean;
  /** IANA name, for example `Europe/Madrid`. */
  readonly timeZone: string;
  /** Days that a backup made on demand or by schedule is kept. */
  readonly retentionDays: number;
  readonly configurations: readonly PolicyConfiguration[];
}

/** The values that a VM gives for one configuration of a policy. */
export interface ChosenConfiguration {
  readonly type: BackupType;
  readonly subtype: Subtype;
  readonly time?: string | undefined;
  readonly days?: readonly Weekday[] | undefined;
  readonly disks?: readonly string[] | undefined;
}

/** A policy chosen by a VM, with the values that the policy leaves to it. */
export interface ChosenPolicy {
  readonly policyId: string;
  readonly configurations: readonly ChosenConfiguration[];
}

/** A configuration with every value settled; `null`: the backup system decides. */
export interface ScheduledBackup {
  readonly type: BackupType;
  readonly subtype: Subtype;
  readonly time: string | null;
  readonly days: readonly Weekday[] | null;
  readonly disks: readonly string[] | null;
}

export interface ScheduledPolicy {
  readonly policyId: string;
  readonly code: string;
  readonly name: string;
  readonly replication: boolean;
  readonly timeZone: string;
  readonly retentionDays: number;
  readonly backups: readonly ScheduledBackup[];
}

/** All that one backup manager shall do for one VM. */
export interface BackupSchedule {
  readonly managerId: string;
  readonly policies: readonly ScheduledPolicy[];
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
function timeProblem(subtype: Subtype, time: string): { detail: string; code: string } | undefined {
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

/**
 * Checks a policy's configurations against the rules of the language and the abilities of its manager's plugin, so
 * that a policy that can never be scheduled is refused when it is saved and not when a VM is deployed.
 * @returns every problem found; empty when the policy can be saved. Pointers start at `/configurations`.
 */
export function policyProblems(
  policy: Pick<BackupPolicy, 'replication' | 'configurations'>,
  plugin: BackupPluginType,
): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { constraints } = plugin;
  if (policy.replication && !plugin.operations.replication) {
    problems.push({
      pointer: '/replication',
      detail: `${plugin.name} has no replication option`,
      code: 'BACKUP_INVALID_REPLICATION_OPTION',
    });
  }
  const seen = new Set<string>();
  policy.configurations.forEach((configuration, index) => {
    const at = `/configurations/${index}`;
    const { type, subtype, time, days, disks } = configuration;
    const add = (field: string, detail: string, code: string) =>
      problems.push({ pointer: `${at}/${field}`, detail, code });

    if (!constraints.types.includes(type)) {
      add('type', `${plugin.name} makes only ${constraints.types.join(', ')} backups`, 'BACKUP_NON_VALID_TYPE');
    }
    if (!constraints.subtypes.includes(subtype)) {
      add('subtype', `${plugin.name} offers ${constraints.subtypes.join(', ')}`, 'BACKUP_NON_VALID_PERIOD');
    }
    if (seen.has(`${type}/${subtype}`)) {
      add('subtype', `${type} ${subtype} is there twice; a pair is unique within a policy`, 'BACKUP_NOT_UNIQUE');
    }
    seen.add(`${type}/${subtype}`);

    if (time.mode === 'fixed') {
      const problem = timeProblem(subtype, time.value);
      if (problem !== undefined) add('time', problem.detail, problem.code);
    }
    if (subtype === 'WEEKLY_PLANNED') {
      if (days.mode === 'fixed' && days.value.length === 0) {
        add('days', 'WEEKLY_PLANNED needs at least one day', 'BACKUP_WEEKLY_WITHOUT_DAY');
      }
    } else if (days.mode !== 'dont_apply') {
      add('days', 'days are for WEEKLY_PLANNED only; use the mode dont_apply', 'BACKUP_NON_VALID_DAY');
    }
    if (disks.mode !== 'dont_apply' && !constraints.diskSelection) {
      add('disks', `${plugin.name} always backs up all disks; use the mode dont_apply`, 'BACKUP_DISKS');
    }
    if (disks.mode === 'fixed' && disks.value.length === 0) {
      add('disks', 'name at least one disk, or use the mode dont_apply', 'BACKUP_INVALID_DISKS');
    }
  });
  return problems;
}

/** Settles one value: the policy's, the VM's, or `null` when the backup system decides. */
function settle<T>(
  value: PolicyValue<T>,
  chosen: T | undefined,
): { value: T | null; problem?: 'MISSING' | 'NOT_YOURS' } {
  if (value.mode === 'define_in_vm') {
    return chosen === undefined ? { value: null, problem: 'MISSING' } : { value: chosen };
  }
  const settled = value.mode === 'fixed' ? value.value : null;
  return chosen === undefined ? { value: settled } : { value: settled, problem: 'NOT_YOURS' };
}

/**
 * Settles what a VM has chosen against its policies: one schedule per backup manager.
 * @param chosen what the VM names, in the VM's own order.
 * @param policies every policy that the VM may use, by id.
 * @param disks labels of the VM's disks, to check disk choices against.
 * @returns the schedules (empty when nothing is chosen) and every problem; with problems the schedules mean nothing.
 */
export function resolveSchedules(
  chosen: readonly ChosenPolicy[],
  policies: ReadonlyMap<string, BackupPolicy>,
  disks: readonly string[],
): { schedules: BackupSchedule[]; problems: FieldProblem[] } {
  const problems: FieldProblem[] = [];
  const byManager = new Map<string, ScheduledPolicy[]>();
  const seen = new Set<string>();

  chosen.forEach((choice, index) => {
    const at = `/backupPolicies/${index}`;
    const policy = policies.get(choice.policyId);
    if (policy === undefined) {
      problems.push({
        pointer: `${at}/policyId`,
        detail: 'no such policy is allowed to this enterprise in this datacenter',
        code: 'BACKUP_POLICY_NOT_FOUND',
      });
      return;
    }
    if (seen.has(policy.id)) {
      problems.push({ pointer: `${at}/policyId`, detail: 'this policy is chosen twice', code: 'BACKUP_NOT_UNIQUE' });
      return;
    }
    seen.add(policy.id);
    choice.configurations.forEach((given, k) => {
      const earlier = choice.configurations.slice(0, k);
      if (earlier.some((c) => c.type === given.type && c.subtype === given.subtype)) {
        problems.push({
          pointer: `${at}/configurations/${k}`,
          detail: `${given.type} ${given.subtype} is there twice`,
          code: 'BACKUP_NOT_UNIQUE',
        });
      }
      if (!policy.configurations.some((c) => c.type === given.type && c.subtype === given.subtype)) {
        problems.push({
          pointer: `${at}/configurations/${k}`,
          detail: `policy ${policy.code} has no ${given.type} ${given.subtype}`,
          code: 'BACKUP_CONFIGURATION_NOT_FOUND',
        });
      }
    });
    const backups = policy.configurations.map((configuration) =>
      settleConfiguration(policy, configuration, choice, at, disks, problems),
    );
    const list = byManager.get(policy.managerId) ?? [];
    const { id: policyId, code, name, replication, timeZone, retentionDays } = policy;
    list.push({ policyId, code, name, replication, timeZone, retentionDays, backups });
    byManager.set(policy.managerId, list);
  });

  const schedules = [...byManager].map(([managerId, list]) => ({ managerId, policies: list }));
  return { schedules, problems };
}

function settleConfiguration(
  policy: BackupPolicy,
  configuration: PolicyConfiguration,
  choice: ChosenPolicy,
  at: string,
  disks: readonly string[],
  problems: FieldProblem[],
): ScheduledBackup {
  const { type, subtype } = configuration;
  const k = choice.configurations.findIndex((c) => c.type === type && c.subtype === subtype);
  const given = choice.configurations[k];
  const pointer = `${at}/configurations${k < 0 ? '' : `/${k}`}`;
  const label = `${policy.code} ${type} ${subtype}`;
  const note = (field: string, problem: 'MISSING' | 'NOT_YOURS' | undefined) => {
    if (problem === 'MISSING') {
      const detail = `policy ${label} leaves ${field} to the virtual machine; give it in configurations`;
      problems.push({
        pointer: `${pointer}/${field}`,
        detail,
        code: field === 'time' ? 'BACKUP_TIME_NOT_INDICATED' : 'BACKUP_NOT_FOUND',
      });
    } else if (problem === 'NOT_YOURS') {
      problems.push({
        pointer: `${pointer}/${field}`,
        detail: `policy ${label} does not leave ${field} to the virtual machine; leave it out`,
        code: 'BACKUP_NOT_EDITABLE',
      });
    }
  };

  const time = settle(configuration.time, given?.time);
  note('time', time.problem);
  if (given?.time !== undefined && time.problem === undefined) {
    const problem = timeProblem(subtype, given.time);
    if (problem !== undefined) problems.push({ pointer: `${pointer}/time`, ...problem });
  }
  const days = settle(configuration.days, given?.days);
  note('days', days.problem);
  if (subtype === 'WEEKLY_PLANNED' && days.value?.length === 0) {
    problems.push({
      pointer: `${pointer}/days`,
      detail: 'WEEKLY_PLANNED needs at least one day',
      code: 'BACKUP_WEEKLY_WITHOUT_DAY',
    });
  }
  const selected = settle(configuration.disks, given?.disks);
  note('disks', selected.problem);
  if (selected.value?.length === 0) {
    problems.push({
      pointer: `${pointer}/disks`,
      detail: 'name at least one disk',
      code: 'BACKUP_INVALID_DISKS',
    });
  }
  const unknown = selected.value?.filter((label) => !disks.includes(label)) ?? [];
  if (unknown.length > 0) {
    problems.push({
      pointer: `${pointer}/disks`,
      detail: `the virtual machine has no disk ${unknown.join(', ')}`,
      code: 'BACKUP_INVALID_DISKS',
    });
  }
  return { type, subtype, time: time.value, days: days.value, disks: selected.value };
}

/** Whether two schedules ask the backup system for the same thing, whatever the order of policies and backups. */
export function sameSchedule(a: BackupSchedule | undefined, b: BackupSchedule | undefined): boolean {
  return canonical(a) === canonical(b);
}

function canonical(schedule: BackupSchedule | undefined): string {
  if (schedule === undefined) return '';
  const policies = schedule.policies.map((policy) => ({
    ...sorted(policy),
    backups: policy.backups.map((backup) => JSON.stringify(sorted(backup))).toSorted(),
  }));
  return JSON.stringify(policies.toSorted((x, y) => x.policyId.localeCompare(y.policyId)));
}

/** A copy with its keys in order and its lists sorted: jsonb does not keep the order in which keys were written. */
function sorted<T extends object>(value: T): T {
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    Array.isArray(item) && item.every((element) => typeof element === 'string') ? item.toSorted() : item,
  ]);
  return Object.fromEntries(entries.toSorted(([x], [y]) => String(x).localeCompare(String(y)))) as T;
}
