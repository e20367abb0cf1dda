import { afterAll, beforeAll, expect, test } from 'vitest';
import { HoldfastError } from '../../../domain/errors.ts';
import { startWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

const groups = async () =>
  (await world.avamar('GET', '/groups?domain=/&recursive=true&size=500')).content.filter((group: { name: string }) =>
    group.name.startsWith('holdfast'),
  );

test('a deploy makes the VM and its backup schedule, and ends SUCCEEDED', async () => {
  const vmId = await world.newVm('web-1', [await world.newPolicy('GOLD')]);
  const { operationId } = await world.requests.deploy({ principal: world.principal, vmId, body: {} });
  const operation = await world.ended(operationId);

  expect(operation).toMatchObject({ state: 'SUCCEEDED', error: null, progress: 100 });
  expect(await world.story(operationId)).toEqual([
    'ALLOCATE DONE',
    'CONFIGURE DONE',
    'POWER_ON DONE',
    'BACKUP_SCHEDULE DONE',
  ]);
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
  expect((await world.hypervisorVms()).map(({ id, power }) => ({ id, power }))).toContainEqual({
    id: vmId,
    power: 'ON',
  });
  expect(await groups()).toHaveLength(1);
});

test('a schedule that the backup system refuses rolls the deploy back: nothing is left anywhere', async () => {
  const vmId = await world.newVm('web-2', [await world.newPolicy('SILVER')]);
  const before = await groups();
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 22234, message: 'The policy quota is exhausted.' } },
  });
  const { operationId } = await world.requests.deploy({ principal: world.principal, vmId, body: {} });
  const operation = await world.ended(operationId);

  expect(operation.state).toBe('ROLLED_BACK');
  expect(operation.error).toMatchObject({ code: 'BACKUP_SYSTEM_REFUSED' });
  expect(operation.error?.vendorMessage).toContain('quota is exhausted');
  expect(await world.story(operationId)).toEqual([
    'ALLOCATE DONE/DONE',
    'CONFIGURE DONE/DONE',
    'POWER_ON DONE/DONE',
    'BACKUP_SCHEDULE FAILED/DONE',
  ]);
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
  expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
  expect(await groups()).toEqual(before);
});

test('two deploys of one VM at once: one begins, the other is told who holds the VM', async () => {
  const vmId = await world.newVm('web-3', []);
  const deploy = () => world.requests.deploy({ principal: world.principal, vmId, body: {} });
  const [first, second] = await Promise.allSettled([deploy(), deploy()]);
  const [winner, loser] = first.status === 'fulfilled' ? [first, second] : [second, first];

  if (winner.status !== 'fulfilled' || loser.status !== 'rejected') throw new Error('exactly one should begin');
  expect(loser.reason).toBeInstanceOf(HoldfastError);
  expect(loser.reason).toMatchObject({
    code: 'VM_LOCKED',
    extra: { holder: { operationId: winner.value.operationId, kind: 'DEPLOY', requestedBy: 'platform' } },
  });
  expect((await world.ended(winner.value.operationId)).state).toBe('SUCCEEDED');
});

test('the same Idempotency-Key twice is the same operation, also at the same moment', async () => {
  const vmId = await world.newVm('web-4', []);
  const idempotency = { key: 'k1', route: 'POST /deploy', requestHash: 'h1' };
  const deploy = () => world.requests.deploy({ principal: world.principal, vmId, body: {}, idempotency });
  const [first, second] = await Promise.all([deploy(), deploy()]);
  expect(second.operationId).toBe(first.operationId);
  expect(first.repeated).toBe(!second.repeated);
  await world.ended(first.operationId);
  expect((await deploy()).operationId).toBe(first.operationId);
  await expect(
    world.requests.deploy({
      principal: world.principal,
      vmId,
      body: {},
      idempotency: { ...idempotency, requestHash: 'h2' },
    }),
  ).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
});
