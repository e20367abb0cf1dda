/** Cancels that come when the matter is decided already: the backup is made, the undo has begun, the run is another one. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { handOver } from '../../../db/runs.ts';
import { releaseWriteSlot, takeWriteSlot } from '../../../db/write-slots.ts';
import { withoutReconciler } from './no-reconciler.ts';
import { type Fault, startWorld, until, type World } from './world.ts';

/** What was begun may take effect for 25 s after it was broken off. Milliseconds. */
const WITH_SETTLING = 60_000;

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
  // Nobody else comes upon a backup and writes it down meanwhile: whoever made it has to.
  world.intervals.resultsSyncMs = 3_600_000;
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());
beforeEach(() => world.backupsTake(1));
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const cancel = (operationId: string) => world.requests.cancel({ principal: world.principal, operationId });
const run = async (operationId: string) => {
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  if (runId === null) throw new Error('no run has taken the operation up');
  return { workflowId, runId };
};
const cancelsAskedFor = (operationId: string) =>
  world.db
    .selectFrom('event')
    .select('message')
    .where('operation_id', '=', operationId)
    .where('action', '=', 'CANCEL_REQUESTED')
    .execute();
const hypervisorKnows = async (vmId: string) => (await world.hypervisorVms()).some(({ id }) => id === vmId);

/** Avamar refuses the group of a new schedule, so a deploy is undone. */
const REFUSED: Fault = {
  method: 'POST',
  path: '/api/v1/groups/backup-groups$',
  when: 'before',
  times: 1,
  action: { status: 400, body: { code: 1, message: 'no' } },
};

test(
  'a backup that was made before it could be stopped has succeeded, and can be restored',
  async () => {
    const vmId = await world.deployed('made-all-the-same', [gold]);
    // Avamar makes the backup, and its run never hears that it was begun: what a cancel finds is what was made.
    await world.breakAvamar({
      method: 'POST',
      path: '/api/v1/clients/[^/]+/backup$',
      when: 'after',
      times: 1,
      action: { drop: true },
    });
    const { operationId } = await world.requests.backup(world.request(vmId));
    await until(
      'the answer was lost',
      () => world.avamarFaults(),
      (faults) => faults === 0,
    );
    expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({
      state: 'SUCCEEDED',
      error: null,
      cancel_requested_by: 'platform',
    });
    expect(await world.residue(operationId)).toEqual([]);
    const { workflowId } = await run(operationId);
    await world.client.workflow.getHandle(workflowId).result();

    const results = await world.db
      .selectFrom('backup_result as r')
      .leftJoin('result_copy as c', 'c.result_id', 'r.id')
      .select(['r.operation_id', 'r.status', 'c.state'])
      .where('r.vm_id', '=', vmId)
      .execute();
    expect(results).toEqual([{ operation_id: operationId, status: 'SUCCEEDED', state: 'LISTED' }]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
  },
  WITH_SETTLING * 1.5,
);

test('an operation that failed and is being undone ends as its undo does, not as cancelled', async () => {
  const vmId = await world.newVm('undone-already', [gold]);
  await world.breakAvamar(REFUSED);
  const path = `/allocations/${vmId}$`;
  await world.breakHypervisor({ method: 'DELETE', path, when: 'before', times: 1, action: { hold: true } });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await world.hypervisorHolds();
  expect(await cancel(operationId)).toEqual({
    decision: 'ROLLING_BACK',
    reason: expect.stringContaining('failed and is being undone already'),
  });
  expect(await cancelsAskedFor(operationId)).toEqual([]);
  await world.mendHypervisor();
  const operation = await world.ended(operationId);
  expect(operation).toMatchObject({ state: 'ROLLED_BACK', cancel_requested_at: null, cancel_requested_by: null });
  expect(operation.error?.code).not.toBe('CANCELLED');
  expect(await world.residue(operationId)).toEqual([]);
  expect(await hypervisorKnows(vmId)).toBe(false);
});

test('a cancel that was promised after the failure, and before its undo began, is kept', async () => {
  const vmId = await world.newVm('promised-before', [gold]);
  const slots = (count: number) =>
    world.db
      .updateTable('backup_manager')
      .set({ max_concurrent_writes: count })
      .where('id', '=', world.managerId)
      .execute();
  await slots(1);
  const step = await world.holdAvamar({ path: '/api/v1/groups', when: 'before', times: 1 });
  await world.breakAvamar(REFUSED);
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await step.held();
  // Somebody else's undo is next, so that of this operation has to wait for its turn.
  expect(await takeWriteSlot(world.db, world.managerId, 'another', 1, true)).toBe(false);
  await step.letGo();
  await until(
    'its undo waits for a slot',
    () =>
      world.db
        .selectFrom('write_ticket')
        .select(['holder', 'granted_at'])
        .where('holder', 'like', `${operationId}%`)
        .where('undo', '=', true)
        .execute(),
    (tickets) => tickets.length === 1 && tickets[0]?.granted_at === null,
  );
  expect(await world.story(operationId)).toContain('BACKUP_SCHEDULE FAILED');
  expect(await cancel(operationId)).toMatchObject({
    decision: 'ROLLING_BACK',
    reason: expect.stringContaining('it ends CANCELLED'),
  });
  await slots(2);
  await releaseWriteSlot(world.db, 'another', 1);
  expect(await world.ended(operationId)).toMatchObject({ state: 'CANCELLED', cancel_requested_by: 'platform' });
  expect(await hypervisorKnows(vmId)).toBe(false);
});

test(
  'a run that is cancelled when its operation is another run’s decides nothing and ends fenced',
  async () => {
    const vmId = await world.deployed('another-run', [gold]);
    await world.backupsTake(20);
    const { operationId } = await world.requests.backup(world.request(vmId));
    await until(
      'it waits for its backup',
      () => world.story(operationId),
      (story) => story.includes('WATCH RUNNING'),
    );
    // A reconciler would wake the run, which would then find out by itself.
    await withoutReconciler(world, async () => {
      const { workflowId, runId } = await run(operationId);
      expect(await handOver(world.db, operationId, runId, 'it was given up')).toBe(true);
      const before = await world.operation(operationId);
      const handle = world.client.workflow.getHandle(workflowId, runId);
      await handle.cancel();
      await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'FENCED' } });
      const { events } = await handle.fetchHistory();
      const taken = (events ?? []).map((event) => event.activityTaskScheduledEventAttributes?.activityType?.name);
      expect(taken.filter((name) => name !== undefined).at(-1)).toBe('decideCancel');
      expect(await world.operation(operationId)).toEqual(before);
      expect(await cancelsAskedFor(operationId)).toEqual([]);
    });
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({
      state: 'SUCCEEDED',
      recovery: 1,
      cancel_requested_at: null,
    });
  },
  WITH_SETTLING * 1.5,
);
