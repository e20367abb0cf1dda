/**
 * The inventory of the demo: a file that a person can edit.
 * @module
 */
import { readFileSync } from 'node:fs';
import { IANAZone } from 'luxon';
import { parse } from 'yaml';
import { z } from 'zod';
import { StartError } from '../parts/part.ts';

const WEEKDAYS = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'] as const;

const Name = z.string('write a name').min(1, 'write a name').max(100, 'write at most 100 characters');
const TIME = 'write HH:mm in quotes, for example "22:00", or define_in_vm';
const Clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, TIME);

const Policy = z
  .strictObject({
    code: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'write letters, digits, dots, dashes and underscores'),
    name: Name,
    subtype: z.enum(['DAILY', 'WEEKLY_PLANNED'], 'write DAILY or WEEKLY_PLANNED'),
    time: z.union([z.literal('define_in_vm'), Clock], TIME),
    days: z
      .array(z.enum(WEEKDAYS, `write days as ${WEEKDAYS[0]}, ${WEEKDAYS[1]} …`))
      .min(1, 'write at least one day')
      .optional(),
    retentionDays: z.int('write a number of days').min(1, 'write at least 1').max(36_500).default(30),
  })
  .superRefine((policy, context) => {
    const given = policy.days !== undefined;
    if (given === (policy.subtype === 'WEEKLY_PLANNED')) return;
    const message = given ? 'only WEEKLY_PLANNED has days; leave them out' : 'WEEKLY_PLANNED needs days';
    context.addIssue({ code: 'custom', path: ['days'], message });
  });

const Disk = z.strictObject({
  label: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._ -]{0,62}$/, 'write letters, digits, spaces, dots and dashes'),
  sizeGiB: z.int('write a whole number of GiB').min(1, 'write at least 1'),
});

const VirtualMachine = z.strictObject({
  name: z.string().regex(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/, 'write a-z, 0-9 and dashes, beginning with a letter'),
  enterprise: Name,
  policy: Name,
  cpu: z.int('write a whole number').min(1, 'write at least 1'),
  memoryMiB: z.int('write a whole number of MiB').min(1, 'write at least 1'),
  disks: z.array(Disk).min(2, 'write at least two disks'),
});

const Inventory = z
  .strictObject({
    datacenter: z.strictObject({
      name: Name,
      timeZone: z
        .string()
        .refine((zone) => IANAZone.isValidZone(zone), 'write an IANA zone, for example Europe/Madrid'),
    }),
    backupManager: z.strictObject({
      name: Name,
      type: z.literal('avamar', 'write avamar: the demo has its simulator'),
    }),
    enterprises: z.array(Name).length(2, 'write two enterprises'),
    policies: z.array(Policy).min(1, 'write at least one policy'),
    virtualMachines: z.array(VirtualMachine).length(4, 'write four: each has its part in the story'),
  })
  .superRefine((inventory, context) => {
    const { enterprises, policies, virtualMachines } = inventory;
    const wrong = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message });
    const refuseTwice = (values: readonly string[], pathOf: (index: number) => (string | number)[]) => {
      values.forEach((value, index) => {
        if (values.indexOf(value) < index) wrong(pathOf(index), `"${value}" is there twice`);
      });
    };
    refuseTwice(enterprises, (index) => ['enterprises', index]);
    refuseTwice(
      policies.map(({ code }) => code),
      (index) => ['policies', index, 'code'],
    );
    refuseTwice(
      virtualMachines.map(({ name }) => name),
      (index) => ['virtualMachines', index, 'name'],
    );
    virtualMachines.forEach((vm, index) => {
      const at = (...keys: (string | number)[]) => ['virtualMachines', index, ...keys];
      refuseTwice(
        vm.disks.map(({ label }) => label),
        (disk) => at('disks', disk, 'label'),
      );
      if (!enterprises.includes(vm.enterprise)) {
        wrong(at('enterprise'), `there is no enterprise "${vm.enterprise}"; there are ${enterprises.join(', ')}`);
      }
      const policy = policies.find(({ code }) => code === vm.policy);
      const codes = policies.map(({ code }) => code).join(', ');
      if (policy === undefined) wrong(at('policy'), `there is no policy "${vm.policy}"; there are ${codes}`);
      if (index === 3 && policy !== undefined && (policy.time !== 'define_in_vm' || policy.subtype !== 'DAILY')) {
        wrong(at('policy'), 'the fourth virtual machine needs a DAILY policy with the time define_in_vm');
      }
    });
  });

export type Inventory = z.infer<typeof Inventory>;
export type PlannedPolicy = Inventory['policies'][number];
export type PlannedVm = Inventory['virtualMachines'][number];

/**
 * Reads and checks the inventory.
 * @throws StartError that names the file, and each wrong key with what is wrong with it.
 */
export function readInventory(path: string): Inventory {
  let content: unknown;
  try {
    content = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new StartError(
      `The inventory ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const checked = checkInventory(content);
  if ('inventory' in checked) return checked.inventory;
  throw new StartError(
    `The inventory ${path} cannot be used:\n${checked.problems.map((line) => `  ${line}`).join('\n')}`,
  );
}

/**
 * Checks what the file holds.
 * @returns the inventory, or a line for each wrong key: `virtualMachines.2.policy: there is no policy "x" …`
 */
export function checkInventory(content: unknown): { inventory: Inventory } | { problems: string[] } {
  const checked = Inventory.safeParse(content);
  if (checked.success) return { inventory: checked.data };
  return { problems: checked.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`) };
}
