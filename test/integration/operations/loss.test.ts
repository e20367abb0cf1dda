import type { Client } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOperationRequests } from '../../../api/operation-requests.ts';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 2 });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());

test('an operation whose start never reached Temporal is started by the reconciler', async () => {
  const vmId = await world.newVm('late-1', [gold]);
  const unreachable = createOperationRequests({
    ...world.deps,
    periodicTaskQueue: 'none',
    temporal: {
      connection: { withDeadline: () => Promise.reject(new Error('Temporal is away')) },
    } as unknown as Client,
  });
  const { operationId } = await unreachable.deploy(world.request(vmId));
  expect(await world.operation(operationId)).toMatchObject({ state: 'REQUESTED', run_id: null });
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
});

test('a run that is terminated before it began anything ends its operation, and the VM is free', async () => {
  await world.stopWorker();
  const vmId = await world.newVm('late-2', []);
  const { operationId } = await world.requests.deploy(world.request(vmId));
  const { workflow_id: workflowId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId).terminate('by an operator');
  await world.startWorker();
  expect(await world.ended(operationId)).toMatchObject({ state: 'FAILED', error: { code: 'RUN_LOST' } });
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
});

test('an operation that could not be started in time ends FAILED and frees the VM', async () => {
  await world.stopWorker();
  const vmId = await world.newVm('late-3', []);
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await world.db
    .updateTable('operation')
    .set({ created_at: new Date(Date.now() - 16 * 60_000) })
    .where('id', '=', operationId)
    .execute();
  await world.reconcile();
  expect(await world.operation(operationId)).toMatchObject({
    state: 'FAILED',
    error: { code: 'NOT_STARTED_IN_TIME' },
    run_id: null,
  });
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });

  // The run that is still in Temporal finds its operation closed and does nothing.
  await world.startWorker();
  const { workflow_id: workflowId } = await world.operation(operationId);
  await expect(world.client.workflow.getHandle(workflowId).result()).rejects.toThrow();
  expect((await world.hypervisorEffects()).filter((effect) => effect.id === vmId)).toEqual([]);
});

test('a worker that stops in the middle hands its operation to the next one', async () => {
  const vmId = await world.newVm('handover-1', [gold]);
  await world.breakAvamar({
    method: 'GET',
    path: '/api/v1/virtualcenters$',
    when: 'before',
    times: 3,
    action: { delayMs: 300 },
  });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await until(
    'it runs',
    () => world.operation(operationId),
    (row) => row.state === 'RUNNING',
  );
  await world.stopWorker();
  await world.startWorker();
  expect((await world.ended(operationId, 60_000)).state).toBe('SUCCEEDED');
  const effects = (await world.hypervisorEffects()).filter((effect) => effect.id === vmId).map((effect) => effect.kind);
  expect(effects).toEqual(['allocate', 'configure', 'power']);
}, 90_000);
