import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { NamingContext } from '../../../activities/calls.ts';
import { NIGHTLY, onlyJob } from './veeam-runs.ts';
import { daily, openContext, type SeenJob, scheduleOf, startVeeamWorld, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.healthy());
afterAll(() => world.close());

const GONE = { name: 'renamed by a person' };

describe('a schedule', () => {
  test('is a clone of the template with the VM alone in it, and its time in the zone', async () => {
    const vm = await world.deploy('web-1');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    const job = await onlyJob(world, vm, ref.vmRef);
    expect(ref).toMatchObject({ jobName: `holdfast-${vm.id}`, jobUid: `urn:veeam:Job:${job.id}` });
    expect(ref.vmRef).toMatch(new RegExp(`^urn:VMware:Vm:.*\\.${vm.hypervisorRef}$`));
    expect(job.description).toContain(`[holdfast vm=${vm.id}]`);
    expect(job.schedule['OptionsDaily'].Time).toMatch(/^03:30:00\.0000000\+0[12]:00$/);
    expect(job.retention).toMatchObject({ RetainLimitType: 'Days', RetainDaysToKeep: 7 });
  });

  test('that is there already is not written again, and few calls tell so', async () => {
    const vm = await world.deploy('web-2');
    const first = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    const again = { ...vm, vendorRefs: [first.vmRef] };
    for (const previous of [first, undefined]) {
      const context = openContext();
      expect(await world.connect().applySchedule(context, again, NIGHTLY, previous)).toEqual(first);
      expect(context.writes).toBe(0);
    }
    const before = await world.calls();
    await world.connect().applySchedule(openContext(), again, NIGHTLY, first);
    expect((await world.calls()) - before).toBe(2);
  });

  test('never runs while the VM of somebody else is in its job', async () => {
    const template = (await world.jobs()).find(({ name }) => name === 'SILVER') as SeenJob;
    await world.changeJob(template.id, { scheduleEnabled: true });
    const vm = await world.deploy('web-3');
    const seen: string[] = [];
    const context: NamingContext = {
      ...openContext(),
      async beforeWrite() {
        const job = await world.job(vm);
        if (job === undefined || !job.scheduleEnabled) return;
        seen.push(job.includes.map(({ name }) => name).join());
      },
    };
    const silver = scheduleOf([daily('03:30')], { code: 'SILVER' });
    await world.connect().applySchedule(context, vm, silver, undefined);
    // The server takes the template's switch over with the clone; that is undone before anything else.
    expect(seen.filter((names) => names !== 'web-3').length).toBeLessThanOrEqual(1);
    expect(await world.job(vm)).toMatchObject({ scheduleEnabled: true, includes: [{ name: 'web-3' }] });
    await world.changeJob(template.id, { scheduleEnabled: false });
  });

  test('of a template that is not there is refused with its name, and nothing is written', async () => {
    const vm = await world.deploy('web-4');
    const context = openContext();
    await expect(
      world.connect().applySchedule(context, vm, scheduleOf([daily('03:30')], { code: 'BRONZE' }), undefined),
    ).rejects.toMatchObject({ kind: 'REFUSED', message: expect.stringContaining('BRONZE') });
    expect(context.writes).toBe(0);
  });

  test('finds its template in another case', async () => {
    const vm = await world.deploy('web-5');
    await world.connect().applySchedule(openContext(), vm, scheduleOf([daily('03:30')], { code: 'gold' }), undefined);
    expect(await world.job(vm)).toMatchObject({ description: expect.stringContaining('[template=GOLD]') });
  });

  test.each([
    [
      'HOURLY',
      { subtype: 'HOURLY', time: '6' },
      'OptionsPeriodically',
      { Enabled: true, Kind: 'Hours', FullPeriod: 6 },
    ],
    [
      'WEEKLY_PLANNED',
      { subtype: 'WEEKLY_PLANNED', days: ['MONDAY', 'FRIDAY'] },
      'OptionsDaily',
      { Enabled: true, Kind: 'SelectedDays', Days: ['Monday', 'Friday'] },
    ],
    ['MONTHLY', { subtype: 'MONTHLY' }, 'OptionsMonthly', { Enabled: true, DayNumberInMonth: 'OnDay', DayOfMonth: 1 }],
  ] as const)('can be %s, and nothing else runs the job', async (subtype, backup, branch, expected) => {
    const vm = await world.deploy(`sub-${subtype}`);
    await world.connect().applySchedule(openContext(), vm, scheduleOf([daily('01:15', backup)]), undefined);
    const { schedule } = (await world.job(vm)) as SeenJob;
    expect(schedule[branch]).toMatchObject(expected);
    const enabled = Object.entries(schedule).filter(([, value]) => (value as { Enabled?: boolean }).Enabled === true);
    expect(enabled.map(([name]) => name)).toEqual([branch]);
  });

  test('keeps what the policy leaves to the backup system as the template has it', async () => {
    const vm = await world.deploy('web-6');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const left = await veeam.applySchedule(openContext(), vm, scheduleOf([daily('x', { time: null })]), ref);
    const template = (await world.jobs()).find(({ name }) => name === 'GOLD') as SeenJob;
    const job = (await world.job(vm)) as SeenJob;
    expect(job.schedule['OptionsDaily'].Time).toBe(template.schedule['OptionsDaily'].Time);
    expect(left.refreshAt).toBeUndefined();
  });
});

describe('a change of a schedule', () => {
  test('edits only what differs', async () => {
    const vm = await world.deploy('change-1');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const context = openContext();
    const later = scheduleOf([daily('04:45')], { retentionDays: 9 });
    expect(await veeam.applySchedule(context, vm, later, ref)).toMatchObject({ jobUid: ref['jobUid'] });
    expect(context.writes).toBe(1);
    const job = await onlyJob(world, vm, ref.vmRef);
    expect(job.schedule['OptionsDaily'].Time).toMatch(/^04:45/);
    expect(job.retention).toMatchObject({ RetainDaysToKeep: 9 });
    await veeam.applySchedule(openContext(), vm, NIGHTLY, ref);
    expect((await onlyJob(world, vm, ref.vmRef)).schedule['OptionsDaily'].Time).toMatch(/^03:30/);
  });

  test('of the policy clones its template, and leaves no job of the other', async () => {
    const vm = await world.deploy('change-2');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const silver = scheduleOf([daily('03:30')], { code: 'SILVER' });
    const changed = await veeam.applySchedule(openContext(), vm, silver, ref);
    expect(changed['jobUid']).not.toBe(ref['jobUid']);
    expect((await onlyJob(world, vm, changed.vmRef)).description).toContain('[template=SILVER]');
    const missing = scheduleOf([daily('03:30')], { code: 'BRONZE' });
    await expect(veeam.applySchedule(openContext(), vm, missing, changed)).rejects.toMatchObject({ kind: 'REFUSED' });
    await onlyJob(world, vm, changed.vmRef);
  });

  test('of the policy that cannot be made removes nothing', async () => {
    const vm = await world.deploy('change-repository');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    const silver = scheduleOf([daily('03:30')], { code: 'SILVER' });
    const veeam = world.connect({}, { repository: { policies: { SILVER: 'not there' } } });
    const context = openContext();
    await expect(veeam.applySchedule(context, vm, silver, ref)).rejects.toMatchObject({ kind: 'REFUSED' });
    expect(context.writes).toBe(0);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('follows the VM when it has become another machine', async () => {
    const vm = await world.deploy('change-3');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const other = await world.deploy('change-3-restored');
    const now = { ...vm, hypervisorRef: other.hypervisorRef, vendorRefs: [ref.vmRef] };
    const moved = await veeam.applySchedule(openContext(), now, NIGHTLY, ref);
    expect(moved.jobUid).toBe(ref.jobUid);
    expect(moved.vmRef).not.toBe(ref.vmRef);
    await onlyJob(world, vm, moved.vmRef);
  });
});

describe('what people do at the server', () => {
  const made = async (name: string) => {
    const vm = await world.deploy(name);
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    return { vm, ref, job: (await world.job(vm)) as SeenJob };
  };

  test('a job that was renamed is found by its id, changed and removed', async () => {
    const { vm, ref, job } = await made('renamed');
    await world.changeJob(job.id, GONE);
    const context = openContext();
    expect(await world.connect().applySchedule(context, vm, NIGHTLY, ref)).toMatchObject({ jobUid: ref['jobUid'] });
    expect(context.writes).toBe(0);
    await world.connect().removeSchedule(openContext(), vm, ref);
    expect((await world.jobs()).some(({ id }) => id === job.id)).toBe(false);
  });

  test('a job that was deleted is made again, and its removal is no failure', async () => {
    const { vm, ref, job } = await made('deleted');
    await world.deleteJob(job.id);
    const again = await world.connect().applySchedule(openContext(), vm, NIGHTLY, ref);
    await onlyJob(world, vm, again.vmRef);
    for (const missingJobStatus of [404, 400]) {
      await world.settings({ missingJobStatus });
      const now = await world.job(vm);
      if (now !== undefined) await world.deleteJob(now.id);
      await world.connect().removeSchedule(openContext(), vm, again);
      await world.connect().removeSchedule(openContext(), vm, undefined);
    }
  });

  test('a job that was switched off is switched on, and one with another time gets its own back', async () => {
    const { vm, ref, job } = await made('switched-off');
    await world.changeJob(job.id, { scheduleEnabled: false });
    await world.connect().applySchedule(openContext(), vm, NIGHTLY, ref);
    await onlyJob(world, vm, ref.vmRef);
  });

  test('a description that says more keeps it', async () => {
    const { vm, ref, job } = await made('described');
    const description = `Ask Ann first. ${job.description}`;
    await world.changeJob(job.id, { description });
    await world.connect().applySchedule(openContext(), vm, scheduleOf([daily('05:00')]), ref);
    expect((await world.job(vm))?.description).toBe(description);
  });

  test('a job that lost its marker is neither changed nor removed', async () => {
    const { vm, ref, job } = await made('unmarked');
    await world.changeJob(job.id, { description: 'mine now' });
    const words = { kind: 'REFUSED', message: expect.stringContaining('does not say that Holdfast made it') };
    for (const previous of [ref, undefined]) {
      const context = openContext();
      await expect(world.connect().applySchedule(context, vm, NIGHTLY, previous)).rejects.toMatchObject(words);
      expect(context.writes).toBe(0);
    }
    await expect(world.connect().removeSchedule(openContext(), vm, ref)).rejects.toMatchObject(words);
    // Without anything on record it is somebody else's, and an undo has nothing to remove.
    await world.connect().removeSchedule(openContext(), vm, undefined);
    expect((await world.jobs()).some(({ id }) => id === job.id)).toBe(true);
  });

  test('the marker of another VM is another VM’s', async () => {
    const { vm, ref, job } = await made('other-vm');
    await world.changeJob(job.id, { description: '[holdfast vm=0198a1b2-0000-7000-8000-0123456789ab]' });
    await expect(world.connect().removeSchedule(openContext(), vm, ref)).rejects.toMatchObject({ kind: 'REFUSED' });
  });
});
