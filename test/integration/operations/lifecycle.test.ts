import { afterAll, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { DAILY, startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
let silver: string;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
  silver = await world.newPolicy('SILVER', [{ ...DAILY, time: { mode: 'fixed', value: '23:15' } }]);
});
afterAll(() => world.stop());

/** Names of what is ours in the backup system for that VM: groups and the times at which they run. */
async function schedulesInAvamar(vmId: string) {
  const groups = (await world.avamar('GET', '/groups?domain=/&recursive=true&size=500')).content;
  const schedules = (await world.avamar('GET', '/schedules?domain=/&inclusion=DESCENDANT&size=500')).content;
  return groups
    .filter((group: { name: string }) => group.name.includes(vmId))
    .map((group: { name: string; scheduleId: string }) => {
      const schedule = schedules.find((candidate: { id: string }) => candidate.id === group.scheduleId);
      return { name: group.name, at: schedule.startTime };
    });
}

test('an undeploy removes the schedule first, then the VM, and leaves nothing', async () => {
  const vmId = await world.deployed('gone-1', [gold]);
  const { operationId } = await world.requests.undeploy(world.request(vmId));
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await world.story(operationId)).toEqual([
    'BACKUP_SCHEDULE DONE',
    'POWER_OFF DONE',
    'DECONFIGURE DONE',
    'DEALLOCATE DONE',
  ]);
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
  expect(await schedulesInAvamar(vmId)).toEqual([]);
  expect(await existingSchedules(world.db, vmId)).toEqual([]);
  expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
});

test('an undeploy whose VM cannot be switched off puts the schedule back', async () => {
  const vmId = await world.deployed('stays-1', [gold]);
  const before = await schedulesInAvamar(vmId);
  await world.breakHypervisor({
    method: 'PUT',
    path: `/vms/${vmId}/power`,
    when: 'before',
    times: 1,
    action: { status: 409, body: { code: 'BUSY', message: 'the guest refuses to stop' } },
  });
  const { operationId } = await world.requests.undeploy(world.request(vmId));
  const operation = await world.ended(operationId);
  expect(operation).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'HYPERVISOR_REFUSED' } });
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
  expect(await schedulesInAvamar(vmId)).toEqual(before);
  expect(await existingSchedules(world.db, vmId)).toHaveLength(1);
});

test('a reconfigure changes hardware and policy together', async () => {
  const vmId = await world.deployed('grow-1', [gold]);
  const { operationId } = await world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: { cpu: 4, memoryMiB: 8192, disks: (await world.vm(vmId)).disks },
      backupPolicies: [{ policyId: silver, configurations: [] }],
    },
  });
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await world.story(operationId)).toEqual(['RECONFIGURE DONE', 'BACKUP_SCHEDULE DONE', 'COMMIT_DISKS SKIPPED']);
  expect(await world.vm(vmId)).toMatchObject({ cpu: 4, memory_mib: 8192, state: 'ON' });
  expect(await schedulesInAvamar(vmId)).toMatchObject([{ at: '23:15' }]);
});

test('a reconfigure whose schedule is refused puts back the previous hardware and the previous schedule', async () => {
  const vmId = await world.deployed('grow-2', [gold]);
  const before = await schedulesInAvamar(vmId);
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 1, message: 'no more groups' } },
  });
  const { operationId } = await world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: { cpu: 16, memoryMiB: 2048, disks: (await world.vm(vmId)).disks },
      backupPolicies: [{ policyId: silver, configurations: [] }],
    },
  });
  expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK' });
  expect(await world.story(operationId)).toEqual([
    'RECONFIGURE DONE/DONE',
    'BACKUP_SCHEDULE FAILED/DONE',
    'COMMIT_DISKS SKIPPED',
  ]);
  expect(await world.vm(vmId)).toMatchObject({ cpu: 2 });
  expect((await world.hypervisorVms()).find((vm) => vm.id === vmId)).toMatchObject({ cpu: 2 });
  expect(await schedulesInAvamar(vmId)).toEqual(before);
});

test('a reconfigure that changes nothing of the schedule does not touch the backup system', async () => {
  const vmId = await world.deployed('grow-3', [gold]);
  const { operationId } = await world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: { cpu: 3, memoryMiB: 2048, disks: (await world.vm(vmId)).disks },
      backupPolicies: [{ policyId: gold, configurations: [] }],
    },
  });
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await world.story(operationId)).toEqual([
    'RECONFIGURE DONE',
    'BACKUP_SCHEDULE SKIPPED',
    'COMMIT_DISKS SKIPPED',
  ]);
});

test('power goes off and on', async () => {
  const vmId = await world.deployed('power-1', []);
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  expect(await world.vm(vmId)).toMatchObject({ state: 'OFF' });
  await expect(world.requests.powerOff(world.request(vmId))).rejects.toMatchObject({ code: 'VM_STATE_NOT_ALLOWED' });
  await world.ended((await world.requests.powerOn(world.request(vmId))).operationId);
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
});

test('an answer that is lost is not asked for twice: each effect happens once', async () => {
  const vmId = await world.newVm('once-1', [gold]);
  await world.breakHypervisor({
    method: 'PUT',
    path: `/vms/${vmId}$`,
    when: 'after',
    times: 1,
    action: { drop: true },
  });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  // The next attempt waits until the lost write can have no further effect: 25 s.
  const operation = await world.ended(operationId, 60_000);
  expect(operation.state).toBe('SUCCEEDED');
  const effects = (await world.hypervisorEffects()).filter((effect) => effect.id === vmId).map((effect) => effect.kind);
  expect(effects).toEqual(['allocate', 'configure', 'power']);
}, 90_000);

test('what cannot be undone is named as residue, and the VM can be undeployed from there', async () => {
  const vmId = await world.newVm('residue-1', [gold]);
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 1, message: 'no' } },
  });
  await world.breakHypervisor({
    method: 'DELETE',
    path: `/vms/${vmId}$`,
    when: 'before',
    action: { status: 503, body: { code: 'DOWN', message: 'maintenance' } },
  });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK_WITH_RESIDUE', needs_attention: true });
  expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', operation_id: null });
  const residue = await world.db.selectFrom('residue').selectAll().where('operation_id', '=', operationId).execute();
  expect(residue.map((row) => row.description)).toContain('residue-1 may be left in dc-madrid, switched off');

  await world.mendHypervisor();
  const again = await world.requests.undeploy(world.request(vmId));
  expect((await world.ended(again.operationId)).state).toBe('SUCCEEDED');
  expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
  const left = await world.db.selectFrom('residue').selectAll().where('vm_id', '=', vmId).execute();
  expect(left.every((row) => row.cleared_at !== null)).toBe(true);
});

test('a deploy that is cancelled in the Temporal UI undoes what it had done and ends CANCELLED', async () => {
  const vmId = await world.newVm('cancel-1', [gold]);
  await world.breakAvamar({ path: '/api/v1/virtualcenters', when: 'before', action: { delayMs: 400 } });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await until(
    'the last step runs',
    () => world.story(operationId),
    (story) => story.includes('BACKUP_SCHEDULE RUNNING'),
  );
  const { workflow_id: workflowId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId).cancel();
  const operation = await world.ended(operationId, 60_000);
  await world.mendAvamar();
  expect(operation).toMatchObject({ state: 'CANCELLED', error: { code: 'CANCELLED' } });
  expect((await world.story(operationId)).slice(0, 3)).toEqual([
    'ALLOCATE DONE/DONE',
    'CONFIGURE DONE/DONE',
    'POWER_ON DONE/DONE',
  ]);
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
  expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
  expect(await schedulesInAvamar(vmId)).toEqual([]);
}, 90_000);
