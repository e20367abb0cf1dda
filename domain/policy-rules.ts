/**
 * Whether a policy can be saved.
 * @module
 */
import type { BackupPluginType } from './plugin-types.ts';
import { type BackupPolicy, type FieldProblem, timeProblem } from './policies.ts';

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
  if (policy.configurations.length === 0) {
    problems.push({
      pointer: '/configurations',
      detail: 'a policy needs at least one configuration: one without any would back up nothing',
      code: 'BACKUP_CONFIGURATION_NOT_FOUND',
    });
  }
  const most = constraints.maxBackupsPerPolicy;
  if (most !== null && policy.configurations.length > most) {
    problems.push({
      pointer: `/configurations/${most}`,
      detail: `${plugin.name} takes ${most === 1 ? 'one configuration' : `${most} configurations`} in a policy; make another policy of the others`,
      code: 'BACKUP_TOO_MANY_CONFIGURATIONS',
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
    } else if (subtype === 'DEFINED_HOUR' && time.mode === 'dont_apply') {
      add('time', 'no backup system knows the date of a DEFINED_HOUR; give it', 'BACKUP_TIME_NOT_INDICATED');
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
