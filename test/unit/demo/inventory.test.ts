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

test('the example can be used as it is', () => {
  const inventory = readInventory(EXAMPLE);
  expect(inventory.virtualMachines).toHaveLength(4);
  expect(inventory.virtualMachines.every(({ disks }) => disks.length > 1)).toBe(true);
});

test('each wrong key is one line that names it and says what to write', () => {
  file.datacenter.timeZone = 'Madrid';
  at(file.policies, 0)['time'] = '25:00';
  at(file.virtualMachines, 1)['cpu'] = 'two';
  expect(problems()).toEqual([
    'datacenter.timeZone: write an IANA zone, for example Europe/Madrid',
    'policies.0.time: write HH:mm in quotes, for example "22:00", or define_in_vm',
    'virtualMachines.1.cpu: write a whole number',
  ]);
});

test('a key that nobody knows is told', () => {
  at(file.virtualMachines, 0)['ram'] = 4;
  expect(problems()).toEqual([expect.stringMatching(/^virtualMachines\.0: .*"ram"/)]);
});

test('names must be those of what is in the file', () => {
  at(file.virtualMachines, 0)['enterprise'] = 'Acme';
  at(file.virtualMachines, 2)['policy'] = 'never';
  expect(problems()).toEqual([
    'virtualMachines.0.enterprise: there is no enterprise "Acme"; there are Acme Retail, Borealis Health',
    'virtualMachines.2.policy: there is no policy "never"; there are every-night, twice-a-week, own-time',
  ]);
});

test('nothing is there twice', () => {
  at(file.virtualMachines, 3)['name'] = file.virtualMachines[0]?.name;
  at(file.policies, 1)['code'] = 'every-night';
  const disks = at(file.virtualMachines, 0)['disks'] as { label: string }[];
  disks.push({ ...(disks[0] as { label: string }) });
  expect(problems()).toEqual([
    'policies.1.code: "every-night" is there twice',
    'virtualMachines.3.name: "shop-db" is there twice',
    'virtualMachines.0.disks.3.label: "system" is there twice',
    expect.stringMatching(/^virtualMachines\.1\.policy: there is no policy "twice-a-week"/),
  ]);
});

test('days belong to WEEKLY_PLANNED, and to nothing else', () => {
  delete at(file.policies, 1)['days'];
  at(file.policies, 0)['days'] = ['MONDAY'];
  expect(problems()).toEqual([
    'policies.0.days: only WEEKLY_PLANNED has days; leave them out',
    'policies.1.days: WEEKLY_PLANNED needs days',
  ]);
});

test('the fourth virtual machine must be able to choose its time', () => {
  at(file.virtualMachines, 3)['policy'] = 'every-night';
  expect(problems()).toEqual([
    'virtualMachines.3.policy: the fourth virtual machine needs a DAILY policy with the time define_in_vm',
  ]);
});

test('a file that is not there is told by its name', () => {
  expect(() => readInventory('/nowhere/inventory.yaml')).toThrow(
    /^The inventory \/nowhere\/inventory\.yaml cannot be read/,
  );
});
