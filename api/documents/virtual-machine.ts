/**
 * The documents of virtual machines.
 * @module
 */
import { z } from 'zod';
import type { VmView } from '../../db/virtual-machine-list.ts';
import { OPERATION_KINDS } from '../../domain/operations.ts';
import { BACKUP_TYPES, SUBTYPES, WEEKDAYS } from '../../domain/policies.ts';
import type { ChosenPolicy } from '../../domain/schedules.ts';
import { VM_STATES } from '../../domain/virtual-machines.ts';
import { Id, iso, Moment } from '../fields.ts';
import { Residue, toResidue } from './residue.ts';

const MAX_DISKS = 64;

/** A name that is also a host name, and part of a workflow id. */
export const VmName = z
  .string()
  .max(63)
  .regex(/^[a-z]([a-z0-9-]*[a-z0-9])?$/, 'must be a-z, 0-9 and dashes, begin with a letter and not end with a dash')
  .meta({ example: 'web-1' });

const Label = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._ -]*$/, 'must be letters, digits, spaces, dots, dashes and underscores');

const Disk = z.strictObject({ label: Label, sizeGiB: z.int().min(1).max(65_536) }).meta({ id: 'Disk' });

const Disks = z
  .array(Disk)
  .min(1)
  .max(MAX_DISKS)
  .refine(
    (disks) => new Set(disks.map((disk) => disk.label)).size === disks.length,
    'every disk needs a label of its own',
  );

const Chosen = z
  .strictObject({
    policyId: Id,
    configurations: z
      .array(
        z.strictObject({
          type: z.enum(BACKUP_TYPES),
          subtype: z.enum(SUBTYPES),
          time: z.string().max(40).optional(),
          days: z.array(z.enum(WEEKDAYS)).max(7).optional(),
          disks: z.array(Label).max(MAX_DISKS).optional(),
        }),
      )
      .max(20)
      .default([])
      .describe('The values that the policy leaves to the virtual machine.'),
  })
  .meta({ id: 'ChosenPolicy' });

const HARDWARE = {
  cpu: z.int().min(1).max(256),
  memoryMiB: z.int().min(1).max(16_777_216),
  disks: Disks,
};

const NOT_REGISTERED = 'Needed without a hypervisorRef; with one it is read from the hypervisor and left out here.';

/** The body of a creation: of a draft, which says what it shall be, or of a VM that is a machine already. */
export const NewVirtualMachine = z
  .strictObject({
    name: VmName,
    enterpriseId: Id.optional().describe('For tokens that belong to no enterprise; the others create in their own.'),
    datacenterId: Id,
    hypervisorRef: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe('What the hypervisor calls a machine that runs already and is to be registered, for example `vm-42`.')
      .meta({ example: 'vm-42' }),
    cpu: HARDWARE.cpu.optional().describe(NOT_REGISTERED),
    memoryMiB: HARDWARE.memoryMiB.optional().describe(NOT_REGISTERED),
    disks: HARDWARE.disks.optional().describe(NOT_REGISTERED),
    backupPolicies: z
      .array(Chosen)
      .max(20)
      .default([])
      .describe('Empty with a hypervisorRef: the first policy comes by a change of the registered virtual machine.'),
  })
  .superRefine((body, context) => {
    for (const field of ['cpu', 'memoryMiB', 'disks'] as const) {
      const given = body[field] !== undefined;
      if (given === (body.hypervisorRef === undefined)) continue;
      const message = given ? 'is read from the hypervisor with hypervisorRef; leave it out' : 'is missing';
      context.addIssue({ code: 'custom', path: [field], message });
    }
    if (body.hypervisorRef === undefined || body.backupPolicies.length === 0) return;
    const message = 'must be empty with hypervisorRef: choose the first policy with PUT once it is registered';
    context.addIssue({ code: 'custom', path: ['backupPolicies'], message });
  })
  .meta({ id: 'NewVirtualMachine' });

/** The body of a change. */
export const ChangedVirtualMachine = z
  .strictObject({ name: VmName.optional(), ...HARDWARE, backupPolicies: z.array(Chosen).max(20) })
  .meta({ id: 'ChangedVirtualMachine' });

const REGISTERED = 'null while the virtual machine is being registered: until then nobody has read it.';

/** A virtual machine as it is answered. */
export const VirtualMachine = z
  .object({
    id: Id,
    name: z.string(),
    enterpriseId: Id,
    datacenterId: Id,
    state: z.enum([...VM_STATES, 'LOCKED']).describe('LOCKED while an operation holds the virtual machine.'),
    storedState: z.enum(VM_STATES).describe('The state without regard to the lock.'),
    lock: z
      .object({
        operationId: Id.describe('The operation that holds the virtual machine.'),
        href: z.string().describe('Where that operation is told.'),
        kind: z.enum(OPERATION_KINDS),
        reason: z.string().nullable().describe('Why it is held, in words.'),
        requestedBy: z.string().describe('Who asked for the operation.'),
        since: Moment,
        ageSeconds: z.int().describe("By the database's clock."),
      })
      .nullable()
      .describe('Who holds it, and since when; null while nobody does.'),
    cpu: z.int().nullable().describe(REGISTERED),
    memoryMiB: z.int().nullable().describe(REGISTERED),
    disks: z
      .array(z.object({ label: z.string(), sizeGiB: z.int() }))
      .readonly()
      .nullable()
      .describe(REGISTERED),
    backupPolicies: z
      .array(
        z.object({
          policyId: Id,
          configurations: z.array(
            z.object({
              type: z.enum(BACKUP_TYPES),
              subtype: z.enum(SUBTYPES),
              time: z.string().optional(),
              days: z.array(z.enum(WEEKDAYS)).optional(),
              disks: z.array(z.string()).optional(),
            }),
          ),
        }),
      )
      .describe('What is chosen.'),
    hypervisorRef: z.string().nullable().describe('What the hypervisor calls it now.'),
    schedules: z
      .array(
        z.object({
          manager: z.object({ id: Id, name: z.string() }),
          policies: z.array(z.object({ id: Id, code: z.string(), name: z.string() })),
          appliedAt: Moment,
          uncertain: z
            .boolean()
            .describe('An operation ended without knowing what became of it: reconfigure to bring it in order.'),
        }),
      )
      .describe('The schedules that exist in backup systems now.'),
    residue: z.array(Residue).describe('What operations left behind and nobody has cleared yet.'),
    createdAt: Moment,
    updatedAt: Moment,
    links: z.object({
      self: z.string(),
      operations: z.string(),
      backupResults: z.string(),
      events: z.string(),
      lockedBy: z.string().optional(),
    }),
  })
  .meta({ id: 'VirtualMachine' });

/** The row as it is answered. */
export function toVirtualMachine(row: VmView): z.infer<typeof VirtualMachine> {
  const self = `/v1/virtual-machines/${row.id}`;
  const lock = toLock(row);
  // What stands in the row of a VM that is being registered is nobody's hardware.
  const unread = lock?.kind === 'REGISTER';
  return {
    id: row.id,
    name: row.name,
    enterpriseId: row.enterprise_id,
    datacenterId: row.datacenter_id,
    state: lock === null ? row.state : 'LOCKED',
    storedState: row.state,
    lock,
    cpu: unread ? null : row.cpu,
    memoryMiB: unread ? null : row.memory_mib,
    disks: unread ? null : row.disks,
    backupPolicies: row.backup_policies.map(writableChoice),
    hypervisorRef: row.hypervisor_ref,
    schedules: row.schedules.map((schedule) => ({
      manager: { id: schedule.manager_id, name: schedule.manager_name },
      policies: schedule.schedule.policies.map(({ policyId, code, name }) => ({ id: policyId, code, name })),
      appliedAt: new Date(schedule.applied_at).toISOString(),
      uncertain: schedule.uncertain,
    })),
    residue: row.residue.map(toResidue),
    createdAt: iso(row.created_at),
    updatedAt: iso(row.updated_at),
    links: {
      self,
      operations: `/v1/operations?vmId=${row.id}`,
      backupResults: `${self}/backup-results`,
      events: `/v1/events?vmId=${row.id}`,
      ...(lock === null ? {} : { lockedBy: lock.href }),
    },
  };
}

function toLock(row: VmView): z.infer<typeof VirtualMachine>['lock'] {
  const { lock_operation_id: operationId, lock_kind: kind, lock_requested_by: requestedBy, lock_since: since } = row;
  if (operationId === null || kind === null || requestedBy === null || since === null) return null;
  return {
    operationId,
    href: `/v1/operations/${operationId}`,
    kind,
    reason: row.lock_reason,
    requestedBy,
    since: iso(since),
    ageSeconds: Math.max(0, row.lock_age_seconds ?? 0),
  };
}

/** A choice with its keys in one order and nothing undefined, so that equal choices are equal texts. */
export function writableChoice({ policyId, configurations }: ChosenPolicy) {
  return {
    policyId,
    configurations: configurations.map(({ type, subtype, time, days, disks }) => ({
      type,
      subtype,
      ...(time === undefined ? {} : { time }),
      ...(days === undefined ? {} : { days: WEEKDAYS.filter((day) => days.includes(day)) }),
      ...(disks === undefined ? {} : { disks: [...new Set(disks)] }),
    })),
  };
}

/** Whether two choices mean the same, whatever the order of the policies. */
export function sameChoices(a: readonly ChosenPolicy[], b: readonly ChosenPolicy[]): boolean {
  const text = (choices: readonly ChosenPolicy[]) =>
    choices
      .map((choice) => JSON.stringify(writableChoice(choice)))
      .toSorted()
      .join('\n');
  return text(a) === text(b);
}
