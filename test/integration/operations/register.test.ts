import { afterAll, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { startWorld, type World } from './world.ts';

const HARDWARE = {
  cpu: 3,
  memoryMiB: 6144,
  disks: [
    { label: 'root', sizeGiB: 40 },
    { label: 'mail', sizeGiB: 300 },
  ],
};

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());

function send(method: string, path: string, body: unknown): Promise<Response> {
  return fetch(`${world.hypervisorUrl}${path}`, { method, body: JSON.stringify(body) });
}

/** A machine that runs in the hypervisor and that nobody manages. @returns its reference. */
async function unmanaged(): Promise<string> {
  const made = (await (await send('POST', '/morefs', { name: 'old-mail', ...HARDWARE })).json()) as { moref: string };
  await send('PUT', `/morefs/${made.moref}/power`, { state: 'ON' });
  return made.moref;
}

async function machine(ref: string): Promise<unknown> {
  return (await fetch(`${world.hypervisorUrl}/morefs/${ref}`)).json();
}

function register(name: string, hypervisorRef: string, key?: string) {
  return world.requests.register({
    principal: world.principal,
    body: { name, enterpriseId: world.enterpriseId, datacenterId: world.datacenterId, hypervisorRef },
    ...(key === undefined ? {} : { idempotency: { key, route: 'POST /v1/virtual-machines', requestHash: name } }),
  });
}

async function vmOf(operationId: string) {
  return world.vm((await world.operation(operationId)).vm_id);
}

test('a machine that runs is registered as it is, gets its first policy by a reconfigure, and can be undeployed', async () => {
  const ref = await unmanaged();
  const { operationId } = await register('mail-1', ref);
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', kind: 'REGISTER' });
  expect(await world.story(operationId)).toEqual(['REGISTER DONE']);
  const vm = await vmOf(operationId);
  expect(vm).toMatchObject({
    state: 'ON',
    cpu: 3,
    memory_mib: 6144,
    disks: HARDWARE.disks,
    backup_policies: [],
    operation_id: null,
    deleted_at: null,
  });
  expect(await machine(ref)).toMatchObject({ id: vm.id, name: 'old-mail', power: 'ON', disks: HARDWARE.disks });
  expect(await existingSchedules(world.db, vm.id)).toEqual([]);

  const body = { hardware: { ...HARDWARE, cpu: 4 }, backupPolicies: [{ policyId: gold, configurations: [] }] };
  const reconfigured = await world.requests.reconfigure({ ...world.request(vm.id), body });
  expect((await world.ended(reconfigured.operationId)).state).toBe('SUCCEEDED');
  expect(await existingSchedules(world.db, vm.id)).toHaveLength(1);
  expect(await machine(ref)).toMatchObject({ cpu: 4 });

  const undeployed = await world.requests.undeploy(world.request(vm.id));
  expect((await world.ended(undeployed.operationId)).state).toBe('SUCCEEDED');
  expect(await world.vm(vm.id)).toMatchObject({ state: 'NOT_ALLOCATED', disks: HARDWARE.disks });
  expect((await world.hypervisorVms()).map(({ moref }) => moref)).not.toContain(ref);
  expect(await existingSchedules(world.db, vm.id)).toEqual([]);
});

test('a registered machine is backed up, restored, and deployed again like any other', async () => {
  const ref = await unmanaged();
  const { operationId } = await register('mail-2', ref);
  await world.ended(operationId);
  const { id: vmId } = await vmOf(operationId);
  const content = (text: string) => send('PUT', `/vms/${vmId}/disks/mail/content`, { content: text });
  const after = async (requested: Promise<{ operationId: string }>) => {
    const ended = await world.ended((await requested).operationId);
    expect(ended).toMatchObject({ state: 'SUCCEEDED', error: null });
  };
  const body = { hardware: HARDWARE, backupPolicies: [{ policyId: gold, configurations: [] }] };
  await after(world.requests.reconfigure({ ...world.request(vmId), body }));
  await content('precious');
  await after(world.requests.backup(world.request(vmId)));
  await content('destroyed');
  await after(world.requests.powerOff(world.request(vmId)));
  const { id: resultId } = await world.db
    .selectFrom('backup_result')
    .select('id')
    .where('vm_id', '=', vmId)
    .executeTakeFirstOrThrow();
  await after(world.requests.restore({ principal: world.principal, resultId, body: {} }));
  const disks = [{ label: 'root' }, { label: 'mail', content: 'precious' }];
  expect(await machine(ref)).toMatchObject({ id: vmId, disks });

  await after(world.requests.undeploy(world.request(vmId)));
  await after(world.requests.deploy(world.request(vmId)));
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON', cpu: 3, memory_mib: 6144, disks: HARDWARE.disks });
  expect((await world.hypervisorVms()).filter(({ id }) => id === vmId)).toHaveLength(1);
});

test('a reference that the hypervisor does not know leaves no virtual machine behind', async () => {
  const { operationId } = await register('nobody-1', 'vm-0');
  expect(await world.ended(operationId)).toMatchObject({
    state: 'ROLLED_BACK',
    error: { code: 'HYPERVISOR_VM_NOT_FOUND' },
  });
  expect(await world.story(operationId)).toEqual(['REGISTER FAILED/DONE']);
  const vm = await vmOf(operationId);
  expect(vm.deleted_at).not.toBeNull();
  expect(vm.operation_id).toBeNull();
  // Its name is free again.
  const again = await register('nobody-1', await unmanaged());
  expect((await world.ended(again.operationId)).state).toBe('SUCCEEDED');
});

test('a machine that bears another mark is refused and stays as it is', async () => {
  const ref = await unmanaged();
  await send('PUT', `/morefs/${ref}/identity`, { id: 'somebody-else' });
  const before = await machine(ref);
  const { operationId } = await register('taken-1', ref);
  expect(await world.ended(operationId)).toMatchObject({
    state: 'ROLLED_BACK',
    error: { code: 'HYPERVISOR_VM_IN_USE' },
  });
  expect(await machine(ref)).toEqual(before);
  expect((await vmOf(operationId)).deleted_at).not.toBeNull();
});

test('of two requests for one machine one wins; a registered machine is not registered again', async () => {
  const ref = await unmanaged();
  const answers = await Promise.allSettled([register('twin-1', ref), register('twin-2', ref)]);
  const accepted = answers.filter((answer) => answer.status === 'fulfilled');
  const refused = answers.filter((answer) => answer.status === 'rejected');
  expect([accepted.length, refused.length]).toEqual([1, 1]);
  const problem = { code: 'HYPERVISOR_VM_IN_USE', problems: [{ pointer: '/hypervisorRef' }] };
  expect(refused[0]?.reason).toMatchObject(problem);
  expect((await world.ended(accepted[0]?.value.operationId ?? '')).state).toBe('SUCCEEDED');
  await expect(register('twin-3', ref)).rejects.toMatchObject(problem);
  const names = await world.db.selectFrom('virtual_machine').select('name').where('name', 'like', 'twin-%').execute();
  expect(names).toHaveLength(1);
});

test('the same key registers once', async () => {
  const ref = await unmanaged();
  const first = await register('key-1', ref, 'k');
  expect(await register('key-1', ref, 'k')).toEqual({ operationId: first.operationId, repeated: true });
  await expect(register('key-2', ref, 'k')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  expect((await world.ended(first.operationId)).state).toBe('SUCCEEDED');
});

test('a registration that is cancelled while its answer is on its way gives the machine back', async () => {
  const ref = await unmanaged();
  await world.breakHypervisor({
    method: 'PUT',
    path: `/morefs/${ref}/identity`,
    when: 'after',
    times: 1,
    action: { delayMs: 1_500 },
  });
  const { operationId } = await register('cancelled-1', ref);
  const { workflow_id: workflowId } = await world.operation(operationId);
  await expect.poll(async () => ((await machine(ref)) as { id: string | null }).id, { timeout: 20_000 }).not.toBeNull();
  await world.client.workflow.getHandle(workflowId).cancel();
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'CANCELLED' });
  expect(await machine(ref)).toMatchObject({ id: null, power: 'ON' });
  expect((await vmOf(operationId)).deleted_at).not.toBeNull();
}, 90_000);
