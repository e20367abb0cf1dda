/** What nobody can find out a person decides: then, and only then, the VM is free again. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import type { StepName } from '../../../domain/operations.ts';
import { startWorld, until, type World } from './world.ts';

/** A settlement waits until the last permitted write can have no more effect: 25 s. Milliseconds. */
const WITH_SETTLING = 60_000;

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const settle = (operationId: string, outcome: 'SUCCEEDED' | 'FAILED', reason = 'we have looked') =>
  world.requests.settle({ principal: world.principal, operationId, body: { outcome, reason } });

/** Makes a step, or its undo, as old as one that has been tried for two hours. */
async function triedForHours(
  operationId: string,
  name: StepName,
  what: 'first_attempt_at' | 'compensation_started_at' = 'first_attempt_at',
): Promise<void> {
  await world.db
    .updateTable('step')
    .set({ [what]: new Date(Date.now() - 2 * 3_600_000) })
    .where('operation_id', '=', operationId)
    .where('name', '=', name)
    .execute();
}

test(
  'a backup of which nobody knows whether it was begun ends as it is settled; if it was, it is adopted',
  async () => {
    const vmId = await world.deployed('unknown-1', [gold]);
    // Longer than it takes until nobody knows.
    await world.backupsTake(300);
    await world.breakAvamar({
      method: 'POST',
      path: '/api/v1/clients/[^/]+/backup$',
      when: 'after',
      times: 1,
      action: { drop: true },
    });
    const { operationId } = await world.requests.backup(world.request(vmId));
    await until(
      'the answer to the start is lost',
      () =>
        world.db
          .selectFrom('step')
          .select('error')
          .where('operation_id', '=', operationId)
          .where('name', '=', 'REQUEST_BACKUP')
          .executeTakeFirstOrThrow(),
      (step) => step.error !== null,
    );
    await world.breakAvamar({ method: 'GET', path: '/api/v1/', when: 'before', action: { status: 503 } });
    await until(
      'nobody knows',
      () => world.operation(operationId),
      (row) => row.state === 'UNKNOWN_OUTCOME',
      WITH_SETTLING,
    );
    await settle(operationId, 'FAILED', 'Avamar is being reinstalled');
    const operation = await world.ended(operationId, WITH_SETTLING);
    expect(operation).toMatchObject({ state: 'FAILED', error: { code: 'OPERATION_SETTLED' }, needs_attention: true });
    expect(operation.error?.message).toContain('platform');
    expect(operation.error?.message).toContain('Avamar is being reinstalled');
    expect(await world.residue(operationId)).toMatchObject([
      { step: 'REQUEST_BACKUP', manager_id: world.managerId, cleared_at: null },
    ]);
    expect(await world.runFailure(operationId)).toContain('FENCED');
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });

    await world.mendAvamar();
    const locked = await until(
      'what was begun is adopted',
      () => world.vm(vmId),
      (vm) => vm.operation_id !== null,
    );
    expect(await world.operation(locked.operation_id ?? '')).toMatchObject({ kind: 'SCHEDULED_BACKUP' });
    const { vendor_session_id: activity } = await world.db
      .selectFrom('session')
      .select('vendor_session_id')
      .where('operation_id', '=', locked.operation_id)
      .executeTakeFirstOrThrow();
    await world.avamar('POST', `/activities/${activity}/cancel`);
    await world.ended(locked.operation_id ?? '');

    // Now that nothing runs any more the leftover can be cleared.
    const cleanup = await world.requests.retryCleanup({ principal: world.principal, operationId });
    expect(await world.ended(cleanup.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: false });
  },
  WITH_SETTLING * 3,
);

test(
  'an operation that has tried for hours ends as it is settled, and its run is fenced',
  async () => {
    const vmId = await world.deployed('stuck-1', [gold]);
    await world.breakHypervisor({ method: 'DELETE', path: `/vms/${vmId}$`, when: 'before', action: { status: 503 } });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    await until(
      'it is stuck',
      () => world.story(operationId),
      (story) => story.includes('DECONFIGURE RUNNING'),
    );
    await expect(settle(operationId, 'SUCCEEDED')).rejects.toMatchObject({ code: 'OPERATION_NOT_SETTLEABLE' });
    await triedForHours(operationId, 'DECONFIGURE');
    await settle(operationId, 'SUCCEEDED', 'the datacenter was closed');
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({
      state: 'SUCCEEDED',
      error: null,
      settlement: { outcome: 'SUCCEEDED', by: 'platform', reason: 'the datacenter was closed' },
    });
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
    expect(await world.runFailure(operationId)).toContain('FENCED');
    // The run did nothing any more: the machine is where it was.
    await world.mendHypervisor();
    expect((await world.hypervisorVms()).map(({ id }) => id)).toContain(vmId);
  },
  WITH_SETTLING * 2,
);

test(
  'a run that was lost is not carried on once its operation is settled',
  async () => {
    const vmId = await world.deployed('stuck-2', []);
    await world.breakHypervisor({ method: 'DELETE', path: `/vms/${vmId}$`, when: 'before', action: { status: 503 } });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    await until(
      'it is stuck',
      () => world.story(operationId),
      (story) => story.includes('DECONFIGURE RUNNING'),
    );
    await triedForHours(operationId, 'DECONFIGURE');
    await settle(operationId, 'FAILED');
    const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
    await world.client.workflow
      .getHandle(workflowId, runId ?? '')
      .terminate('by an operator')
      .catch(() => {});
    await world.reconcile(true);
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'FAILED', recovery: 0 });
    expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', operation_id: null });
    expect((await world.residue(operationId)).map(({ step }) => step)).toEqual(['POWER_OFF', 'DECONFIGURE']);
  },
  WITH_SETTLING * 2,
);

test(
  'an undeploy that has removed nothing of the VM cannot have succeeded',
  async () => {
    const vmId = await world.deployed('untrue-1', [gold]);
    await world.breakAvamar({ method: 'DELETE', path: '/api/v1/groups/', when: 'before', action: { hold: true } });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    await world.avamarHolds();
    await triedForHours(operationId, 'BACKUP_SCHEDULE');
    await expect(settle(operationId, 'SUCCEEDED')).rejects.toMatchObject({
      code: 'OPERATION_NOT_SETTLEABLE',
      message: expect.stringContaining('nothing of the virtual machine was removed'),
    });
    expect(await world.operation(operationId)).toMatchObject({ settlement: null });
    await settle(operationId, 'FAILED');
    await world.mendAvamar();
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'FAILED' });
    expect((await world.hypervisorVms()).map(({ id }) => id)).toContain(vmId);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
  },
  WITH_SETTLING * 2,
);

test(
  'a deploy that is being undone cannot have succeeded',
  async () => {
    const vmId = await world.newVm('untrue-2', [gold]);
    await world.breakAvamar({
      method: 'POST',
      path: '/api/v1/groups/backup-groups$',
      when: 'before',
      times: 1,
      action: { status: 400, body: { code: 1, message: 'no' } },
    });
    const path = `/allocations/${vmId}$`;
    await world.breakHypervisor({ method: 'DELETE', path, when: 'before', action: { hold: true } });
    const { operationId } = await world.requests.deploy(world.request(vmId));
    await world.hypervisorHolds();
    await triedForHours(operationId, 'ALLOCATE', 'compensation_started_at');
    await expect(settle(operationId, 'SUCCEEDED')).rejects.toMatchObject({
      code: 'OPERATION_NOT_SETTLEABLE',
      message: expect.stringMatching(/undo of \w+ has begun/),
    });
    await settle(operationId, 'FAILED');
    await world.mendHypervisor();
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'FAILED' });
    expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', operation_id: null });
  },
  WITH_SETTLING * 2,
);

test(
  'a reconfigure that has not yet changed the schedule cannot have succeeded; one that was at it can, and a cleanup brings its schedule',
  async () => {
    const silver = await world.newPolicy('SILVER');
    const vmId = await world.deployed('untrue-3', [gold]);
    const { disks } = await world.vm(vmId);
    const reconfigure = async (cpu: number) => {
      const hardware = { cpu, memoryMiB: 2048, disks };
      const body = { hardware, backupPolicies: [{ policyId: silver, configurations: [] }] };
      return (await world.requests.reconfigure({ ...world.request(vmId), body })).operationId;
    };
    await world.breakHypervisor({
      method: 'PATCH',
      path: `/vms/${vmId}$`,
      when: 'before',
      times: 1,
      action: { hold: true },
    });
    const path = '/api/v1/groups/backup-groups$';
    await world.breakAvamar({ method: 'POST', path, when: 'before', action: { hold: true } });
    const operationId = await reconfigure(4);
    await world.hypervisorHolds();
    await triedForHours(operationId, 'RECONFIGURE');
    await expect(settle(operationId, 'SUCCEEDED')).rejects.toMatchObject({
      code: 'OPERATION_NOT_SETTLEABLE',
      message: expect.stringContaining('BACKUP_SCHEDULE was never begun'),
    });
    await world.mendHypervisor();
    await world.avamarHolds();
    await triedForHours(operationId, 'BACKUP_SCHEDULE');
    await settle(operationId, 'SUCCEEDED');
    await world.mendAvamar();
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'SUCCEEDED', needs_attention: true });
    expect(await world.vm(vmId)).toMatchObject({ cpu: 4, backup_policies: [{ policyId: silver }] });

    const cleanup = await world.requests.retryCleanup({ principal: world.principal, operationId });
    expect(await world.ended(cleanup.operationId, WITH_SETTLING)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await existingSchedules(world.db, vmId)).toMatchObject([
      { uncertain: false, schedule: { policies: [{ code: 'SILVER' }] } },
    ]);
  },
  WITH_SETTLING * 3,
);
