/** A Veeam job keeps an offset and no time zone: when the zone's offset changes, its time is written again. */
import { DateTime } from 'luxon';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

const ZONE = 'Europe/Madrid';

let world: World;
let veeam: Awaited<ReturnType<World['newVeeam']>>;
let gold: string;
beforeAll(async () => {
  world = await startWorld();
  // Nobody's session runs out while the server's clock is moved by months.
  veeam = await world.newVeeam('veeam-1', { idleSeconds: 10 * 365 * 86_400 });
  gold = await world.newPolicy('GOLD', undefined, veeam.managerId);
});
afterAll(() => world.stop());

const refreshes = (vmId: string) =>
  world.db
    .selectFrom('operation')
    .selectAll()
    .where('vm_id', '=', vmId)
    .where('kind', '=', 'SCHEDULE_REFRESH')
    .execute();
const refreshed = async (vmId: string) =>
  (
    await until(
      'the schedule was refreshed',
      () => refreshes(vmId),
      (rows) => rows[0]?.finished_at != null,
    )
  )[0];
const refreshAt = async (vmId: string): Promise<Date> => {
  const { refresh_at: at } = await world.db
    .selectFrom('vm_schedule')
    .select('refresh_at')
    .where('vm_id', '=', vmId)
    .executeTakeFirstOrThrow();
  if (at === null) throw new Error('it is never refreshed');
  return at;
};
/** When the VM's job runs, as it keeps it. */
const time = async (vmId: string) => {
  const [job] = await veeam.jobsOf(vmId);
  const { Time, TimeOffsetUtc } = job?.schedule['OptionsDaily'] ?? {};
  return { time: Time, offset: Number(TimeOffsetUtc) };
};
/** 03:30 of the policy at the offset that its zone has at that moment. */
const wantedAt = (moment: Date) => {
  const at = DateTime.fromJSDate(moment, { zone: ZONE });
  return { time: `03:30:00.0000000${at.toFormat('ZZ')}`, offset: at.offset / 60 };
};
/** Moves the server's clock over that moment. */
const passes = async (moment: Date): Promise<void> => {
  await veeam.advance(Math.ceil((moment.getTime() - (await veeam.now()).getTime()) / 1_000) + 60);
};
const edits = (): Promise<number> => veeam.calls('PUT /api/jobs/:id');
/** So many looks at the server from now on. */
const looks = async (count: number): Promise<void> => {
  const newest = async () =>
    (
      await world.db
        .selectFrom('manager_watch')
        .select('last_tick_at')
        .where('manager_id', '=', veeam.managerId)
        .executeTakeFirst()
    )?.last_tick_at?.getTime() ?? 0;
  for (let look = 0; look < count; look += 1) {
    const before = await newest();
    await until('the server is looked at', newest, (now) => now > before);
  }
};

test('once, by the server’s clock, whichever way it changes; a VM that is busy then is refreshed later', async () => {
  const vmId = await world.deployed('zone-1', [gold]);
  const busy = await world.deployed('zone-2', [gold]);
  const first = await refreshAt(vmId);
  expect(first.getTime()).toBeGreaterThan((await veeam.now()).getTime());
  expect(wantedAt(first).offset).not.toBe(wantedAt(await veeam.now()).offset);
  expect(await time(vmId)).toEqual(wantedAt(await veeam.now()));
  expect(await refreshAt(busy)).toEqual(first);
  const edited = await edits();

  const power = await world.holdHypervisor({ method: 'PUT', path: `/vms/${busy}/power$`, when: 'before', times: 1 });
  const { operationId } = await world.requests.powerOff(world.request(busy));
  await power.held();
  await passes(first);
  expect(await refreshed(vmId)).toMatchObject({ state: 'SUCCEEDED', error: null, requested_by: 'Holdfast' });
  expect(await time(vmId)).toEqual(wantedAt(first));
  expect(await edits()).toBe(edited + 1);
  const second = await refreshAt(vmId);
  expect(second.getTime()).toBeGreaterThan(first.getTime());
  await looks(2);
  expect(await refreshes(vmId)).toHaveLength(1);

  expect(await refreshes(busy)).toEqual([]);
  expect(await time(busy)).not.toEqual(wantedAt(first));
  await power.letGo();
  await world.ended(operationId);
  expect(await refreshed(busy)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await time(busy)).toEqual(wantedAt(first));

  // Half a year later it changes back. The next refresh of a schedule comes an hour of ours after the last at the earliest.
  await world.db
    .updateTable('operation')
    .set({ finished_at: new Date(Date.now() - 3_700_000) })
    .where('kind', '=', 'SCHEDULE_REFRESH')
    .execute();
  await passes(second);
  await until(
    'both were refreshed again',
    () => Promise.all([vmId, busy].map(time)),
    (times) => times.every((one) => one.offset === wantedAt(second).offset),
  );
  expect(await time(vmId)).toEqual(wantedAt(second));
}, 90_000);

test('a job that somebody has removed is made again by the refresh', async () => {
  const vmId = await world.deployed('zone-3', [gold]);
  const [job] = await veeam.jobsOf(vmId);
  await veeam.removeJob(job?.id ?? '');
  await passes(await refreshAt(vmId));
  expect(await refreshed(vmId)).toMatchObject({ state: 'SUCCEEDED' });
  const [again, ...others] = await veeam.jobsOf(vmId);
  expect(others).toEqual([]);
  expect(again).toMatchObject({ scheduleEnabled: true, includes: [{ name: 'zone-3' }] });
  expect(again?.id).not.toBe(job?.id);
});

test('a refresh that the server refuses asks for a person', async () => {
  const vmId = await world.deployed('zone-4', [gold]);
  const [job] = await veeam.jobsOf(vmId);
  await veeam.break({
    method: 'PUT',
    path: `/api/jobs/${job?.id}$`,
    when: 'before',
    action: {
      status: 400,
      body: '<Error xmlns="http://www.veeam.com/ent/v1.0" Message="No." StatusCode="400"/>',
    },
  });
  await passes(await refreshAt(vmId));
  expect(await refreshed(vmId)).toMatchObject({
    state: 'FAILED',
    needs_attention: true,
    error: { code: 'BACKUP_SYSTEM_REFUSED' },
  });
  await veeam.mend();
});
