/** Lists of activities as a server may give them, whatever else is wrong with it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem, SessionReport } from '../../../activities/backup-systems/backup-system.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { type AvamarWorld, daily, scheduleOf, startAvamarWorld } from './avamar-world.ts';

let world: AvamarWorld;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
  await world.destination('vault');
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

const NOW = Date.now();
const secondsAgo = (seconds: number): string => new Date(NOW - seconds * 1_000).toISOString();

/** The server lists these activities and no others. */
const listing = (content: object[]) => {
  const body = { content, number: 0, last: true, totalPages: 1, totalElements: content.length };
  return world.fault({ method: 'GET', path: '/activities$', when: 'before', action: { status: 200, body } });
};
const backup = (id: string, more: object) => ({ id, cid: 'c', type: 'Scheduled Backup', state: 'RUNNING', ...more });
const replication = (id: string, groupId: string, more: object = {}) => ({
  id,
  groupId,
  cid: '',
  type: 'Scheduled Replication',
  pluginName: 'Replicate',
  state: 'RUNNING',
  queuedDate: secondsAgo(5),
  ...more,
});
const look = (system: BackupSystem = world.connect()) => system.sessionsSince(context, new Date(NOW - 600_000));
const idsOf = (reports: readonly SessionReport[]) => reports.map(({ vendorSessionId }) => vendorSessionId);

describe('a look at all activities', () => {
  test('goes past one that does not say when it was queued', async () => {
    const old = backup('old', { queuedDate: null, activatedDate: secondsAgo(86_400), state: 'SUCCESS' });
    await listing([old, backup('new', { queuedDate: secondsAgo(10) })]);
    expect(idsOf(await look())).toEqual(['new']);
  });

  test('leaves out one whose time is none', async () => {
    await listing([backup('odd', { queuedDate: 'soon' }), backup('new', { queuedDate: secondsAgo(10) })]);
    expect(idsOf(await look())).toEqual(['new']);
  });

  test('sees the sessions of everybody while replication groups cannot be read', async () => {
    await listing([replication('copying', 'g'), backup('new', { queuedDate: secondsAgo(10) })]);
    const action = { status: 500, body: { code: 1, message: 'The table is corrupt.' } };
    await world.fault({ method: 'GET', path: '/replication/groups', when: 'before', action });
    expect(idsOf(await look())).toEqual(['new']);
  });

  test('costs no more calls however many replications show no clients', async () => {
    await listing(Array.from({ length: 1_500 }, (_, index) => replication(`r${index}`, `g${index}`)));
    const system = world.connect();
    const calls = async () => Object.values(await world.requests()).reduce((sum, count) => sum + count, 0);
    const before = await calls();
    await look(system);
    await look(system);
    // Those of the login too.
    expect((await calls()) - before).toBeLessThan(10);
  });
});

describe('a replication', () => {
  test('whose group was removed meanwhile still ends, for a process that has never seen it too', async () => {
    const system = world.connect();
    const vm = await world.deploy('undeployed');
    const ref = await system.applySchedule(context, vm, scheduleOf([daily('23:00')], { replication: true }), undefined);
    const [group] = await world.replicationGroups(`holdfast-${vm.id}-`);
    await listing([replication('copying', group?.id ?? '')]);
    const [begun] = await look(system);
    expect(begun?.vendorVmRef).toBe(ref.vmRef);
    await system.removeSchedule(context, vm, ref);
    const body = replication('copying', group?.id ?? '', { state: 'SUCCESS', completedDate: secondsAgo(1) });
    await world.fault({ method: 'GET', path: '/activities/copying$', when: 'before', action: { status: 200, body } });
    const reports = await world.connect().sessions(context, [begun?.vendorSessionId ?? '']);
    expect(reports).toMatchObject([{ vendorSessionId: begun?.vendorSessionId, state: 'SUCCEEDED' }]);
  });

  test('of which the state of one part says nothing is what the run is, and not done', async () => {
    const done = { id: 'part-1', cid: 'c', state: 'SUCCESS', completedDate: secondsAgo(1) };
    await listing([replication('run', 'g', { children: [done, { id: 'part-2', cid: 'c', state: 'OF_LATER' }] })]);
    expect(await look()).toMatchObject([{ state: 'RUNNING', endedAt: null }]);
  });
});
