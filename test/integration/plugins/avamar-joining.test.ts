/** What may happen to the calls by which a VM joins a group of others, and leaves it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem } from '../../../activities/backup-systems/backup-system.ts';
import { ExternalSystemError } from '../../../activities/calls.ts';
import { PROTOCOL } from '../../conformance/avamar.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { startWire, type Trouble, type Wire } from '../../conformance/wire.ts';
import { fixed, groupsAtConsole, leaving, newCode, together } from './avamar-groups.ts';
import { type AvamarWorld, startAvamarWorld } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
let console: ReturnType<typeof groupsAtConsole>;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
  console = groupsAtConsole(world);
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

const adding = { method: 'POST', path: '/groups/add$' };

test('an undo without a reference leaves the group, and nothing else', async () => {
  const [code, other] = [newCode(), newCode()];
  const [group, foreign] = [await console.standing(code), await console.standing(newCode())];
  const vm = await world.deploy('half-way');
  const cid = await avamar.vmReference(context, vm);
  await console.putInto(cid, foreign);
  // It joins, and then the group of its own is refused.
  await world.fault({ method: 'POST', path: '/backup-groups$', when: 'before', action: { status: 400 } });
  const both = together(leaving(code), fixed(other));
  await expect(avamar.applySchedule(context, vm, both, undefined)).rejects.toMatchObject({ kind: 'REFUSED' });
  expect(await console.membersOf(group)).toEqual([cid]);
  await world.connect().removeSchedule(context, vm, undefined);
  expect([await console.membersOf(group), await console.membersOf(foreign), await console.ownOf(vm)]).toEqual([
    [],
    [cid],
    [],
  ]);
  // What is settled is forgotten: who is put there by somebody now stays there.
  await console.putInto(cid, group);
  await world.connect().removeSchedule(context, vm, undefined);
  expect(await console.membersOf(group)).toEqual([cid]);
});

test('a lost answer is looked up', async () => {
  const code = newCode();
  const [group, vm] = [await console.standing(code), await world.deploy('unheard')];
  await world.fault({ ...adding, when: 'after', times: 1, action: { drop: true } });
  const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
  expect(await console.membersOf(group)).toEqual([ref.vmRef]);
  await world.fault({ method: 'POST', path: '/groups/remove$', when: 'after', times: 1, action: { drop: true } });
  await avamar.removeSchedule(context, vm, ref);
  expect(await console.membersOf(group)).toEqual([]);
});

test('a request that did not arrive is unknown, and the next attempt joins', async () => {
  const code = newCode();
  const [group, vm] = [await console.standing(code), await world.deploy('unsent')];
  await world.fault({ ...adding, when: 'before', times: 1, action: { drop: true } });
  await expect(avamar.applySchedule(context, vm, leaving(code), undefined)).rejects.toMatchObject({
    kind: 'NO_ANSWER',
  });
  expect(await console.membersOf(group)).toEqual([]);
  const ref = await avamar.applySchedule(context, vm, leaving(code), undefined);
  expect(await console.membersOf(group)).toEqual([ref.vmRef]);
  await avamar.removeSchedule(context, vm, ref);
  expect(await console.membersOf(group)).toEqual([]);
});

test('a process that dies with the answer leaves a note by which the undo finds the group, also when the machine is gone', async () => {
  const code = newCode();
  const [group, vm] = [await console.standing(code), await world.deploy('died')];
  await world.fault({ ...adding, when: 'after', action: { drop: true } });
  // Nobody hears what became of it: the reference is lost with the process.
  await avamar.applySchedule(context, vm, leaving(code), undefined);
  expect(await console.membersOf(group)).toHaveLength(1);
  await world.noFaults();
  await world.connect().removeSchedule(context, { ...vm, hypervisorRef: null }, undefined);
  expect(await console.membersOf(group)).toEqual([]);
});

test('nothing is noted that was not permitted', async () => {
  const code = newCode();
  const [group, vm] = [await console.standing(code), await world.deploy('fenced')];
  const cid = await avamar.vmReference(context, vm);
  const fenced = { ...openContext(), beforeWrite: () => Promise.reject(new Error('FENCED')) };
  await expect(avamar.applySchedule(fenced, vm, leaving(code), undefined)).rejects.toThrow('FENCED');
  await console.putInto(cid, group);
  await avamar.removeSchedule(context, vm, undefined);
  expect(await console.membersOf(group)).toEqual([cid]);
});

describe.each<Trouble>([
  'REQUEST_LOST',
  'ANSWER_LOST',
  'SAID_TO_FAIL',
  'OVERLOADED',
  'CUT_SHORT',
  'LOGIN_ENDED',
  'BYTE_ORDER_MARK',
])('%s', (trouble) => {
  let wire: Wire;
  let through: BackupSystem;
  beforeAll(async () => {
    wire = await startWire(world.avamarUrl, PROTOCOL);
    through = world.connect({ endpoint: `${wire.url}${PROTOCOL.api}` });
  });
  afterAll(() => wire.close());

  /** The same once more where it failed and that may help, as Holdfast does. */
  async function again<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ExternalSystemError) || !error.transient) throw error;
      return ask();
    }
  }

  test('ends with the VM in the group or out of it, as was asked, and with everybody else as they were', async () => {
    const [code, stranger] = [newCode(), await world.deploy(`stranger-${trouble}`)];
    const group = await console.standing(code);
    const other = await avamar.vmReference(context, stranger);
    await console.putInto(other, group);
    const vm = await world.deploy(`troubled-${trouble}`);
    const added = wire.trouble(trouble, ({ path }) => path.endsWith('/groups/add'));
    const ref = await again(() => through.applySchedule(context, vm, leaving(code), undefined));
    expect(await console.membersOf(group)).toEqual([other, ref.vmRef]);
    const removed = wire.trouble(trouble, ({ path }) => path.endsWith('/groups/remove'));
    await again(() => through.removeSchedule(context, vm, ref));
    expect(await console.membersOf(group)).toEqual([other]);
    expect([added.hit.length, removed.hit.length]).toEqual([1, 1]);
  });

  test('and an undo leaves no trace', async () => {
    const code = newCode();
    const [group, vm] = [await console.standing(code), await world.deploy(`undone-${trouble}`)];
    wire.trouble(trouble, ({ path }) => path.endsWith('/groups/add'));
    await through.applySchedule(context, vm, leaving(code), undefined).catch(() => undefined);
    await wire.heal();
    await through.removeSchedule(context, vm, undefined);
    expect(await console.membersOf(group)).toEqual([]);
  });
});
