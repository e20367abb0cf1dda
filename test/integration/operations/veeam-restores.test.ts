/** What Veeam makes by its own schedule, what becomes of it, and restores of it. */
import { DateTime } from 'luxon';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { markOf } from '../../../activities/hypervisors/mark.ts';
import { startWorld, until, type World } from './world.ts';

const DAY_MS = 24 * 3_600_000;

type Veeam = Awaited<ReturnType<World['newVeeam']>>;

let world: World;
let veeam: Veeam;
let gold: string;
beforeAll(async () => {
  world = await startWorld();
  veeam = await world.newVeeam('veeam-1');
  gold = await world.newPolicy('GOLD', undefined, veeam.managerId);
});
afterAll(() => world.stop());
afterEach(() => veeam.mend());

const content = async (vmId: string, text?: string): Promise<string> => {
  const url = `${world.hypervisorUrl}/vms/${vmId}/disks/data/content`;
  if (text !== undefined) await fetch(url, { method: 'PUT', body: JSON.stringify({ content: text }) });
  return ((await (await fetch(url)).json()) as { content: string }).content;
};
/** The machines that bear the VM's mark: those that are it, and all. */
const machines = async (vmId: string) => {
  const marked = (await world.hypervisorVms()).filter(({ annotation }) => annotation?.includes(markOf(vmId)));
  return {
    all: marked.map(({ moref }) => moref),
    is: marked.filter(({ id }) => id === vmId).map(({ moref }) => moref),
  };
};
const succeeds = async (requested: Promise<{ operationId: string }>): Promise<string> => {
  const { operationId } = await requested;
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
  return operationId;
};
const operations = (vmId: string, kind: 'SCHEDULED_BACKUP' | 'RESTORE' | 'SCHEDULE_REFRESH') =>
  world.db
    .selectFrom('operation')
    .selectAll()
    .where('vm_id', '=', vmId)
    .where('kind', '=', kind)
    .orderBy('created_at')
    .execute();
const copies = (vmId: string) =>
  world.db
    .selectFrom('result_copy as c')
    .innerJoin('backup_result as r', 'r.id', 'c.result_id')
    .selectAll('c')
    .leftJoin('session as s', (join) => join.onRef('s.result_id', '=', 'r.id').on('s.kind', '=', 'BACKUP'))
    .select(['r.status', 'r.name', 'r.started_at', 's.id as session_id'])
    .where('r.vm_id', '=', vmId)
    .orderBy('r.started_at')
    .execute();
/** The VM's backups once there are so many, each with the session that made it, and nothing holds the VM. */
const backups = async (vmId: string, count: number) => {
  // One that was listed before its session was known has another result until then.
  const listed = await until(
    `${count} backups are listed`,
    () => copies(vmId),
    (rows) => rows.length === count && rows.every((row) => row.session_id !== null),
  );
  await until(
    'the VM is free',
    () => world.vm(vmId),
    (vm) => vm.operation_id === null,
  );
  return listed;
};
const restore = (resultId: string) => world.requests.restore({ principal: world.principal, resultId, body: {} });
/** What the VM's one job backs up. */
const scheduled = async (vmId: string): Promise<string> => {
  const jobs = await veeam.jobsOf(vmId);
  expect(jobs).toMatchObject([{ scheduleEnabled: true }]);
  return jobs[0]?.includes.map(({ ref }) => ref.slice(ref.lastIndexOf('.') + 1)).join() ?? '';
};

/** A VM that is switched off, with a backup of when "before" was on its disk; there is "after" now. */
async function backedUp(name: string) {
  const vmId = await world.deployed(name, [gold]);
  await content(vmId, 'before');
  await veeam.run(vmId);
  const [copy] = await backups(vmId, 1);
  await content(vmId, 'after');
  await succeeds(world.requests.powerOff(world.request(vmId)));
  const [machine] = (await machines(vmId)).is;
  return { vmId, machine: machine ?? '', resultId: copy?.result_id ?? '', point: copy?.vendor_id ?? '' };
}

/** One run of the expiry check, as if a day had passed since the last. */
async function checkExpired(managerId: string): Promise<void> {
  await world.db
    .updateTable('result_copy')
    .set({ last_checked_at: new Date(0) })
    .execute();
  await world.client.workflow.execute('checkExpiredResults', {
    taskQueue: world.periodicTaskQueue,
    workflowId: `expiry-${crypto.randomUUID()}`,
    args: [managerId],
  });
}

test('a run of the server’s own schedule holds the VM like any other, and leaves a backup with an estimated date', async () => {
  const vmId = await world.deployed('scheduled', [gold]);
  await veeam.changeSettings({ backupSeconds: 6 });
  const now = DateTime.fromJSDate(await veeam.now(), { zone: 'Europe/Madrid' });
  const today = now.set({ hour: 3, minute: 30, second: 0, millisecond: 0 });
  const due = today > now ? today : today.plus({ days: 1 });
  await veeam.advance(Math.ceil(due.diff(now).as('seconds')) + 1);
  await veeam.changeSettings({ backupSeconds: 1 });
  const [operation] = await until(
    'the run is seen',
    () => operations(vmId, 'SCHEDULED_BACKUP'),
    (rows) => rows.length === 1,
  );
  expect(await world.vm(vmId)).toMatchObject({ operation_id: operation?.id });
  await expect(world.requests.powerOff(world.request(vmId))).rejects.toMatchObject({ code: 'VM_LOCKED' });
  expect(await world.ended(operation?.id ?? '')).toMatchObject({ state: 'SUCCEEDED', origin: 'BACKUP_SYSTEM' });
  const [copy, ...others] = await backups(vmId, 1);
  expect(others).toEqual([]);
  expect(copy).toMatchObject({ status: 'SUCCEEDED', state: 'LISTED', location: 'Local', expiry_estimated: true });
  const keptMs = (copy?.expires_at?.getTime() ?? 0) - (copy?.started_at?.getTime() ?? 0);
  expect(Math.round(keptMs / DAY_MS)).toBe(7);
});

test('a run that fails is a failed backup, in the server’s words', async () => {
  const vmId = await world.deployed('failed', [gold]);
  await veeam.outcome({ kind: 'backup', vmName: 'failed', result: 'Failed', reason: 'The disk is gone.', times: 1 });
  await veeam.run(vmId);
  const results = await until(
    'the run has ended',
    () => world.db.selectFrom('backup_result').selectAll().where('vm_id', '=', vmId).execute(),
    (rows) => rows[0]?.status === 'FAILED',
  );
  expect(results).toHaveLength(1);
  const session = await world.db.selectFrom('session').select('message').where('vm_id', '=', vmId).executeTakeFirst();
  expect(session?.message).toContain('The disk is gone.');
  expect(await copies(vmId)).toEqual([]);
});

describe('a restore', () => {
  test.each([true, false])('of a VM that is there leaves one machine, the restored one (told: %s)', async (tells) => {
    await veeam.changeSettings({ restoredObjRef: tells });
    const { vmId, machine, resultId } = await backedUp(`there-${tells}`);
    const operationId = await succeeds(restore(resultId));
    await veeam.changeSettings({ restoredObjRef: true });
    expect(await world.story(operationId)).toEqual([
      'REQUEST_RESTORE DONE',
      'WATCH DONE',
      'REFRESH DONE',
      'REPLACE SKIPPED',
      'BACKUP_SCHEDULE DONE',
      'RECORD DONE',
    ]);
    const { all, is } = await machines(vmId);
    expect(all).toEqual(is);
    expect(is).toHaveLength(1);
    expect(is).not.toEqual([machine]);
    expect(await content(vmId)).toBe('before');
    expect(await scheduled(vmId)).toBe(is[0]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'OFF', operation_id: null });
  });

  test.each([true, false])(
    'after an undeploy and a deploy leaves the restored one alone (told: %s)',
    async (tells) => {
      await veeam.changeSettings({ restoredObjRef: tells });
      const { vmId, resultId } = await backedUp(`again-${tells}`);
      await succeeds(world.requests.undeploy(world.request(vmId)));
      expect(await veeam.jobsOf(vmId)).toEqual([]);
      await checkExpired(veeam.managerId);
      expect(await copies(vmId)).toMatchObject([{ state: 'LISTED', absent_checks: 0 }]);

      await succeeds(world.requests.deploy(world.request(vmId)));
      const [deployed] = (await machines(vmId)).is;
      await succeeds(world.requests.powerOff(world.request(vmId)));
      const operationId = await succeeds(restore(resultId));
      await veeam.changeSettings({ restoredObjRef: true });
      expect(await world.story(operationId)).toContain('REPLACE DONE');
      const { all, is } = await machines(vmId);
      expect(all).toEqual(is);
      expect(is).toHaveLength(1);
      expect(is).not.toEqual([deployed]);
      expect(await content(vmId)).toBe('before');
      expect(await scheduled(vmId)).toBe(is[0]);

      // Both the backup of the first machine and one of the third are the VM's.
      await succeeds(world.requests.powerOn(world.request(vmId)));
      await veeam.run(vmId);
      const both = await backups(vmId, 2);
      await checkExpired(veeam.managerId);
      expect(await copies(vmId)).toMatchObject([
        { state: 'LISTED', absent_checks: 0 },
        { state: 'LISTED', absent_checks: 0 },
      ]);
      expect(new Set(both.map((copy) => copy.vendor_vm_ref)).size).toBe(2);
      await succeeds(world.requests.undeploy(world.request(vmId)));
      expect((await machines(vmId)).all).toEqual([]);
      expect(await veeam.jobsOf(vmId)).toEqual([]);
    },
    90_000,
  );

  test('whose answer is lost is found again and never begun twice', async () => {
    const { vmId, resultId, point } = await backedUp('lost');
    const path = `/api/vmRestorePoints/${point.slice(point.lastIndexOf(':') + 1)}$`;
    const before = await veeam.calls('POST /api/vmRestorePoints/:id');
    await veeam.break({ method: 'POST', path, when: 'after', times: 1, action: { drop: true } });
    await succeeds(restore(resultId));
    expect(await veeam.calls('POST /api/vmRestorePoints/:id')).toBe(before + 1);
    const { all, is } = await machines(vmId);
    expect(all).toEqual(is);
    expect(await content(vmId)).toBe('before');
  }, 90_000);

  test('that fails leaves the VM as it was, with its schedule', async () => {
    const { vmId, machine, resultId } = await backedUp('broken');
    await veeam.outcome({ kind: 'restore', vmName: 'broken', result: 'Failed', reason: 'No space.', times: 1 });
    const { operationId } = await restore(resultId);
    expect(await world.ended(operationId)).toMatchObject({ state: 'FAILED', error: { code: 'RESTORE_FAILED' } });
    expect(await machines(vmId)).toEqual({ all: [machine], is: [machine] });
    expect(await content(vmId)).toBe('after');
    expect(await scheduled(vmId)).toBe(machine);
  });

  test('that is begun at the console holds the VM, and what it restored becomes the VM', async () => {
    const { vmId, machine, point } = await backedUp('console');
    await veeam.changeSettings({ restoreSeconds: 5 });
    await veeam.restoreAtConsole(point);
    const [operation] = await until(
      'the restore is seen',
      () => operations(vmId, 'RESTORE'),
      (rows) => rows.length === 1,
    );
    await veeam.changeSettings({ restoreSeconds: 1 });
    expect(await world.vm(vmId)).toMatchObject({ operation_id: operation?.id });
    await expect(world.requests.powerOn(world.request(vmId))).rejects.toMatchObject({ code: 'VM_LOCKED' });
    expect(await world.ended(operation?.id ?? '')).toMatchObject({ state: 'SUCCEEDED', origin: 'BACKUP_SYSTEM' });
    const { all, is } = await machines(vmId);
    expect(all).toEqual(is);
    expect(is).not.toEqual([machine]);
    expect(await content(vmId)).toBe('before');
    const [refresh] = await until(
      'its schedule follows',
      () => operations(vmId, 'SCHEDULE_REFRESH'),
      (rows) => rows[0]?.finished_at != null,
    );
    expect(refresh).toMatchObject({ state: 'SUCCEEDED' });
    expect(await scheduled(vmId)).toBe(is[0]);
  });
});

describe('a backup whose date is estimated', () => {
  test('is overdue and can be restored while it is listed past its date, and EXPIRED when it is not', async () => {
    // A server whose clock is behind makes backups whose dates are past.
    const slow = await world.newVeeam('veeam-slow');
    await slow.advance(-8 * 24 * 3_600);
    const silver = await world.newPolicy('SILVER', undefined, slow.managerId);
    const vmId = await world.deployed('old', [silver]);
    await slow.run(vmId);
    const [copy] = await backups(vmId, 1);
    expect(copy?.expires_at?.getTime()).toBeLessThan(Date.now());
    await checkExpired(slow.managerId);
    await checkExpired(slow.managerId);
    expect(await copies(vmId)).toMatchObject([{ state: 'LISTED', overdue: true, absent_checks: 0 }]);
    await succeeds(world.requests.powerOff(world.request(vmId)));
    await succeeds(restore(copy?.result_id ?? ''));

    await slow.removePoint(copy?.vendor_id ?? '');
    await checkExpired(slow.managerId);
    expect(await copies(vmId)).toMatchObject([{ state: 'LISTED', absent_checks: 1 }]);
    await checkExpired(slow.managerId);
    expect(await copies(vmId)).toMatchObject([{ state: 'EXPIRED' }]);
    await expect(restore(copy?.result_id ?? '')).rejects.toMatchObject({ code: 'BACKUP_STATUS_FOR_RESTORE' });
  }, 90_000);

  test('and that is gone before it is MISSING, with a warning', async () => {
    const { vmId, resultId, point } = await backedUp('early');
    await veeam.removePoint(point);
    await checkExpired(veeam.managerId);
    await checkExpired(veeam.managerId);
    expect(await copies(vmId)).toMatchObject([{ state: 'MISSING' }]);
    const events = await world.db.selectFrom('event').selectAll().where('entity_id', '=', resultId).execute();
    expect(events).toContainEqual(expect.objectContaining({ action: 'MISSING', severity: 'WARN' }));
  });
});
