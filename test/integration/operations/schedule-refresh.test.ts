/** Schedules that are applied again when their time has come, and the dates that are estimated from them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type restoringBeside, startWorldBeside } from './restoring-beside.ts';
import { until, type World } from './world.ts';

let world: World;
let veeam: ReturnType<typeof restoringBeside>;
let managerId: string;
let gold: string;
beforeAll(async () => {
  ({ world, veeam, managerId, gold } = await startWorldBeside());
});
afterAll(() => world.stop());
beforeEach(() => {
  veeam.control.refuses = false;
  veeam.control.unreachable = false;
  veeam.control.refreshAt = undefined;
});

const PAST = '2026-03-29T01:00:00.000Z';
const FUTURE = '2096-10-28T01:00:00.000Z';

const refreshes = (vmId: string) =>
  world.db
    .selectFrom('operation')
    .selectAll()
    .where('vm_id', '=', vmId)
    .where('kind', '=', 'SCHEDULE_REFRESH')
    .orderBy('created_at')
    .execute();

const refreshed = async (vmId: string, count = 1) => {
  const rows = await until(
    'the refresh has ended',
    () => refreshes(vmId),
    (all) => all.filter(({ finished_at }) => finished_at !== null).length === count,
  );
  return rows[count - 1];
};

/** Several looks at the backup system from now on. */
async function looks(): Promise<void> {
  const tick = async () =>
    (
      await world.db
        .selectFrom('manager_watch')
        .select(['tick', 'last_tick_at'])
        .where('manager_id', '=', managerId)
        .executeTakeFirst()
    )?.last_tick_at?.getTime() ?? 0;
  for (let look = 0; look < 3; look += 1) {
    const before = await tick();
    await until('the backup system is looked at', tick, (now) => now > before);
  }
}

const due = (vmId: string, at: string) =>
  world.db
    .updateTable('vm_schedule')
    .set({ refresh_at: new Date(at) })
    .where('vm_id', '=', vmId)
    .execute();
const anHourLater = (vmId: string) =>
  world.db
    .updateTable('operation')
    .set({ finished_at: new Date(Date.now() - 3_700_000) })
    .where('vm_id', '=', vmId)
    .where('kind', '=', 'SCHEDULE_REFRESH')
    .execute();
const schedule = (vmId: string) =>
  world.db.selectFrom('vm_schedule').selectAll().where('vm_id', '=', vmId).executeTakeFirst();

describe('a schedule whose refresh is due', () => {
  test('is applied again, once, and knows its next date', async () => {
    veeam.control.refreshAt = PAST;
    const vmId = await world.deployed('due', [gold]);
    const applied = veeam.control.applied;
    veeam.control.refreshAt = FUTURE;
    const operation = await refreshed(vmId);
    expect(operation).toMatchObject({ state: 'SUCCEEDED', origin: 'HOLDFAST', requested_by: 'Holdfast' });
    expect(await world.story(operation?.id ?? '')).toEqual(['BACKUP_SCHEDULE DONE']);
    expect(veeam.control.applied).toBe(applied + 1);
    expect(await schedule(vmId)).toMatchObject({ refresh_at: new Date(FUTURE), uncertain: false });
    await looks();
    expect(await refreshes(vmId)).toHaveLength(1);
    const events = await world.db
      .selectFrom('event')
      .select(['action', 'severity'])
      .where('operation_id', '=', operation?.id ?? '')
      .orderBy('at')
      .orderBy('id')
      .execute();
    expect(events).toEqual([
      { action: 'SCHEDULE_REFRESH', severity: 'INFO' },
      { action: 'SCHEDULE_REFRESH_FINISH', severity: 'INFO' },
    ]);
  });

  test('is not applied again before its time, nor without one', async () => {
    const without = await world.deployed('without', [gold]);
    veeam.control.refreshAt = FUTURE;
    const later = await world.deployed('later', [gold]);
    await looks();
    expect([await refreshes(without), await refreshes(later)]).toEqual([[], []]);
  });

  test('is not applied over and over when it stays due', async () => {
    veeam.control.refreshAt = PAST;
    const vmId = await world.deployed('stays-due', [gold]);
    await refreshed(vmId);
    await looks();
    expect(await refreshes(vmId)).toHaveLength(1);
    veeam.control.refreshAt = undefined;
    await anHourLater(vmId);
    await refreshed(vmId, 2);
  });

  test('waits while the VM is busy', async () => {
    const vmId = await world.deployed('busy', [gold]);
    await world.breakHypervisor({ method: 'PUT', path: '/power$', when: 'before', times: 1, action: { hold: true } });
    const { operationId } = await world.requests.powerOff(world.request(vmId));
    await world.hypervisorHolds();
    await due(vmId, PAST);
    await looks();
    expect(await refreshes(vmId)).toEqual([]);
    await world.mendHypervisor();
    await world.ended(operationId);
    expect(await refreshed(vmId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  test('of a VM that is not deployed any more is not there', async () => {
    const vmId = await world.deployed('gone', [gold]);
    await world.ended((await world.requests.undeploy(world.request(vmId))).operationId);
    expect(await schedule(vmId)).toBeUndefined();
    await looks();
    expect(await refreshes(vmId)).toEqual([]);
  });
});

describe('a refresh that fails', () => {
  test('leaves a schedule that nobody is certain of, and the next one brings it in order', async () => {
    const vmId = await world.deployed('refused', [gold]);
    veeam.control.refuses = true;
    await due(vmId, PAST);
    const operation = await refreshed(vmId);
    expect(operation).toMatchObject({
      state: 'FAILED',
      needs_attention: true,
      error: { code: 'BACKUP_SYSTEM_REFUSED' },
    });
    expect(await world.story(operation?.id ?? '')).toEqual(['BACKUP_SCHEDULE FAILED']);
    expect(await world.uncleared(operation?.id ?? '')).toMatchObject([{ step: 'BACKUP_SCHEDULE' }]);
    expect(await schedule(vmId)).toMatchObject({ uncertain: true });
    await looks();
    expect(await refreshes(vmId)).toHaveLength(1);

    veeam.control.refuses = false;
    await anHourLater(vmId);
    expect(await refreshed(vmId, 2)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await schedule(vmId)).toMatchObject({ uncertain: false, refresh_at: null });
    expect(await world.uncleared(operation?.id ?? '')).toEqual([]);
    expect((await refreshes(vmId))[0]).toMatchObject({ needs_attention: false });
  });

  test('before it could write has left everything as it was, and a person is asked for all the same', async () => {
    const vmId = await world.deployed('unreachable', [gold]);
    veeam.control.unreachable = true;
    await due(vmId, PAST);
    const operation = await refreshed(vmId);
    expect(operation).toMatchObject({
      state: 'FAILED',
      needs_attention: true,
      attention_reason: 'the backup schedule could not be refreshed',
      error: { code: 'BACKUP_SYSTEM_UNREACHABLE' },
    });
    expect(await world.uncleared(operation?.id ?? '')).toEqual([]);
    expect(await schedule(vmId)).toMatchObject({ uncertain: false });

    veeam.control.unreachable = false;
    await anHourLater(vmId);
    await refreshed(vmId, 2);
    expect((await refreshes(vmId))[0]).toMatchObject({ needs_attention: false, attention_reason: null });
  });

  test('leaves what a cleanup brings in order', async () => {
    const vmId = await world.deployed('cleaned', [gold]);
    veeam.control.refuses = true;
    await due(vmId, PAST);
    const operation = await refreshed(vmId);
    veeam.control.refuses = false;
    const cleanup = { principal: world.principal, operationId: operation?.id ?? '' };
    const { operationId } = await world.requests.retryCleanup(cleanup);
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await schedule(vmId)).toMatchObject({ uncertain: false });
  });

  test('cannot be cancelled once it has begun', async () => {
    const vmId = await world.deployed('uncancelled', [gold]);
    veeam.control.unreachable = true;
    await due(vmId, PAST);
    const [operation] = await until(
      'the refresh has begun',
      () => refreshes(vmId),
      (all) => (all[0]?.run_id ?? null) !== null,
    );
    const answer = await world.requests
      .cancel({ principal: world.principal, operationId: operation?.id ?? '' })
      .catch((error: unknown) => error);
    expect(JSON.stringify(answer)).toContain('CANCEL_NOT_SUPPORTED');
    await refreshed(vmId);
  });
});

describe('the date of a backup', () => {
  const copies = (vmId: string) =>
    world.db
      .selectFrom('result_copy as c')
      .innerJoin('backup_result as r', 'r.id', 'c.result_id')
      .selectAll('c')
      .where('r.vm_id', '=', vmId)
      .execute();
  const hypervisorRef = async (vmId: string) =>
    (await world.hypervisorVms()).find(({ id }) => id === vmId)?.moref ?? '';

  test('is estimated from the schedule that the VM has; without one the estimate stays', async () => {
    const vmId = await world.deployed('estimated', [gold]);
    const moref = await hypervisorRef(vmId);
    const estimate = new Date('2096-01-01T00:00:00Z');
    veeam.control.expiry = { expiresAt: estimate, expiryEstimated: true };
    await veeam.backUp(moref);
    const listed = { state: 'LISTED', expires_at: estimate, expiry_estimated: true, overdue: false };
    await until(
      'the backup is listed',
      () => copies(vmId),
      (all) => all.length === 1,
    );
    expect(await copies(vmId)).toMatchObject([listed]);
    expect(veeam.control.asked.get(`urn:${moref}`)).toMatchObject({ managerId, policies: [{ code: 'VEEAM-GOLD' }] });

    await world.ended((await world.requests.undeploy(world.request(vmId))).operationId);
    veeam.control.expiry = { expiresAt: null, expiryEstimated: true };
    await until(
      'the backups of a VM without a schedule are listed',
      () => Promise.resolve(veeam.control.asked.get(`urn:${moref}`)),
      (asked) => asked === null,
    );
    await looks();
    expect(await copies(vmId)).toMatchObject([listed]);

    veeam.control.expiry = { expiresAt: null, expiryEstimated: false };
    await until(
      'the backup system names no date',
      () => copies(vmId),
      ([copy]) => copy?.expires_at === null,
    );
  });

  test('that is past makes it overdue while it is listed, and changes nothing else', async () => {
    const vmId = await world.deployed('overdue', [gold]);
    veeam.control.expiry = { expiresAt: new Date(Date.now() - 1_000), expiryEstimated: true };
    await veeam.backUp(await hypervisorRef(vmId));
    const [copy] = await until(
      'the backup is listed',
      () => copies(vmId),
      (all) => all.length === 1,
    );
    expect(copy).toMatchObject({ state: 'LISTED', expiry_estimated: true });
    const kept = copy?.expires_at;
    veeam.control.expiry = { expiresAt: null, expiryEstimated: true };
    await until(
      'it is listed again',
      () => copies(vmId),
      ([again]) => again?.overdue === true,
    );
    expect(await copies(vmId)).toMatchObject([{ state: 'LISTED', expires_at: kept }]);
  });
});
