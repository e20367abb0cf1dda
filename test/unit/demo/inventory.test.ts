import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkInventory, type Inventory, readInventory } from '../../../bin/demo/inventory.ts';

const EXAMPLE = fileURLToPath(new URL('../../../docs/examples/inventory.yaml', import.meta.url));

/** Loosened, so that a test can write what a person might. */
type Draft = { [K in keyof Inventory]: Inventory[K] } & Record<string, unknown>;
let file: Draft;

beforeEach(() => {
  file = parse(readFileSync(EXAMPLE, 'utf8')) as Draft;
});

function problems(): string[] {
  const checked = checkInventory(file);
  return 'problems' in checked ? checked.problems : [];
}

function at(list: readonly object[], index: number): Record<string, unknown> {
  return list[index] as Record<string, unknown>;
}

function datacenter(index: number): Record<'policies' | 'virtualMachines', object[]> & Record<string, unknown> {
  return file.datacenters[index] as never;
}

test('the example can be used as it is', () => {
  const { datacenters } = readInventory(EXAMPLE);
  expect(datacenters.map(({ backupManager }) => backupManager.type)).toEqual(['avamar', 'veeam']);
  const machines = datacenters.flatMap(({ virtualMachines }) => virtualMachines);
  expect(machines).toHaveLength(6);
  expect(machines.every(({ disks }) => disks.length > 1)).toBe(true);
});

test('each wrong key is one line that names it and says what to write', () => {
  datacenter(0)['timeZone'] = 'Madrid';
  at(datacenter(0).policies, 0)['time'] = '25:00';
  at(datacenter(0).virtualMachines, 1)['cpu'] = 'two';
  expect(problems()).toEqual([
    'datacenters.0.timeZone: write an IANA zone, for example Europe/Madrid',
    'datacenters.0.policies.0.time: write HH:mm in quotes, for example "22:00", or define_in_vm',
    'datacenters.0.virtualMachines.1.cpu: write a whole number',
  ]);
});

test('a key that nobody knows is told', () => {
  at(datacenter(0).virtualMachines, 0)['ram'] = 4;
  expect(problems()).toEqual([expect.stringMatching(/^datacenters\.0\.virtualMachines\.0: .*"ram"/)]);
});

test('names must be those of what is in the file', () => {
  at(datacenter(0).virtualMachines, 0)['enterprise'] = 'Acme';
  at(datacenter(0).virtualMachines, 2)['policy'] = 'never';
  expect(problems()).toEqual([
    'datacenters.0.virtualMachines.0.enterprise: there is no enterprise "Acme"; there are Acme Retail, Borealis Health',
    'datacenters.0.virtualMachines.2.policy: there is no policy "never"; there are every-night, twice-a-week, own-time',
  ]);
});

test('nothing is there twice', () => {
  at(datacenter(0).virtualMachines, 3)['name'] = at(datacenter(0).virtualMachines, 0)['name'];
  at(datacenter(0).policies, 1)['code'] = 'every-night';
  const disks = at(datacenter(0).virtualMachines, 0)['disks'] as { label: string }[];
  disks.push({ ...(disks[0] as { label: string }) });
  expect(problems()).toEqual([
    'datacenters.0.virtualMachines.3.name: "shop-db" is there twice',
    'datacenters.0.policies.1.code: "every-night" is there twice',
    'datacenters.0.virtualMachines.0.disks.3.label: "system" is there twice',
    expect.stringMatching(/^datacenters\.0\.virtualMachines\.1\.policy: there is no policy "twice-a-week"/),
  ]);
});

test('days belong to WEEKLY_PLANNED, and to nothing else', () => {
  delete at(datacenter(0).policies, 1)['days'];
  at(datacenter(0).policies, 0)['days'] = ['MONDAY'];
  expect(problems()).toEqual([
    'datacenters.0.policies.0.days: only WEEKLY_PLANNED has days; leave them out',
    'datacenters.0.policies.1.days: WEEKLY_PLANNED needs days',
  ]);
});

test('each datacenter has its kind of backup system and the machines of its part in the story', () => {
  datacenter(1)['backupManager'] = { name: 'avamar-bilbao', type: 'avamar' };
  datacenter(1).virtualMachines.pop();
  expect(problems()).toEqual([
    'datacenters.1.backupManager.type: write veeam in this datacenter',
    'datacenters.1.virtualMachines: write 2: each has its part in the story',
  ]);
});

test('a name may not be there twice, also not in two datacenters; a code may', () => {
  at(datacenter(1).policies, 0)['code'] = 'own-time';
  for (const index of [0, 1]) at(datacenter(1).virtualMachines, index)['policy'] = 'own-time';
  expect(problems()).toEqual([]);
  at(datacenter(1).virtualMachines, 0)['name'] = 'shop-db';
  datacenter(1)['name'] = 'Madrid';
  expect(problems()).toEqual([
    'datacenters.1.name: "Madrid" is there twice',
    'datacenters.1.virtualMachines.0.name: "shop-db" is there twice',
  ]);
});

test('a machine that is backed up while the demo is watched must be able to choose its time', () => {
  at(datacenter(0).virtualMachines, 3)['policy'] = 'every-night';
  at(datacenter(1).policies, 0)['time'] = '22:00';
  const problem = 'this virtual machine needs a DAILY policy with the time define_in_vm';
  expect(problems()).toEqual([
    `datacenters.0.virtualMachines.3.policy: ${problem}`,
    `datacenters.1.virtualMachines.0.policy: ${problem}`,
    `datacenters.1.virtualMachines.1.policy: ${problem}`,
  ]);
});

test('the days that the demo plays with the clock of the Veeam server are few', () => {
  at(datacenter(1).policies, 0)['retentionDays'] = 30;
  expect(problems()[0]).toBe(
    'datacenters.1.virtualMachines.0.policy: this virtual machine needs a policy with at most 7 retentionDays',
  );
});

test('a replication is asked of Avamar alone', () => {
  at(datacenter(1).policies, 0)['replication'] = true;
  expect(problems()).toEqual([
    'datacenters.1.policies.0.replication: only avamar copies backups to a second server; leave it out',
  ]);
});

test('a file that is not there is told by its name', () => {
  expect(() => readInventory('/nowhere/inventory.yaml')).toThrow(
    /^The inventory \/nowhere\/inventory\.yaml cannot be read/,
  );
});
