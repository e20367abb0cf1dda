/** A worker whose clock is wrong: nothing is given up early or late, and nothing is overlooked. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

const HOUR = 3_600_000;

let world: World;
let gold: string;
/** By how much the worker's clock is ahead. Milliseconds. */
let ahead = 0;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1, clock: () => new Date(Date.now() + ahead) });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const unavailable = { when: 'before', action: { status: 503 } } as const;
const refused = { when: 'before', action: { status: 400, body: { message: 'no' } } } as const;

describe('an hour ahead', () => {
  beforeEach(() => {
    ahead = HOUR;
  });

  test('a step that fails is tried again', async () => {
    const vmId = await world.newVm('ahead-step', [gold]);
    await world.breakHypervisor({ ...unavailable, method: 'PUT', path: `/vms/${vmId}$`, times: 1 });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });

  test('an undo that fails is tried again', async () => {
    const vmId = await world.newVm('ahead-undo', []);
    await world.breakHypervisor({ ...refused, method: 'PUT', path: `/vms/${vmId}/power$`, times: 1 });
    await world.breakHypervisor({ ...unavailable, method: 'DELETE', path: `/allocations/${vmId}$`, times: 1 });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK' });
    expect(await world.residue(operationId)).toEqual([]);
  });

  test('a copy that is gone before its date is MISSING, not EXPIRED', async () => {
    const vmId = await world.deployed('ahead-copy', [gold]);
    const { operationId } = await world.requests.backup(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    const copies = () =>
      world.db
        .selectFrom('result_copy as c')
        .innerJoin('backup_result as r', 'r.id', 'c.result_id')
        .selectAll('c')
        .where('r.vm_id', '=', vmId)
        .execute();
    const [{ vendor_vm_ref: client, vendor_id: label, id }] = (await until(
      'the copy is on record',
      copies,
      (found) => found.length === 1,
    )) as [Awaited<ReturnType<typeof copies>>[number]];
    await world.avamar('DELETE', `/clients/${client}/backups/${label}/delete`);
    const inHalfAnHour = new Date(Date.now() + HOUR / 2);
    for (let check = 0; check < 2; check += 1) {
      await world.db
        .updateTable('result_copy')
        .set({ last_checked_at: new Date(0), expires_at: inHalfAnHour })
        .where('id', '=', id)
        .execute();
      await world.client.workflow.execute('checkExpiredResults', {
        taskQueue: world.periodicTaskQueue,
        workflowId: `expiry-${crypto.randomUUID()}`,
        args: [world.managerId],
      });
    }
    expect(await copies()).toMatchObject([{ state: 'MISSING' }]);
  });

  test('a lost run is found when it is listed as closed', async () => {
    // Not by looking at all of them: that is done once an hour.
    await until(
      'every open operation has been looked at',
      () => world.db.selectFrom('reconciler').selectAll().executeTakeFirstOrThrow(),
      (state) => state.full_pass_at !== null && state.full_pass_after === null && state.closed_runs_watermark !== null,
    );
    const vmId = await world.newVm('ahead-lost', []);
    await world.breakHypervisor({
      method: 'PUT',
      path: `/vms/${vmId}$`,
      when: 'before',
      times: 1,
      action: { hold: true },
    });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    await world.hypervisorHolds();
    const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
    await world.client.workflow.getHandle(workflowId, runId ?? '').terminate('by an operator');
    await until(
      'it is taken over',
      () => world.operation(operationId),
      ({ recovery }) => recovery === 1,
    );
    await world.mendHypervisor();
    expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'RUN_LOST' } });
  }, 90_000);

  test('a backup that is not listed for a moment goes on', async () => {
    const vmId = await world.deployed('ahead-unlisted', [gold]);
    await world.backupsTake(5);
    const { operationId } = await world.requests.backup(world.request(vmId));
    const session = () =>
      world.db
        .selectFrom('session as s')
        .innerJoin('manager_watch as w', 'w.manager_id', 's.manager_id')
        .select(['s.state', 's.tick', 'w.tick as looks'])
        .where('s.operation_id', '=', operationId)
        .executeTakeFirst();
    await until('it runs', session, (row) => row !== undefined && row.tick > 0);
    const read = { method: 'GET', when: 'before' } as const;
    await world.breakAvamar({ ...read, path: '/activities\\?', action: { status: 200, body: { content: [] } } });
    await world.breakAvamar({ ...read, path: '/activities/[^/]+$', action: { status: 404 } });
    const unlisted = await session();
    const later = await until('it was looked for', session, (row) => (row?.looks ?? 0) > (unlisted?.looks ?? 0) + 2);
    expect(later).toMatchObject({ state: 'RUNNING' });
    await world.mendAvamar();
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
  });
});

describe('an hour behind', () => {
  beforeEach(() => {
    ahead = -HOUR;
  });

  test('a step is given up when its time is over', async () => {
    const vmId = await world.newVm('behind-step', []);
    await world.breakHypervisor({ ...unavailable, method: 'PUT', path: `/vms/${vmId}$` });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK' });
    expect(await world.story(operationId)).toContain('CONFIGURE FAILED/DONE');
  });

  test('an undo is given up when its time is over, and what it leaves is named', async () => {
    const vmId = await world.newVm('behind-undo', []);
    await world.breakHypervisor({ ...refused, method: 'PUT', path: `/vms/${vmId}/power$`, times: 1 });
    await world.breakHypervisor({ ...unavailable, method: 'DELETE', path: `/allocations/${vmId}$` });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK_WITH_RESIDUE' });
    expect(await world.residue(operationId)).toMatchObject([{ step: 'ALLOCATE' }]);
  });

  test('a backup that the backup system begins by itself is noticed while nothing else runs there', async () => {
    const vmId = await world.deployed('behind-watch', [gold]);
    await until(
      'Avamar has been looked at',
      () => world.db.selectFrom('manager_watch').select('last_tick_at').executeTakeFirst(),
      (watch) => watch?.last_tick_at instanceof Date,
    );
    await world.backupsTake(8);
    const { content } = await world.avamar('GET', '/groups?domain=/&recursive=true&size=500');
    const group = content.find((candidate: { name: string }) => candidate.name.includes(vmId));
    await world.avamar('POST', `/schedules/run/${encodeURIComponent(group.scheduleId)}`);
    const { operation_id: operationId } = await until(
      'the VM is locked',
      () => world.vm(vmId),
      (vm) => vm.operation_id !== null,
    );
    expect(await world.ended(operationId ?? '')).toMatchObject({ kind: 'SCHEDULED_BACKUP', state: 'SUCCEEDED' });
  });
});
