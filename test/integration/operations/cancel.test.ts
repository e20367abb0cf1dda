/** Cancelling at several moments of each kind of operation: what was promised is what becomes of it, everywhere. */
import type { Client } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createOperationRequests } from '../../../api/operation-requests.ts';
import { existingSchedules } from '../../../db/operation-context.ts';
import { startWorld, until, type World } from './world.ts';

/** An undo waits until a write that was broken off can have no more effect: 25 s. Milliseconds. */
const WITH_SETTLING = 60_000;

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());
beforeEach(() => world.backupsTake(1));
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const cancel = (operationId: string) => world.requests.cancel({ principal: world.principal, operationId });
const machine = async (vmId: string) => (await world.hypervisorVms()).find(({ id }) => id === vmId);
const effects = async (vmId: string) =>
  (await world.hypervisorEffects()).filter(({ id }) => id === vmId).map(({ kind }) => kind);

/** The requests of an API that cannot reach Temporal. */
function cutOff() {
  return createOperationRequests({
    ...world.deps,
    periodicTaskQueue: 'none',
    temporal: {
      connection: { withDeadline: () => Promise.reject(new Error('Temporal is away')) },
    } as unknown as Client,
  });
}

describe('before a run has taken it up', () => {
  test('while Temporal is away: it ends at once, the VM is free, and it is never started', async () => {
    const vmId = await world.newVm('early-1', [gold]);
    const requests = cutOff();
    const { operationId } = await requests.deploy(world.request(vmId));
    expect(await requests.cancel({ principal: world.principal, operationId })).toMatchObject({ decision: 'PREVENTED' });
    expect(await world.operation(operationId)).toMatchObject({ state: 'CANCELLED', run_id: null });
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
    await world.reconcile(true);
    expect(await world.operation(operationId)).toMatchObject({ state: 'CANCELLED', run_id: null });
    expect(await effects(vmId)).toEqual([]);
  });

  test('a run that was started and begins later does nothing', async () => {
    await world.stopWorker();
    const vmId = await world.newVm('early-2', [gold]);
    const { operationId } = await world.requests.deploy(world.request(vmId));
    expect(await cancel(operationId)).toMatchObject({ decision: 'PREVENTED' });
    await world.startWorker();
    expect(await world.runFailure(operationId)).toContain('FENCED');
    expect(await effects(vmId)).toEqual([]);
    expect(await cancel(operationId)).toMatchObject({ decision: 'PREVENTED' });
  });
});

describe('a deploy', () => {
  test.each([
    ['CONFIGURE', 'early', { method: 'PUT', path: '/vms/[^/]+$' }],
    ['POWER_ON', 'late', { method: 'PUT', path: '/power$' }],
  ] as const)(
    'at %s undoes everything',
    async (_step, name, request) => {
      const vmId = await world.newVm(`deploy-${name}`, [gold]);
      await world.breakHypervisor({ ...request, when: 'after', times: 1, action: { hold: true } });
      const { operationId } = await world.requests.deploy(world.request(vmId));
      await world.hypervisorHolds();
      expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
      await world.mendHypervisor();
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({
        state: 'CANCELLED',
        error: { code: 'CANCELLED' },
        cancel_requested_by: 'platform',
      });
      expect(await machine(vmId)).toBeUndefined();
      expect(await world.groups(vmId)).toEqual([]);
      expect(await world.residue(operationId)).toEqual([]);
      expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
      expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
    },
    WITH_SETTLING * 1.5,
  );

  test(
    'at BACKUP_SCHEDULE undoes everything, also when the run was not told by the request',
    async () => {
      const vmId = await world.newVm('deploy-schedule', [gold]);
      await world.breakAvamar({ path: '/api/v1/groups', when: 'before', times: 1, action: { hold: true } });
      const { operationId } = await world.requests.deploy(world.request(vmId));
      await world.avamarHolds();
      expect(await cutOff().cancel({ principal: world.principal, operationId })).toMatchObject({
        decision: 'ROLLING_BACK',
      });
      await world.reconcile();
      await world.mendAvamar();
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'CANCELLED' });
      expect(await machine(vmId)).toBeUndefined();
      expect(await world.groups(vmId)).toEqual([]);
    },
    WITH_SETTLING * 1.5,
  );
});

describe('a reconfigure', () => {
  test(
    'before its point of no return puts back hardware and schedule',
    async () => {
      const vmId = await world.deployed('grow-1', [gold]);
      const before = [await machine(vmId), await world.groups(vmId)];
      await world.breakHypervisor({
        method: 'PATCH',
        path: `/vms/${vmId}$`,
        when: 'after',
        times: 1,
        action: { hold: true },
      });
      const { operationId } = await world.requests.reconfigure({
        ...world.request(vmId),
        body: {
          hardware: { cpu: 8, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 40 }] },
          backupPolicies: [],
        },
      });
      await world.hypervisorHolds();
      expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
      await world.mendHypervisor();
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'CANCELLED' });
      expect([await machine(vmId), await world.groups(vmId)]).toEqual(before);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', cpu: 2, backup_policies: [{ policyId: gold }] });
    },
    WITH_SETTLING * 1.5,
  );

  test('at COMMIT_DISKS it is too late', async () => {
    const vmId = await world.deployed('grow-2', []);
    const { disks } = await world.vm(vmId);
    const grown = disks.map((disk) => ({ ...disk, sizeGiB: disk.sizeGiB + 10 }));
    await world.breakHypervisor({
      method: 'PATCH',
      path: `/vms/${vmId}$`,
      body: '"sizeGiB":60',
      when: 'after',
      times: 1,
      action: { hold: true },
    });
    const { operationId } = await world.requests.reconfigure({
      ...world.request(vmId),
      body: { hardware: { cpu: 2, memoryMiB: 2048, disks: grown }, backupPolicies: [] },
    });
    await world.hypervisorHolds();
    expect(await cancel(operationId)).toMatchObject({ decision: 'TOO_LATE' });
    await world.mendHypervisor();
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', cancel_requested_at: null });
    expect(await world.vm(vmId)).toMatchObject({ disks: grown });
  });
});

describe('an undeploy', () => {
  test(
    'before its point of no return puts back power and schedule',
    async () => {
      const vmId = await world.deployed('gone-1', [gold]);
      const before = await world.groups(vmId);
      await world.breakHypervisor({ method: 'PUT', path: '/power$', when: 'after', times: 1, action: { hold: true } });
      const { operationId } = await world.requests.undeploy(world.request(vmId));
      await world.hypervisorHolds();
      expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
      await world.mendHypervisor();
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'CANCELLED' });
      expect(await machine(vmId)).toMatchObject({ power: 'ON' });
      expect(await world.groups(vmId)).toEqual(before);
      expect(await existingSchedules(world.db, vmId)).toMatchObject([{ uncertain: false }]);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
    },
    WITH_SETTLING * 1.5,
  );

  test('once the VM is being destroyed it is too late, also in the Temporal UI', async () => {
    const vmId = await world.deployed('gone-2', [gold]);
    await world.breakHypervisor({
      method: 'DELETE',
      path: `/vms/${vmId}$`,
      when: 'after',
      times: 1,
      action: { hold: true },
    });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    await world.hypervisorHolds();
    expect(await cancel(operationId)).toMatchObject({ decision: 'TOO_LATE' });
    const { workflow_id: workflowId } = await world.operation(operationId);
    await world.client.workflow.getHandle(workflowId).cancel();
    await world.mendHypervisor();
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', cancel_requested_at: null });
    expect(await cancel(operationId)).toMatchObject({
      decision: 'TOO_LATE',
      reason: expect.stringContaining('SUCCEEDED'),
    });
  });
});

test(
  'a power-off leaves the VM on',
  async () => {
    const vmId = await world.deployed('power-1', []);
    await world.breakHypervisor({ method: 'PUT', path: '/power$', when: 'after', times: 1, action: { hold: true } });
    const { operationId } = await world.requests.powerOff(world.request(vmId));
    await world.hypervisorHolds();
    expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
    await world.mendHypervisor();
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'CANCELLED' });
    expect(await machine(vmId)).toMatchObject({ power: 'ON' });
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
  },
  WITH_SETTLING * 1.5,
);

test('a backup that runs is stopped in the backup system', async () => {
  const vmId = await world.deployed('backup-1', [gold]);
  await world.backupsTake(60);
  const { operationId } = await world.requests.backup(world.request(vmId));
  await until(
    'it runs',
    () => world.story(operationId),
    (story) => story.includes('WATCH RUNNING'),
  );
  expect(await cancel(operationId)).toMatchObject({ decision: 'ROLLING_BACK' });
  expect(await world.ended(operationId)).toMatchObject({ state: 'CANCELLED' });
  const [result] = await world.db.selectFrom('backup_result').selectAll().where('vm_id', '=', vmId).execute();
  expect(result).toMatchObject({ status: 'CANCELLED' });
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
});

test('a backup that has finished is not cancelled', async () => {
  const vmId = await world.deployed('backup-2', [gold]);
  const { operationId } = await world.requests.backup(world.request(vmId));
  await world.ended(operationId);
  expect(await cancel(operationId)).toMatchObject({ decision: 'TOO_LATE' });
  expect(await world.operation(operationId)).toMatchObject({ state: 'SUCCEEDED', cancel_requested_at: null });
});

test('what the backup system began by itself goes on', async () => {
  const vmId = await world.deployed('scheduled-1', [gold]);
  await world.backupsTake(8);
  const { content } = await world.avamar('GET', '/groups?domain=/&recursive=true&size=500');
  const group = content.find((candidate: { name: string }) => candidate.name.includes(vmId));
  await world.avamar('POST', `/schedules/run/${encodeURIComponent(group.scheduleId)}`);
  const { operation_id: id } = await until(
    'the VM is locked',
    () => world.vm(vmId),
    (vm) => vm.operation_id !== null,
  );
  const operationId = id ?? '';
  expect(await cancel(operationId)).toMatchObject({ decision: 'CANCEL_NOT_SUPPORTED' });
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', cancel_requested_at: null });
});

test('a restore that has begun goes on, also when its run is cancelled in the Temporal UI', async () => {
  const vmId = await world.deployed('restore-1', [gold]);
  await world.ended((await world.requests.backup(world.request(vmId))).operationId);
  const { id: resultId } = await world.db
    .selectFrom('backup_result')
    .select('id')
    .where('vm_id', '=', vmId)
    .executeTakeFirstOrThrow();
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  await world.backupsTake(5);
  const { operationId } = await world.requests.restore({ principal: world.principal, resultId, body: {} });
  await until(
    'it runs',
    () => world.story(operationId),
    (story) => story.includes('WATCH RUNNING'),
  );
  expect(await cancel(operationId)).toMatchObject({ decision: 'CANCEL_NOT_SUPPORTED' });
  const { workflow_id: workflowId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId).cancel();
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', cancel_requested_at: null });
});

test('a restore whose run is cancelled before it has begun anything ends CANCELLED', async () => {
  const vmId = await world.deployed('restore-2', [gold]);
  await world.ended((await world.requests.backup(world.request(vmId))).operationId);
  const { id: resultId } = await world.db
    .selectFrom('backup_result')
    .select('id')
    .where('vm_id', '=', vmId)
    .executeTakeFirstOrThrow();
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  // While the backup systems are asked whether one of them works on the VM.
  await world.breakAvamar({ method: 'GET', path: '/activities', when: 'before', action: { hold: true } });
  const { operationId } = await world.requests.restore({ principal: world.principal, resultId, body: {} });
  await until(
    'it is taken up',
    () => world.operation(operationId),
    (row) => row.state === 'RUNNING',
  );
  const { workflow_id: workflowId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId).cancel();
  expect(await world.ended(operationId)).toMatchObject({ state: 'CANCELLED', error: { code: 'CANCELLED' } });
  expect(await world.story(operationId)).toContain('REQUEST_RESTORE PENDING');
});
