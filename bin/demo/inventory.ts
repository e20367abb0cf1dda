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

/** So many days the clock of the Veeam simulator is turned back. */
const LONGEST_VEEAM_RETENTION = 7;

type Path = (string | number)[];
type Wrong = (path: Path, message: string) => void;

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
    replication: z.boolean('write true or false').default(false),
    retentionDays: z.int('write a number of days').min(1, 'write at least 1').max(36_500).default(30),
  })
  .superRefine((policy, context) => {
    const given = policy.days !== undefined;
    if (given === (policy.subtype === 'WEEKLY_PLANNED')) return;
    const message = given ? 'only WEEKLY_PLANNED has days; leave them out' : 'WEEKLY_PLANNED needs days';
    context.addIssue({ code: 'custom', path: ['days'], message });
  });

type Policy = z.infer<typeof Policy>;

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

/** The part of a datacenter in the story: its backup system, its machines, and which of these choose their time. */
interface Role {
  readonly type: 'avamar' | 'veeam';
  readonly machines: number;
  readonly choosers: readonly number[];
}
const ROLES: readonly Role[] = [
  { type: 'avamar', machines: 4, choosers: [3] },
  { type: 'veeam', machines: 2, choosers: [0, 1] },
];

const Datacenter = z.strictObject({
  name: Name,
  timeZone: z.string().refine((zone) => IANAZone.isValidZone(zone), 'write an IANA zone, for example Europe/Madrid'),
  backupManager: z.strictObject({ name: Name, type: z.enum(['avamar', 'veeam'], 'write avamar or veeam') }),
  policies: z.array(Policy).min(1, 'write at least one policy'),
  virtualMachines: z.array(VirtualMachine),
});
type Datacenter = z.infer<typeof Datacenter>;

const Inventory = z
  .strictObject({
    enterprises: z.array(Name).length(2, 'write two enterprises'),
    datacenters: z.array(Datacenter).length(2, 'write two datacenters'),
  })
  .superRefine(({ enterprises, datacenters }, context) => {
    const wrong: Wrong = (path, message) => context.addIssue({ code: 'custom', path, message });
    const machines = datacenters.flatMap(({ virtualMachines }, index) =>
      virtualMachines.map(({ name }, number) => ({ name, path: ['datacenters', index, 'virtualMachines', number] })),
    );
    refuseTwice(wrong, enterprises, (index) => ['enterprises', index]);
    refuseTwice(wrong, namesOf(datacenters), (index) => ['datacenters', index, 'name']);
    refuseTwice(wrong, namesOf(machines), (index) => [...(machines[index]?.path ?? []), 'name']);
    datacenters.forEach((datacenter, index) => {
      refuseDatacenter((path, message) => wrong(['datacenters', index, ...path], message), {
        datacenter,
        enterprises,
        ...(ROLES[index] as Role),
      });
    });
  });

const namesOf = (named: readonly { readonly name: string }[]): string[] => named.map(({ name }) => name);

function refuseTwice(wrong: Wrong, values: readonly string[], pathOf: (index: number) => Path): void {
  values.forEach((value, index) => {
    if (values.indexOf(value) < index) wrong(pathOf(index), `"${value}" is there twice`);
  });
}

/** Says what of a datacenter does not fit the story. */
function refuseDatacenter(
  wrong: Wrong,
  { datacenter, enterprises, type, machines, choosers }: Role & { datacenter: Datacenter; enterprises: string[] },
): void {
  const { backupManager, policies, virtualMachines } = datacenter;
  const codes = policies.map(({ code }) => code);
  if (backupManager.type !== type) wrong(['backupManager', 'type'], `write ${type} in this datacenter`);
  if (virtualMachines.length !== machines) {
    wrong(['virtualMachines'], `write ${machines}: each has its part in the story`);
  }
  refuseTwice(wrong, codes, (index) => ['policies', index, 'code']);
  policies.forEach(({ replication }, index) => {
    if (replication && type !== 'avamar') {
      wrong(['policies', index, 'replication'], 'only avamar copies backups to a second server; leave it out');
    }
  });
  virtualMachines.forEach(({ enterprise, policy: code, disks }, index) => {
    const at = (...keys: Path): Path => ['virtualMachines', index, ...keys];
    refuseTwice(
      wrong,
      disks.map(({ label }) => label),
      (disk) => at('disks', disk, 'label'),
    );
    if (!enterprises.includes(enterprise)) {
      wrong(at('enterprise'), `there is no enterprise "${enterprise}"; there are ${enterprises.join(', ')}`);
    }
    const policy = policies.find((one) => one.code === code);
    if (policy === undefined) wrong(at('policy'), `there is no policy "${code}"; there are ${codes.join(', ')}`);
    else if (choosers.includes(index)) refuseChosen((message) => wrong(at('policy'), message), policy, type);
  });
}

/** A machine that is backed up while the demo is watched must choose its time. */
function refuseChosen(wrong: (message: string) => void, policy: Policy, type: Role['type']): void {
  if (policy.time !== 'define_in_vm' || policy.subtype !== 'DAILY') {
    wrong('this virtual machine needs a DAILY policy with the time define_in_vm');
  }
  if (type === 'veeam' && policy.retentionDays > LONGEST_VEEAM_RETENTION) {
    wrong(`this virtual machine needs a policy with at most ${LONGEST_VEEAM_RETENTION} retentionDays`);
  }
}

export type Inventory = z.infer<typeof Inventory>;
export type PlannedDatacenter = Datacenter;
export type PlannedPolicy = Policy;
export type PlannedVm = z.infer<typeof VirtualMachine>;

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
 * @returns the inventory, or a line for each wrong key: `datacenters.0.virtualMachines.2.policy: there is no policy "x" …`
 */
export function checkInventory(content: unknown): { inventory: Inventory } | { problems: string[] } {
  const checked = Inventory.safeParse(content);
  if (checked.success) return { inventory: checked.data };
  return { problems: checked.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`) };
}
