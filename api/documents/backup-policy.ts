/**
 * The documents of backup policies.
 * @module
 */
import { z } from 'zod';
import type { BackupPolicyRow } from '../../db/backup-policies.ts';
import type { NewEvent } from '../../domain/events.ts';
import type { Principal } from '../../domain/privileges.ts';
import { BACKUP_TYPES, type PolicyConfiguration, SUBTYPES, WEEKDAYS } from '../../domain/policies.ts';
import { Id, iso, Moment, Name, TimeZone } from '../fields.ts';

const DONT_APPLY = { mode: 'dont_apply' } as const;

function policyValue<T extends z.ZodType>(value: T, id: string) {
  return z
    .discriminatedUnion('mode', [
      z.strictObject({ mode: z.literal('fixed'), value }),
      z.strictObject({ mode: z.literal('dont_apply') }),
      z.strictObject({ mode: z.literal('define_in_vm') }),
    ])
    .describe(
      'fixed: the policy decides. dont_apply: the backup system decides. define_in_vm: the virtual machine must say.',
    )
    .meta({ id });
}

const Weekday = z.enum(WEEKDAYS);
const DiskLabel = z.string().min(1).max(63);
const PolicyTime = policyValue(z.string().max(40), 'PolicyTime');
const PolicyDays = policyValue(z.array(Weekday).max(7).readonly(), 'PolicyDays');
const PolicyDisks = policyValue(z.array(DiskLabel).max(64).readonly(), 'PolicyDisks');

const NewConfiguration = z
  .strictObject({
    type: z.enum(BACKUP_TYPES),
    subtype: z.enum(SUBTYPES),
    time: PolicyTime.default(DONT_APPLY).describe(
      'HH:mm for DAILY, WEEKLY_PLANNED and MONTHLY; a number of hours for HOURLY; YYYY-MM-DDTHH:mm for DEFINED_HOUR.',
    ),
    days: PolicyDays.default(DONT_APPLY).describe('WEEKLY_PLANNED only.'),
    disks: PolicyDisks.default(DONT_APPLY).describe('Labels of disks; all disks where the backup system decides.'),
  })
  .meta({ id: 'NewPolicyConfiguration' });

const Configuration = z
  .object({
    type: z.enum(BACKUP_TYPES),
    subtype: z.enum(SUBTYPES),
    time: PolicyTime,
    days: PolicyDays,
    disks: PolicyDisks,
  })
  .meta({ id: 'PolicyConfiguration' });

/** The body of a creation and of a change. */
export const NewBackupPolicy = z
  .strictObject({
    managerId: Id.describe('A backup manager of the same datacenter.'),
    code: z
      .string()
      .min(1)
      .max(100)
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be letters, digits, dots, dashes and underscores'),
    name: Name,
    description: z.string().max(1_000).default(''),
    replication: z.boolean().default(false),
    timeZone: TimeZone.optional().describe("The zone of the policy's times. Default: the datacenter's."),
    retentionDays: z.int().min(1).max(36_500).default(30).describe('How long a backup is kept.'),
    configurations: z.array(NewConfiguration).max(20),
  })
  .meta({ id: 'NewBackupPolicy' });

/** A policy as it is answered. */
export const BackupPolicy = z
  .object({
    id: Id,
    datacenterId: Id,
    managerId: Id,
    code: z.string(),
    name: z.string(),
    description: z.string(),
    replication: z.boolean(),
    timeZone: z.string(),
    retentionDays: z.int(),
    configurations: z.array(Configuration).readonly(),
    createdAt: Moment,
    links: z.object({ self: z.string(), datacenter: z.string() }),
  })
  .meta({ id: 'BackupPolicy' });

/** The row as it is answered. */
export function toPolicy(row: BackupPolicyRow): z.infer<typeof BackupPolicy> {
  return {
    id: row.id,
    datacenterId: row.datacenter_id,
    managerId: row.manager_id,
    code: row.code,
    name: row.name,
    description: row.description,
    replication: row.replication,
    timeZone: row.time_zone,
    retentionDays: row.retention_days,
    configurations: row.configurations,
    createdAt: iso(row.created_at),
    links: { self: `/v1/backup-policies/${row.id}`, datacenter: `/v1/datacenters/${row.datacenter_id}` },
  };
}

/** The columns of a body. */
export function policyColumns(body: z.infer<typeof NewBackupPolicy>, datacenterTimeZone: string) {
  return {
    manager_id: body.managerId,
    code: body.code,
    name: body.name,
    description: body.description,
    replication: body.replication,
    time_zone: body.timeZone ?? datacenterTimeZone,
    retention_days: body.retentionDays,
    configurations: JSON.stringify(body.configurations.map(canonicalConfiguration)),
  };
}

/** Days in the order of the week and once each: what is stored compares equal however it was written. */
function canonicalConfiguration(configuration: PolicyConfiguration): PolicyConfiguration {
  const { type, subtype, time, days, disks } = configuration;
  return {
    type,
    subtype,
    time,
    days: days.mode === 'fixed' ? { ...days, value: WEEKDAYS.filter((day) => days.value.includes(day)) } : days,
    disks: disks.mode === 'fixed' ? { ...disks, value: [...new Set(disks.value)] } : disks,
  };
}

const SCHEDULED = [
  ['manager_id', 'managerId'],
  ['code', 'code'],
  ['replication', 'replication'],
  ['time_zone', 'timeZone'],
  ['retention_days', 'retentionDays'],
] as const;

/** The fields that would change what the backup system already does for the VMs of the policy. */
export function scheduledChanges(row: BackupPolicyRow, columns: ReturnType<typeof policyColumns>): string[] {
  const changed = SCHEDULED.filter(([column]) => row[column] !== columns[column]).map(([, field]) => field);
  const before = JSON.stringify(row.configurations.map(canonicalConfiguration));
  return before === columns.configurations ? changed : [...changed, 'configurations'];
}

const PAST = { CREATE: 'created', MODIFY: 'changed', DELETE: 'deleted' } as const;

/** The event of a change. */
export function policyEvent(
  action: keyof typeof PAST,
  row: BackupPolicyRow,
  datacenter: string,
  principal: Principal,
): NewEvent {
  return {
    entity: 'BACKUP_POLICY',
    action,
    severity: 'INFO',
    message: `Backup policy ${row.name} (${row.code}) in ${datacenter} was ${PAST[action]} by ${principal.name}.`,
    datacenterId: row.datacenter_id,
    entityId: row.id,
    principal: principal.name,
  };
}
