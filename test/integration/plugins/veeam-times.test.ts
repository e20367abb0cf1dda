import { IANAZone } from 'luxon';
import { afterEach, describe, expect, test } from 'vitest';
import { nextOffsetChange } from '../../../activities/backup-systems/veeam/zone-time.ts';
import { daily, openContext, type SeenJob, scheduleOf, startVeeamWorld, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
afterEach(() => world.close());

const HOUR_S = 3_600;
const NIGHTLY = scheduleOf([daily('03:30')]);
/** That of the schedules, where nothing else is said. */
const ZONE = 'Europe/Madrid';
const offsetMinutes = (at: Date): number => IANAZone.create(ZONE).offset(at.getTime());

const timeOf = async (vm: { readonly id: string }) => {
  const job = (await world.jobs()).find(({ name }) => name.includes(vm.id)) as SeenJob;
  return job.schedule['OptionsDaily'].Time as string;
};
const offsetOf = (zone: string, at: Date): string =>
  new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' })
    .formatToParts(at)
    .find(({ type }) => type === 'timeZoneName')
    ?.value.replace('GMT', '') as string;

describe('the time of a schedule', () => {
  test('is written again when the offset of its zone has changed, by the server’s clock', async () => {
    world = await startVeeamWorld();
    const vm = await world.deploy('dst');
    const veeam = world.connect();
    let ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    for (let change = 0; change < 2; change += 1) {
      expect(await timeOf(vm)).toBe(`03:30:00.0000000${offsetOf('Europe/Madrid', await world.now())}`);
      const at = new Date(ref.refreshAt as string);
      const almost = (at.getTime() - (await world.now()).getTime()) / 1_000 - 60;
      await world.advance(Math.floor(almost));
      const early = openContext();
      await veeam.applySchedule(early, { ...vm, vendorRefs: [ref.vmRef] }, NIGHTLY, ref);
      expect(early.writes).toBe(0);
      await world.advance(120);
      const due = openContext();
      ref = await veeam.applySchedule(due, { ...vm, vendorRefs: [ref.vmRef] }, NIGHTLY, ref);
      expect(due.writes).toBe(1);
      expect(new Date(ref.refreshAt as string).getTime()).toBeGreaterThan(at.getTime());
    }
    expect(await timeOf(vm)).toBe(`03:30:00.0000000${offsetOf('Europe/Madrid', await world.now())}`);
  });

  test.each([
    ['leaves out', 60, '02:30', 0],
    ['shows twice', -60, '02:30', 0],
    ['lies before, refreshed in the hour between both offsets', 60, '04:30', 120],
    ['lies behind, refreshed in the hour between both offsets', -60, '04:30', 120],
  ])('that a change of the clock %s (%i min) runs once on that day', async (_what, minutes, local, lateMinutes) => {
    world = await startVeeamWorld();
    const veeam = world.connect();
    const goTo = async (at: number) => world.advance((at - (await world.now()).getTime()) / 1_000);
    const shift = (at: number) => offsetMinutes(new Date(at)) - offsetMinutes(new Date(at - 1_000));
    let change = nextOffsetChange(ZONE, await world.now()) as Date;
    if (shift(change.getTime()) !== minutes) change = nextOffsetChange(ZONE, change) as Date;
    await goTo(change.getTime() - 12 * HOUR_S * 1_000);
    const vm = await world.deploy('hour-of-change');
    const schedule = scheduleOf([daily(local)]);
    let ref = await veeam.applySchedule(openContext(), vm, schedule, undefined);
    for (let at = change.getTime() - 3 * HOUR_S * 1_000; at < change.getTime() + 6 * HOUR_S * 1_000; at += 600_000) {
      await goTo(at);
      if (at >= Date.parse(ref.refreshAt as string) && at >= change.getTime() + lateMinutes * 60_000) {
        ref = await veeam.applySchedule(openContext(), { ...vm, vendorRefs: [ref.vmRef] }, schedule, ref);
      }
    }
    expect(await timeOf(vm)).toBe(`${local}:00.0000000${offsetOf(ZONE, new Date(change.getTime() + 1_000))}`);
    const since = new Date(change.getTime() - 12 * HOUR_S * 1_000);
    const ran = (await veeam.sessionsSince(openContext(), since)).filter(
      ({ vendorVmRef }) => vendorVmRef === ref.vmRef,
    );
    expect(ran).toHaveLength(1);
  });

  test('is the zone’s, whatever the zone of the server', async () => {
    world = await startVeeamWorld({ settings: { timeZone: 'America/New_York' } });
    const vm = await world.deploy('zones');
    const veeam = world.connect();
    const tokyo = scheduleOf([daily('03:30')], { timeZone: 'Asia/Tokyo' });
    const ref = await veeam.applySchedule(openContext(), vm, tokyo, undefined);
    expect(await timeOf(vm)).toBe('03:30:00.0000000+09:00');
    expect(ref.refreshAt).toBeUndefined();
    const kolkata = scheduleOf([daily('03:30')], { timeZone: 'Asia/Kolkata' });
    await veeam.applySchedule(openContext(), vm, kolkata, ref);
    expect(await timeOf(vm)).toBe('03:00:00.0000000+05:00');
  });

  test('starts the job at that moment of the zone', async () => {
    world = await startVeeamWorld({ settings: { timeZone: 'America/New_York' } });
    const vm = await world.deploy('starts');
    const veeam = world.connect();
    const soon = new Date((await world.now()).getTime() + HOUR_S * 1_000);
    const local = new Intl.DateTimeFormat('en-GB', {
      timeZone: 'Asia/Kolkata',
      hour: '2-digit',
      minute: '2-digit',
    }).format(soon);
    const ref = await veeam.applySchedule(
      openContext(),
      vm,
      scheduleOf([daily(local)], { timeZone: 'Asia/Kolkata' }),
      undefined,
    );
    const since = new Date(soon.getTime() - HOUR_S * 1_000);
    await world.advance(HOUR_S - 300);
    expect(await veeam.sessionsSince(openContext(), since)).toEqual([]);
    await world.advance(360);
    await expect
      .poll(async () => (await veeam.sessionsSince(openContext(), since)).map(({ vendorVmRef }) => vendorVmRef))
      .toEqual([ref.vmRef]);
  });

  test('is settled by the server’s clock when it differs from ours', async () => {
    world = await startVeeamWorld();
    // Half a year away it is the other half of the year there.
    await world.advance(180 * 24 * HOUR_S);
    const vm = await world.deploy('skewed');
    const ref = await world.connect().applySchedule(openContext(), vm, NIGHTLY, undefined);
    const there = await world.now();
    expect(offsetOf('Europe/Madrid', there)).not.toBe(offsetOf('Europe/Madrid', new Date()));
    expect(await timeOf(vm)).toBe(`03:30:00.0000000${offsetOf('Europe/Madrid', there)}`);
    expect(new Date(ref.refreshAt as string).getTime()).toBeGreaterThan(there.getTime());
  });
});

describe('another version of the server', () => {
  const works = async (): Promise<void> => {
    const vm = await world.deploy('versions');
    const veeam = world.connect();
    const ref = await veeam.applySchedule(openContext(), vm, NIGHTLY, undefined);
    const again = openContext();
    expect(await veeam.applySchedule(again, { ...vm, vendorRefs: [ref.vmRef] }, NIGHTLY, ref)).toEqual(ref);
    expect(again.writes).toBe(0);
    expect((await world.job(vm))?.includes).toEqual([{ ref: ref.vmRef, name: 'versions' }]);
    await veeam.removeSchedule(openContext(), vm, ref);
    expect(await world.job(vm)).toBeUndefined();
  };

  test('that nests schedules otherwise is written as it is read', async () => {
    world = await startVeeamWorld({ settings: { standart: false, versions: ['v1_4'], timestamps: 'seconds' } });
    await works();
  });

  test('that tells another id of its vCenter than it uses is asked for the VM', async () => {
    world = await startVeeamWorld({ settings: { hierarchyRootDefect: true } });
    await works();
  });

  test('that names another host in its links is called where we were told to', async () => {
    world = await startVeeamWorld({ settings: { advertisedHost: 'http://veeam-em.invalid:9399' } });
    await works();
  });

  test('that answers with finished tasks at once is not asked for them', async () => {
    world = await startVeeamWorld({ settings: { immediateTasks: true } });
    await works();
    expect(Object.keys(await world.requests())).not.toContain('GET /api/tasks/:id');
  });
});
