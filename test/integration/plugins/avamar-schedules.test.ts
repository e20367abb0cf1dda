import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem } from '../../../activities/backup-systems/backup-system.ts';
import { PROTOCOL } from '../../conformance/avamar.ts';
import { backupOf, openContext } from '../../conformance/port-calls.ts';
import { startWire, type Wire } from '../../conformance/wire.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import { type AvamarWorld, daily, scheduleOf, startAvamarWorld } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

/** What is in Avamar for a VM: `[groups, schedules, retentions, datasets]`. */
async function countsOf(vmId: string): Promise<number[]> {
  const { groups, schedules, retentions, datasets } = await world.inventory();
  return [groups, schedules, retentions, datasets].map((list) => list.filter(({ name }) => name.includes(vmId)).length);
}

describe('the schedule of a VM in Avamar', () => {
  test('applied twice is there once, with the VM as the only member, and the second time writes nothing', async () => {
    const vm = await world.deploy('twice');
    const schedule = scheduleOf([daily('23:00'), daily('04:00', { subtype: 'MONTHLY' })]);
    const ref = await avamar.applySchedule(context, vm, schedule, undefined);
    const second = openContext();
    expect(await avamar.applySchedule(second, vm, schedule, ref)).toEqual(ref);

    expect(second.writes).toBe(0);
    expect(await countsOf(vm.id)).toEqual([2, 2, 2, 0]);
    const { groups, schedules, retentions } = await world.inventory();
    const group = groups.find(({ name }) => name === `holdfast-${vm.id}-GOLD-daily`);
    expect(group).toMatchObject({ enabled: true, datasetId: 'VMWARE:SNAPID', memberCount: 1 });
    expect(await world.atConsole('GET', `/groups/${group?.id}/members`)).toMatchObject({
      content: [{ cid: ref.vmRef }],
    });
    expect(schedules.find(({ id }) => id === group?.['scheduleId'])).toMatchObject({
      timeZoneId: 'Europe/Madrid',
      dailyData: { timesOfDay: ['23:00'] },
    });
    expect(retentions.find(({ id }) => id === group?.['retentionId'])).toMatchObject({
      duration: 7,
      durationUnit: 'DAYS',
    });
  });

  test('follows a change and drops what is no longer wanted', async () => {
    const vm = await world.deploy('changing');
    const before = scheduleOf([daily('23:00'), daily('04:00', { subtype: 'MONTHLY' })]);
    const ref = await avamar.applySchedule(context, vm, before, undefined);
    const after = scheduleOf([daily('01:30', { disks: ['Hard disk 2'] })], { retentionDays: 30 });
    const changed = await avamar.applySchedule(context, vm, after, ref);

    expect(changed.vmRef).toBe(ref.vmRef);
    expect(await countsOf(vm.id)).toEqual([1, 1, 1, 1]);
    const { schedules, retentions, datasets } = await world.inventory();
    const ours = (list: { name: string }[]) => list.find(({ name }) => name.includes(vm.id));
    expect(ours(schedules)).toMatchObject({ dailyData: { timesOfDay: ['01:30'] } });
    expect(ours(retentions)).toMatchObject({ duration: 30 });
    expect(ours(datasets)).toMatchObject({ targets: [{ value: '[simulated] changing/Hard disk 2.vmdk' }] });

    await avamar.applySchedule(context, vm, before, changed);
    expect(await countsOf(vm.id)).toEqual([2, 2, 2, 0]);
  });
});

describe('a change writes what has changed and nothing else', () => {
  let wire: Wire;
  let through: BackupSystem;
  beforeAll(async () => {
    wire = await startWire(world.avamarUrl, PROTOCOL);
    through = world.connect({ endpoint: `${wire.url}${PROTOCOL.api}` });
  });
  afterAll(() => wire.close());

  const monthly = daily('04:00', { subtype: 'MONTHLY' });
  const before = scheduleOf([daily('23:00'), monthly]);
  const removed = (kind: string) => `DELETE /api/v1/${kind}/*`;

  test.each<[string, BackupSchedule, string[]]>([
    ['nothing', before, []],
    ['the order', scheduleOf([monthly, daily('23:00')]), []],
    ['a time', scheduleOf([daily('22:00'), monthly]), ['PUT /api/v1/schedules/*']],
    ['the zone', scheduleOf([daily('23:00')], { timeZone: 'Asia/Tokyo' }), ['PUT /api/v1/schedules/*', 'DELETE 3']],
    [
      'how long backups are kept',
      scheduleOf([daily('23:00'), monthly], { retentionDays: 30 }),
      ['PUT /api/v1/retentions/*', 'PUT /api/v1/retentions/*'],
    ],
    [
      'the disks of one',
      scheduleOf([daily('23:00'), { ...monthly, disks: ['Hard disk 1'] }]),
      ['POST /api/v1/datasets', 'PUT /api/v1/groups/backup-groups/*'],
    ],
    [
      'a backup more',
      scheduleOf([daily('23:00'), monthly, backupOf('HOURLY', { time: '6' })]),
      ['POST /api/v1/schedules', 'POST /api/v1/retentions', 'POST /api/v1/groups/backup-groups'],
    ],
    ['a backup less', scheduleOf([monthly]), ['DELETE 3']],
  ])('%s', async (_, after, expected) => {
    const vm = await world.deploy('written');
    const ref = await through.applySchedule(context, vm, before, undefined);
    wire.forget();
    await through.applySchedule(context, vm, after, ref);
    const deletes = [removed('groups'), removed('schedules'), removed('retentions')];
    const kinds = wire.calls.filter(({ write }) => write !== undefined).map(({ kind }) => kind);
    expect(kinds).toEqual(expected.flatMap((kind) => (kind === 'DELETE 3' ? deletes : [kind])));
  });

  test('what somebody has changed at the console, too', async () => {
    const vm = await world.deploy('meddled');
    const ref = await through.applySchedule(context, vm, before, undefined);
    const [group] = (await world.inventory()).groups.filter(({ name }) => name.includes(vm.id));
    await world.atConsole('PUT', `/groups/backup-groups/${group?.id}/toggle`);
    wire.forget();
    await through.applySchedule(context, vm, before, ref);
    const kinds = wire.calls.filter(({ write }) => write !== undefined).map(({ kind }) => kind);
    expect(kinds).toEqual(['PUT /api/v1/groups/backup-groups/*']);
  });
});

describe('the zone of a policy', () => {
  test('is written as the server spells it', async () => {
    const vm = await world.deploy('zoned');
    const ref = await avamar.applySchedule(
      context,
      vm,
      scheduleOf([daily('23:00')], { timeZone: 'europe/madrid' }),
      undefined,
    );
    const second = openContext();
    await avamar.applySchedule(second, vm, scheduleOf([daily('23:00')], { timeZone: 'Europe/Madrid' }), ref);
    expect(second.writes).toBe(0);
    const { schedules } = await world.inventory();
    expect(schedules.find(({ name }) => name.includes(vm.id))).toMatchObject({ timeZoneId: 'Europe/Madrid' });
  });

  test('is refused before anything is written where the server does not list it', async () => {
    const vm = await world.deploy('zoneless');
    await world.fault({
      method: 'GET',
      path: '/timezone-ids$',
      when: 'before',
      action: { status: 200, body: ['UTC'] },
    });
    const attempt = openContext();
    await expect(avamar.applySchedule(attempt, vm, scheduleOf([daily('23:00')]), undefined)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: 'policy GOLD: the backup system avamar-1 does not know the timeZone Europe/Madrid',
    });
    expect(attempt.writes).toBe(0);
  });
});

test('the reference tells which policy each group serves', async () => {
  const vm = await world.deploy('told');
  const [gold] = scheduleOf([daily('23:00'), daily('04:00', { subtype: 'MONTHLY' })]).policies;
  const [silver] = scheduleOf([daily('01:00')], { policyId: 'p2', code: 'SILVER' }).policies;
  const policies = [gold, silver].flatMap((policy) => policy ?? []);
  const ref = await avamar.applySchedule(context, vm, { managerId: 'm1', policies }, undefined);
  const { groups } = await world.inventory();
  const served = groups
    .filter(({ name }) => name.includes(vm.id))
    .map(({ id, name }) => [id, name.includes('GOLD') ? 'p1' : 'p2']);
  expect(served).toHaveLength(3);
  expect(ref.policies).toEqual(Object.fromEntries(served));
});

describe('a refusal', () => {
  test("comes with Avamar's words, and what was made before it can be removed without a reference", async () => {
    const vm = await world.deploy('refused');
    const body = { code: 30998, exception: 'LimitException', message: 'Too many groups.', details: null, event: null };
    await world.fault({ method: 'POST', path: '/backup-groups$', when: 'before', action: { status: 400, body } });
    await expect(avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined)).rejects.toMatchObject({
      kind: 'REFUSED',
      vendorMessage: 'Too many groups.',
      message: 'the backup system avamar-1 refused to create the group: Too many groups.',
    });
    expect(await countsOf(vm.id)).toEqual([0, 1, 1, 0]);
    await avamar.removeSchedule(context, vm, undefined);
    expect(await countsOf(vm.id)).toEqual([0, 0, 0, 0]);
  });

  test('that the vendor marks as passing is a failure to be tried again', async () => {
    const vm = await world.deploy('passing');
    const body = { code: 22295, exception: 'BusyException', message: 'Busy.', details: null, event: null };
    await world.fault({ method: 'POST', path: '/schedules$', when: 'before', times: 1, action: { status: 400, body } });
    await expect(avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined)).rejects.toMatchObject({
      kind: 'FAILED',
      transient: true,
    });
  });
});
