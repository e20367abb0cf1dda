/** Policies of one VM in two backup systems: both have its schedule, or neither. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { startWorld, type World } from './world.ts';

let world: World;
let second: Awaited<ReturnType<World['newAvamar']>>;
let gold: string;
let vault: string;
beforeAll(async () => {
  world = await startWorld();
  second = await world.newAvamar('avamar-2');
  gold = await world.newPolicy('GOLD');
  vault = await world.newPolicy('VAULT', undefined, second.managerId);
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await second.mend();
});

const namesIn = async (console: World['avamar'], vmId: string): Promise<string[]> =>
  (await console('GET', '/groups?domain=/&recursive=true&size=500')).content
    .map((group: { name: string }) => group.name)
    .filter((name: string) => name.includes(vmId));
const groups = async (vmId: string) => ({
  first: (await namesIn(world.avamar, vmId)).length,
  second: (await namesIn(second.console, vmId)).length,
});
const REFUSED = {
  method: 'POST',
  path: '/api/v1/groups/backup-groups$',
  when: 'before',
  times: 1,
  action: { status: 400, body: { code: 22234, message: 'The policy quota is exhausted.' } },
} as const;

test('a deploy makes both schedules, an undeploy removes both', async () => {
  const vmId = await world.deployed('both-1', [gold, vault]);
  expect(await groups(vmId)).toEqual({ first: 1, second: 1 });
  const { operationId } = await world.requests.undeploy(world.request(vmId));
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await groups(vmId)).toEqual({ first: 0, second: 0 });
  expect(await existingSchedules(world.db, vmId)).toEqual([]);
});

test('what the second refuses is removed from the first, and the VM with it', async () => {
  const vmId = await world.newVm('both-2', [gold, vault]);
  await second.break(REFUSED);
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect(await world.ended(operationId)).toMatchObject({
    state: 'ROLLED_BACK',
    error: { code: 'BACKUP_SYSTEM_REFUSED' },
  });
  expect((await world.story(operationId)).slice(3)).toEqual([
    'BACKUP_SCHEDULE DONE/DONE',
    'BACKUP_SCHEDULE FAILED/DONE',
  ]);
  expect(await groups(vmId)).toEqual({ first: 0, second: 0 });
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
});

test('a reconfigure that the second refuses leaves the first as it was', async () => {
  const vmId = await world.deployed('both-3', [gold]);
  const before = await existingSchedules(world.db, vmId);
  await second.break(REFUSED);
  const { disks } = await world.vm(vmId);
  const { operationId } = await world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: { cpu: 2, memoryMiB: 2048, disks },
      backupPolicies: [gold, vault].map((policyId) => ({ policyId, configurations: [] })),
    },
  });
  expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK' });
  expect(await groups(vmId)).toEqual({ first: 1, second: 0 });
  expect(await existingSchedules(world.db, vmId)).toEqual(before);
});

test('a forced undeploy past one dead backup system cleans the other', async () => {
  const vmId = await world.deployed('both-4', [gold, vault]);
  await second.break({ path: '/', when: 'before', action: { status: 503 } });
  const { operationId } = await world.requests.undeploy({ ...world.request(vmId), body: { forceUndeploy: true } });
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED', needs_attention: true });
  expect(await world.residue(operationId)).toMatchObject([{ manager_id: second.managerId }]);
  await second.mend();
  expect(await groups(vmId)).toEqual({ first: 0, second: 1 });
  const cleanup = await world.requests.retryCleanup({ principal: world.principal, operationId });
  expect(await world.ended(cleanup.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await groups(vmId)).toEqual({ first: 0, second: 0 });
}, 120_000);
