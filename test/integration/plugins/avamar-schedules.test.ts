import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem } from '../../../activities/backup-systems/backup-system.ts';
import { type AvamarWorld, daily, openContext, scheduleOf, startAvamarWorld } from './avamar-world.ts';

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

  test('mends what somebody changed at the console: disabled, another time, another member', async () => {
    const vm = await world.deploy('mended');
    const other = await world.deploy('stranger');
    const schedule = scheduleOf([daily('23:00')]);
    const ref = await avamar.applySchedule(context, vm, schedule, undefined);
    const otherCid = await avamar.vmReference(context, other);
    const group = (await world.inventory()).groups.find(({ name }) => name.includes(vm.id));
    await world.atConsole('PUT', `/groups/backup-groups/${group?.id}/toggle`);
    await world.atConsole('POST', `/clients/${otherCid}/groups/add`, [group?.id]);

    await avamar.applySchedule(context, vm, schedule, ref);
    expect(await world.atConsole('GET', `/groups/${group?.id}`)).toMatchObject({ enabled: true, memberCount: 1 });
    expect(await world.atConsole('GET', `/groups/${group?.id}/members`)).toMatchObject({
      content: [{ cid: ref.vmRef }],
    });
  });

  test('takes the new client after the VM was deployed again', async () => {
    const vm = await world.deploy('again');
    const ref = await avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined);
    await world.undeploy(vm);
    const now = await world.deploy('again', vm.id);
    const next = await avamar.applySchedule(context, now, scheduleOf([daily('23:00')]), ref);
    expect(next.vmRef).not.toBe(ref.vmRef);
    expect(await countsOf(vm.id)).toEqual([1, 1, 1, 0]);
    const group = (await world.inventory()).groups.find(({ name }) => name.includes(vm.id));
    expect(await world.atConsole('GET', `/groups/${group?.id}/members`)).toMatchObject({
      content: [{ cid: next.vmRef }],
    });
  });

  test('removed leaves nothing of ours, everything of others, and the client', async () => {
    const vm = await world.deploy('removed');
    const neighbour = await world.deploy('neighbour');
    await avamar.applySchedule(context, neighbour, scheduleOf([daily('23:00')]), undefined);
    const foreign = { name: `backup-of-${vm.id}`, domainFqdn: '/', basicRetentionType: 'NO_EXPIRATION' };
    await world.atConsole('POST', '/retentions', foreign);
    const ref = await avamar.applySchedule(
      context,
      vm,
      scheduleOf([daily('23:00', { disks: ['Hard disk 1'] })]),
      undefined,
    );

    await avamar.removeSchedule(context, vm, ref);
    expect(await countsOf(vm.id)).toEqual([0, 0, 1, 0]);
    expect(await countsOf(neighbour.id)).toEqual([1, 1, 1, 0]);
    expect((await world.clients()).map(({ id }) => id)).toContain(ref.vmRef);
    await avamar.removeSchedule(context, vm, ref);
    await avamar.removeSchedule(context, { ...vm, hypervisorRef: null }, undefined);
  });

  test('says so when a group of ours was renamed, and does not touch it', async () => {
    const vm = await world.deploy('renamed');
    const ref = await avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined);
    const group = (await world.inventory()).groups.find(({ name }) => name.includes(vm.id));
    const { name: _, ...rest } = group as Record<string, unknown>;
    const extra = { name: 'Scheduled by hand', domainFqdn: '/' };
    const own = { scheduleId: 'Default:SCHEDULEID', retentionId: 'Default:POLICYID' };
    await world.atConsole('PUT', `/groups/backup-groups/${group?.id}`, { ...rest, ...extra, ...own });
    await expect(avamar.removeSchedule(context, vm, ref)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining('renamed'),
    });
    expect(await world.atConsole('GET', `/groups/${group?.id}`)).toMatchObject({ name: 'Scheduled by hand' });
    await world.atConsole('DELETE', `/groups/${group?.id}`);
  });
});

const WRITES = [
  ['POST', '/clients$'],
  ['POST', '/schedules$'],
  ['POST', '/retentions$'],
  ['POST', '/datasets$'],
  ['POST', '/backup-groups$'],
] as const;

describe('a lost answer', () => {
  test.each(WRITES)('to %s %s leaves one of each', async (method, path) => {
    for (const when of ['after', 'before']) {
      const vm = await world.deploy(`lost-${when}`);
      await world.fault({ method, path, when, times: 1, action: { drop: true } });
      const schedule = scheduleOf([daily('23:00', { disks: ['Hard disk 1'] })]);
      const first = await avamar.applySchedule(context, vm, schedule, undefined).catch((error: unknown) => error);
      // Nothing was done in the one case; in the other it was, and looking again has shown it.
      if (when === 'before') expect(first).toMatchObject({ name: 'ExternalSystemError', kind: 'NO_ANSWER' });
      else if (path !== '/clients$') expect(first).toMatchObject({ vmRef: expect.any(String) });
      await avamar.applySchedule(context, vm, schedule, undefined);
      expect(await countsOf(vm.id)).toEqual([1, 1, 1, 1]);
      expect((await world.clients()).filter(({ name }) => name.startsWith(`lost-${when}_`)).length).toBe(
        WRITES.findIndex((write) => write[1] === path) + 1,
      );
    }
  });

  test.each([['/groups/'], ['/schedules/'], ['/retentions/'], ['/datasets/']])(
    'to DELETE %s leaves nothing behind',
    async (path) => {
      const vm = await world.deploy('lost-removal');
      const ref = await avamar.applySchedule(
        context,
        vm,
        scheduleOf([daily('23:00', { disks: ['Hard disk 1'] })]),
        undefined,
      );
      await world.fault({ method: 'DELETE', path, when: 'after', times: 1, action: { drop: true } });
      await avamar.removeSchedule(context, vm, ref);
      expect(await countsOf(vm.id)).toEqual([0, 0, 0, 0]);
    },
  );

  test('to a change of the schedule is found out by looking again', async () => {
    const vm = await world.deploy('lost-change');
    const ref = await avamar.applySchedule(context, vm, scheduleOf([daily('23:00')]), undefined);
    await world.fault({ method: 'PUT', path: '/schedules/', when: 'after', times: 1, action: { drop: true } });
    await avamar.applySchedule(context, vm, scheduleOf([daily('02:00')]), ref);
    const schedule = (await world.inventory()).schedules.find(({ name }) => name.includes(vm.id));
    expect(schedule).toMatchObject({ dailyData: { timesOfDay: ['02:00'] } });
  });
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

  test('of an unknown time zone, disk or VM comes before anything is made', async () => {
    const vm = await world.deploy('impossible');
    const zone = scheduleOf([daily('23:00')], { timeZone: 'Mars/Olympus' });
    await expect(avamar.applySchedule(context, vm, zone, undefined)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringMatching(/GOLD.*timeZone Mars\/Olympus/),
    });
    const disk = scheduleOf([daily('23:00', { disks: ['Hard disk 9'] })]);
    await expect(avamar.applySchedule(context, vm, disk, undefined)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining('Hard disk 9'),
    });
    const gone = { ...vm, hypervisorRef: 'vm-99999' };
    await expect(avamar.applySchedule(context, gone, scheduleOf([daily('23:00')]), undefined)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining('no vCenter'),
    });
    expect(await countsOf(vm.id)).toEqual([0, 0, 0, 0]);
  });

  test('of a write that is no longer permitted ends the call with nothing made', async () => {
    const vm = await world.deploy('fenced');
    const beforeWrite = async () => {
      throw new Error('FENCED');
    };
    const fenced = { ...openContext(), beforeWrite };
    await expect(avamar.applySchedule(fenced, vm, scheduleOf([daily('23:00')]), undefined)).rejects.toThrow('FENCED');
    expect(await countsOf(vm.id)).toEqual([0, 0, 0, 0]);
    expect((await world.clients()).some(({ name }) => name.startsWith('fenced_'))).toBe(false);
  });
});
