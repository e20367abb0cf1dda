/** What must stay true when something fails at the worst moment. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 2 });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());
beforeEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const power = async (vmId: string) => (await world.hypervisorVms()).find((vm) => vm.id === vmId)?.power;

async function terminate(operationId: string): Promise<void> {
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId, runId ?? '').terminate('by an operator');
}

test('a write without an answer is waited for before its undo: what the record says is what is there', async () => {
  const vmId = await world.deployed('truth-1', []);
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  // Longer than a call is waited for: the write arrives after it was given up.
  await world.breakHypervisor({
    method: 'PUT',
    path: `/vms/${vmId}/power`,
    when: 'before',
    times: 1,
    action: { delayMs: 23_000 },
  });
  const { operationId } = await world.requests.powerOn(world.request(vmId));
  const operation = await world.ended(operationId, 80_000);
  expect(operation.state).toBe('ROLLED_BACK');
  // Whatever was on its way has arrived: it stays as the record says.
  expect(await power(vmId)).toBe((await world.vm(vmId)).state);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  expect(await power(vmId)).toBe((await world.vm(vmId)).state);
}, 120_000);

test('the lock of a lost run is freed only when its last write has settled', async () => {
  const vmId = await world.deployed('truth-2', []);
  await world.breakHypervisor({
    method: 'PUT',
    path: `/vms/${vmId}/power`,
    when: 'before',
    times: 1,
    action: { delayMs: 6_000 },
  });
  const { operationId } = await world.requests.powerOff(world.request(vmId));
  await until(
    'the write is on its way',
    () =>
      world.db
        .selectFrom('step')
        .select('write_permitted_at')
        .where('operation_id', '=', operationId)
        .executeTakeFirstOrThrow(),
    (step) => step.write_permitted_at !== null,
  );
  await terminate(operationId);
  await world.reconcile(true);
  expect(await world.vm(vmId)).toMatchObject({ operation_id: operationId });
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'ROLLED_BACK' });
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
  expect(await power(vmId)).toBe('ON');
}, 90_000);

test('a start without an answer whose run was lost is found by the recovery: one backup, not two', async () => {
  const vmId = await world.deployed('truth-3', [gold]);
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/clients/[^/]+/backup$',
    when: 'after',
    times: 1,
    action: { drop: true },
  });
  await world.backupsTake(6);
  const { operationId } = await world.requests.backup(world.request(vmId));
  // Claimed is not enough: what was claimed and not sent has begun nothing, and would be undone.
  await until(
    'the answer was lost',
    () => world.avamarFaults(),
    (faults) => faults === 0,
  );
  await terminate(operationId);
  await world.reconcile(true);
  expect(await world.ended(operationId, 80_000)).toMatchObject({ state: 'SUCCEEDED', recovery: 1 });
  const results = await world.db.selectFrom('backup_result').select('status').where('vm_id', '=', vmId).execute();
  expect(results).toEqual([{ status: 'SUCCEEDED' }]);
}, 150_000);

test('one backup that cannot be read does not keep other machines locked', async () => {
  const [one, other] = [await world.deployed('truth-4a', [gold]), await world.deployed('truth-4b', [gold])];
  const ref = await world.db
    .selectFrom('vm_reference')
    .select('ref')
    .where('vm_id', '=', one)
    .where('system', '=', 'BACKUP_SYSTEM')
    .executeTakeFirstOrThrow();
  await world.breakAvamar({ path: `/clients/${ref.ref}/backups`, when: 'before', action: { status: 500 } });
  const [first, second] = await Promise.all([
    world.requests.backup(world.request(one)),
    world.requests.backup(world.request(other)),
  ]);
  expect(await world.ended(second.operationId)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await world.ended(first.operationId)).toMatchObject({ state: 'SUCCEEDED' });
}, 90_000);

test('a schedule that a lost run had begun to remove is put back by the recovery', async () => {
  const vmId = await world.deployed('truth-5', [gold]);
  const { disks } = await world.vm(vmId);
  const hardware = { cpu: 2, memoryMiB: 2048, disks };
  await world.breakAvamar({
    method: 'DELETE',
    path: '/api/v1/schedules/',
    when: 'before',
    action: { status: 503 },
  });
  const { operationId } = await world.requests.reconfigure({
    ...world.request(vmId),
    body: { hardware, backupPolicies: [] },
  });
  await until(
    'the group is gone',
    async () => (await world.avamar('GET', '/groups?domain=/&recursive=true&size=500')).content,
    (groups: { name: string }[]) => !groups.some((group) => group.name.includes(vmId)),
  );
  await terminate(operationId);
  await world.mendAvamar();
  await world.reconcile(true);
  expect(await world.ended(operationId, 80_000)).toMatchObject({ state: 'ROLLED_BACK', recovery: 1 });
  const { content } = await world.avamar('GET', '/groups?domain=/&recursive=true&size=500');
  expect(content.filter((group: { name: string }) => group.name.includes(vmId))).toHaveLength(1);
}, 150_000);

test('a renamed manager has one watch and one expiry check', async () => {
  await world.deployed('truth-6', [gold]);
  const watches = async () => {
    const found: string[] = [];
    const query = "WorkflowType = 'watchManager' AND ExecutionStatus = 'Running'";
    for await (const run of world.client.workflow.list({ query })) found.push(run.workflowId);
    return found.filter((id) => id.endsWith(world.managerId.slice(-8)));
  };
  await until('it is watched', watches, (ids) => ids.length === 1);
  await world.db.updateTable('backup_manager').set({ name: 'renamed' }).where('id', '=', world.managerId).execute();
  await until(
    'it is watched under its new name',
    watches,
    (ids) => ids.length === 1 && ids[0]?.includes('renamed') === true,
  );
});
