/** An undo that a lost run had begun, and its recovery takes up: it waits for nobody too long, and has all of its time. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { handOver } from '../../../db/runs.ts';
import { takeWriteSlot } from '../../../db/write-slots.ts';
import { withoutReconciler } from './no-reconciler.ts';
import { startWorld, until, type World } from './world.ts';

/** A lost run's last write may take effect for 25 s; the recovery waits for that. Milliseconds. */
const WITH_SETTLING = 60_000;

let world: World;
let gold: string;
beforeAll(async () => {
  // The wait for what the lost run has written counts, and leaves time for more.
  world = await startWorld({ undoRetryMs: WITH_SETTLING });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());

const tickets = (operationId: string) =>
  world.db
    .selectFrom('write_ticket')
    .selectAll()
    .where('holder', 'like', `${operationId}/%`)
    .where('undo', '=', true)
    .orderBy('id')
    .execute();

/** The operation's run is terminated, and the operation is taken from it. */
async function lose(operationId: string): Promise<void> {
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId, runId ?? '').terminate('by an operator');
  expect(await handOver(world.db, operationId, runId, 'it was terminated')).toBe(true);
}

test(
  'the slot of a worker that died with its run is not kept by the recovery, which has its own and gives that back',
  async () => {
    await world.db
      .updateTable('backup_manager')
      .set({ max_concurrent_writes: 1 })
      .where('id', '=', world.managerId)
      .execute();
    const vmId = await world.deployed('slot-of-the-lost', [gold]);
    const refused = { status: 400, body: { message: 'no' } };
    await world.breakHypervisor({ method: 'PUT', path: '/power$', when: 'before', times: 1, action: refused });
    // The undo puts the schedule back; its second attempt is under way when the run is lost.
    const group = { method: 'POST', path: '/api/v1/groups/backup-groups$', when: 'before', times: 1 } as const;
    await world.breakAvamar({ ...group, action: { status: 503 } });
    await world.breakAvamar({ ...group, action: { hold: true } });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    await world.avamarHolds();

    const lost = await withoutReconciler(world, async () => {
      const [held] = await tickets(operationId);
      if (held === undefined) throw new Error('the undo has no slot');
      expect(held).toMatchObject({ attempt: 2, granted_at: expect.any(Date) });
      await lose(operationId);
      await world.mendAvamar();
      await until(
        'the attempt of the lost run has ended',
        () => tickets(operationId),
        (left) => left.length === 0,
      );
      // Had its worker died, the slot would be its own until its lease ends.
      expect(await takeWriteSlot(world.db, world.managerId, held.holder, held.attempt, true)).toBe(true);
      const [dead] = await tickets(operationId);
      if (dead === undefined) throw new Error('the slot is not held');
      return dead;
    });
    const [still, waiting] = await until(
      'the recovery has asked for a slot again and again',
      () => tickets(operationId),
      ([, recovery]) => (recovery?.attempt ?? 0) >= 3,
    );
    expect(still).toEqual(lost);
    expect(waiting?.granted_at).toBeNull();

    await world.db
      .updateTable('write_ticket')
      .set({ leased_until: sql<Date>`now() - interval '1 second'` })
      .where('id', '=', lost.id)
      .execute();
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'ROLLED_BACK', recovery: 1 });
    expect(await world.groups(vmId)).toHaveLength(1);
    expect(await tickets(operationId)).toEqual([]);
  },
  WITH_SETTLING * 2,
);

test(
  'an undo whose time was nearly over when its run was lost has all of its time again',
  async () => {
    const vmId = await world.newVm('time-of-the-lost', []);
    await world.breakHypervisor({
      method: 'PUT',
      path: '/power$',
      when: 'before',
      times: 1,
      action: { status: 400, body: { message: 'no' } },
    });
    const deallocation = { method: 'DELETE', path: `/allocations/${vmId}$`, when: 'before' } as const;
    await world.breakHypervisor({ ...deallocation, times: 1, action: { hold: true } });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    await world.hypervisorHolds();
    await withoutReconciler(world, async () => {
      await world.db
        .updateTable('step')
        .set({ compensation_started_at: sql<Date>`now() - interval '2 hours'` })
        .where('operation_id', '=', operationId)
        .where('compensation', 'is not', null)
        .execute();
      await lose(operationId);
      await world.mendHypervisor();
    });
    // The first attempt of the recovery fails, and is not the last.
    await world.breakHypervisor({ ...deallocation, times: 1, action: { status: 503 } });
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'ROLLED_BACK', recovery: 1 });
    expect(await world.residue(operationId)).toEqual([]);
    expect(await world.story(operationId)).toContain('ALLOCATE DONE/DONE');
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
  },
  WITH_SETTLING * 2,
);
