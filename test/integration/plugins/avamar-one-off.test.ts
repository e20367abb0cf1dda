/** DEFINED_HOUR: backups that run once. */
import { DateTime } from 'luxon';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackupSystem, ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import type { ScheduleRef } from '../../../db/columns.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import { backupOf, openContext } from '../../conformance/port-calls.ts';
import { type AvamarWorld, daily, scheduleOf, startAvamarWorld, until } from './avamar-world.ts';

let world: AvamarWorld;
let avamar: BackupSystem;
const context = openContext();
const DAY_SECONDS = 86_400;

beforeAll(async () => {
  world = await startAvamarWorld();
  avamar = world.connect();
});
afterAll(() => world.close());

const nightly = daily('23:00');
const once = (time: string) => backupOf('DEFINED_HOUR', { time });

/** A local time in the zone of the policy, so long after Avamar's now. */
async function localTime(after: object): Promise<string> {
  const now = DateTime.fromJSDate(await avamar.serverTime(context), { zone: 'Europe/Madrid' });
  return now.plus(after).toFormat("yyyy-MM-dd'T'HH:mm");
}

async function groupsOf(vm: ProtectedVm) {
  return (await world.inventory()).groups.filter(({ name }) => name.includes(vm.id));
}

const namesOf = async (vm: ProtectedVm): Promise<string[]> =>
  (await groupsOf(vm)).map(({ name }) => name.slice(`holdfast-${vm.id}-`.length)).toSorted();

test('one that is to come is made to run at its date alone, and is written once', async () => {
  const vm = await world.deploy('to-come');
  const time = await localTime({ days: 3 });
  const schedule = scheduleOf([nightly, once(time)]);
  const ref = await avamar.applySchedule(context, vm, schedule, undefined);
  const group = (await groupsOf(vm)).find(({ name }) => name.endsWith('-defined-hour'));
  expect(group).toMatchObject({ enabled: true, runOnce: true });
  const { schedules } = await world.inventory();
  const at = DateTime.fromISO(time, { zone: 'Europe/Madrid' });
  expect(schedules.find(({ id }) => id === group?.['scheduleId'])).toMatchObject({
    dailyData: { timesOfDay: [time.slice(11)] },
    nextRunTime: at.toJSDate().toISOString(),
  });
  const again = openContext();
  expect(await avamar.applySchedule(again, vm, schedule, ref)).toEqual(ref);
  expect(again.writes).toBe(0);

  const moved = await avamar.applySchedule(context, vm, scheduleOf([nightly, once(await localTime({ days: 5 }))]), ref);
  const now = (await world.inventory()).schedules.find(({ id }) => id === group?.['scheduleId']);
  expect(now?.['nextRunTime']).toBe(at.plus({ days: 2 }).toJSDate().toISOString());
  expect(moved.policies).toEqual(ref.policies);
});

describe('one that has had its time', () => {
  async function expectRefused(vm: ProtectedVm, schedule: BackupSchedule, previous?: ScheduleRef): Promise<void> {
    const attempt = openContext();
    await expect(avamar.applySchedule(attempt, vm, schedule, previous)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringMatching(/policy GOLD: its backup of .* has passed/),
    });
    expect(attempt.writes).toBe(0);
  }

  test('is refused before anything is written where it is new', async () => {
    const vm = await world.deploy('too-late');
    const time = await localTime({ minutes: -1 });
    await expectRefused(vm, scheduleOf([nightly, once(time)]));
    const ref = await avamar.applySchedule(context, vm, scheduleOf([nightly]), undefined);
    await expectRefused({ ...vm, vendorRefs: [ref.vmRef] }, scheduleOf([nightly, once(time)]), ref);
  });

  test('does not keep the VM from being changed, restored, undone or deployed again, and is removed', async () => {
    const vm = await world.deploy('has-run');
    const schedule = scheduleOf([nightly, once(await localTime({ hours: 2 }))]);
    const ref = await avamar.applySchedule(context, vm, schedule, undefined);
    const since = await avamar.serverTime(context);
    await world.advance(2 * 3_600);
    const begun = async () =>
      (await avamar.sessionsSince(context, since)).filter(({ vendorVmRef }) => vendorVmRef === ref.vmRef);
    const [session] = await until(begun, ({ length }) => length > 0);
    expect(ref.policies?.[session?.scheduledBy ?? '']).toBe('p1');

    // It has only just begun: what runs is left alone, and still known by its policy.
    const beside = {
      policies: [...schedule.policies, ...scheduleOf([daily('01:00')], { code: 'SILVER', policyId: 'p2' }).policies],
    };
    const changed = await avamar.applySchedule(context, vm, { managerId: 'm1', ...beside }, ref);
    expect(await namesOf(vm)).toEqual(['GOLD-daily', 'GOLD-defined-hour', 'SILVER-daily']);
    expect(changed.policies?.[session?.scheduledBy ?? '']).toBe('p1');
    const undone = await avamar.applySchedule(context, vm, scheduleOf([daily('02:00')]), changed);
    expect(await namesOf(vm)).toEqual(['GOLD-daily']);
    // The undo of that last change.
    await avamar.applySchedule(context, vm, schedule, undone);
    await world.advance(DAY_SECONDS);
    const after = await avamar.applySchedule(context, vm, schedule, ref);
    expect(await namesOf(vm)).toEqual(['GOLD-daily']);
    expect(Object.values(after.policies ?? {})).toEqual(['p1']);

    await avamar.removeSchedule(context, vm, after);
    const again = { ...(await world.redeploy(vm)), vendorRefs: [ref.vmRef] };
    await avamar.applySchedule(context, again, schedule, undefined);
    expect(await namesOf(again)).toEqual(['GOLD-daily']);
  });

  test('runs never again, also when nobody touches the VM', async () => {
    const vm = await world.deploy('untouched');
    const since = await avamar.serverTime(context);
    const ref = await avamar.applySchedule(context, vm, scheduleOf([once(await localTime({ hours: 1 }))]), undefined);
    for (let day = 0; day < 4; day += 1) await world.advance(DAY_SECONDS);
    const begun = await avamar.sessionsSince(context, since);
    expect(begun.filter(({ vendorVmRef }) => vendorVmRef === ref.vmRef)).toHaveLength(1);
  });
});
