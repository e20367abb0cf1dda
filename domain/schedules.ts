/**
 * What a VM chooses of its policies, and the schedule that results for each backup manager.
 * @module
 */
import { backupPluginType } from './plugin-types.ts';
import {
  type BackupPolicy,
  type BackupType,
  type FieldProblem,
  type PolicyConfiguration,
  type PolicyValue,
  type Subtype,
  timeProblem,
  type Weekday,
} from './policies.ts';

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
    const plugin = backupPluginType(policy.managerType);
    const most = plugin?.constraints.maxPoliciesPerVm ?? null;
    if (most !== null && list.length >= most) {
      const others = list.map((other) => other.code).join(', ');
      problems.push({
        pointer: `${at}/policyId`,
        detail: `${plugin?.name} takes ${most === 1 ? 'one policy' : `${most} policies`} for a virtual machine; choose ${policy.code} or ${others}`,
        code: 'BACKUP_MULTIPLE_POLICIES_DISABLED',
      });
    }
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
  const entryOf = (one: PolicyConfiguration) =>
    choice.configurations.findIndex((c) => c.type === one.type && c.subtype === one.subtype);
  const k = entryOf(configuration);
  const given = choice.configurations[k];
  const missing = policy.configurations.filter((one) => entryOf(one) < 0);
  // An entry that is missing would come after those that are there.
  const pointer = `${at}/configurations/${k < 0 ? choice.configurations.length + missing.indexOf(configuration) : k}`;
  /** A value that the policy fixes is in no field of the virtual machine's: the choice of the policy is what is wrong. */
  const fieldOf = (field: 'days' | 'disks') =>
    configuration[field].mode === 'define_in_vm' ? `${pointer}/${field}` : `${at}/policyId`;
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
      pointer: fieldOf('days'),
      detail: 'WEEKLY_PLANNED needs at least one day',
      code: 'BACKUP_WEEKLY_WITHOUT_DAY',
    });
  }
  const selected = settle(configuration.disks, given?.disks);
  note('disks', selected.problem);
  if (selected.value?.length === 0) {
    problems.push({
      pointer: fieldOf('disks'),
      detail: 'name at least one disk',
      code: 'BACKUP_INVALID_DISKS',
    });
  }
  const unknown = selected.value?.filter((label) => !disks.includes(label)) ?? [];
  if (unknown.length > 0) {
    problems.push({
      pointer: fieldOf('disks'),
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
