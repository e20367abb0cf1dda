/** What operations leave behind, and how it goes: by a cleanup, or by an operation that makes it part of the VM. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { startWorld, type World } from './world.ts';

const PATIENCE = 60_000;

let world: World;
let gold: string;
let silver: string;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
  silver = await world.newPolicy('SILVER');
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const cleanUp = async (operationId: string) =>
  world.ended((await world.requests.retryCleanup({ principal: world.principal, operationId })).operationId, PATIENCE);
const machine = async (vmId: string) => (await world.hypervisorVms()).find(({ id }) => id === vmId);

/**
 * A VM whose deploy failed and could not be undone everywhere.
 * @param stays where the undo was refused.
 */
async function failedDeploy(name: string, stays: { hypervisor?: true; avamar?: true }) {
  const vmId = await world.newVm(name, [gold]);
  // By then the group is there.
  await world.breakAvamar({
    method: 'GET',
    path: '/api/v1/groups/[^/]+/members',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 1, message: 'no' } },
  });
  if (stays.avamar === true) {
    await world.breakAvamar({ method: 'DELETE', path: '/api/v1/groups/', when: 'before', action: { status: 503 } });
  }
  if (stays.hypervisor === true) {
    await world.breakHypervisor({ method: 'DELETE', path: `/vms/${vmId}$`, when: 'before', action: { status: 503 } });
  }
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect(await world.ended(operationId, PATIENCE)).toMatchObject({
    state: 'ROLLED_BACK_WITH_RESIDUE',
    needs_attention: true,
  });
  await world.mendAvamar();
  await world.mendHypervisor();
  return { vmId, operationId };
}

/** As if the operation that made the leftover part of the VM had not known of it. */
async function forgetClearing(operationId: string): Promise<void> {
  await world.db
    .updateTable('residue')
    .set({ cleared_at: null, cleared_by: null })
    .where('operation_id', '=', operationId)
    .execute();
}

test(
  'a deploy whose undo fails names what is left; a cleanup clears it everywhere',
  async () => {
    const { vmId, operationId } = await failedDeploy('left-1', { hypervisor: true, avamar: true });
    expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', operation_id: null });
    expect(await world.groups(vmId)).toHaveLength(1);
    const left = await world.uncleared(operationId);
    expect(left.map(({ step, manager_id: managerId }) => [step, managerId])).toEqual(
      expect.arrayContaining([
        ['CONFIGURE', null],
        ['BACKUP_SCHEDULE', world.managerId],
      ]),
    );
    for (const row of left) expect(row.remove_with).toContain(`POST /v1/operations/${operationId}/retry-cleanup`);

    const cleanup = await cleanUp(operationId);
    expect(cleanup).toMatchObject({ kind: 'CLEANUP', state: 'SUCCEEDED', needs_attention: false });
    expect(await world.story(cleanup.id)).toEqual(['CLEAN_HYPERVISOR DONE', 'CLEAN_BACKUP_SYSTEM DONE']);
    expect(await machine(vmId)).toBeUndefined();
    expect(await world.groups(vmId)).toEqual([]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
    expect((await world.residue(operationId)).map((row) => row.cleared_by)).toEqual(left.map(() => cleanup.id));
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: false, attention_reason: null });
    await expect(cleanUp(operationId)).rejects.toMatchObject({ code: 'NOTHING_TO_CLEAN' });

    expect(await world.ended((await world.requests.deploy(world.request(vmId))).operationId)).toMatchObject({
      state: 'SUCCEEDED',
    });
  },
  PATIENCE * 3,
);

test(
  'a system that refuses keeps its leftover and does not keep the other from being cleaned',
  async () => {
    const { vmId, operationId } = await failedDeploy('left-2', { hypervisor: true, avamar: true });
    await world.breakHypervisor({
      method: 'DELETE',
      path: `/vms/${vmId}$`,
      when: 'before',
      action: { status: 409, body: { code: 'BUSY', message: 'a snapshot is being made' } },
    });
    const failed = await cleanUp(operationId);
    expect(failed).toMatchObject({ state: 'FAILED', error: { code: 'HYPERVISOR_REFUSED' } });
    expect(await world.story(failed.id)).toEqual(['CLEAN_HYPERVISOR FAILED', 'CLEAN_BACKUP_SYSTEM DONE']);
    expect(await world.residue(failed.id)).toEqual([]);
    expect((await world.uncleared(operationId)).map(({ system }) => system)).not.toContain('BACKUP_SYSTEM');
    expect(await world.uncleared(operationId)).not.toEqual([]);
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: true });
    expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN' });

    await world.mendHypervisor();
    expect(await cleanUp(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED' });
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: false });
  },
  PATIENCE * 3,
);

test(
  'a deploy makes a leftover schedule its own; a cleanup after it harms nothing',
  async () => {
    const { vmId, operationId } = await failedDeploy('again-1', { avamar: true });
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED' });
    const deploy = await world.ended((await world.requests.deploy(world.request(vmId))).operationId);
    expect(deploy.state).toBe('SUCCEEDED');
    expect((await world.residue(operationId)).map((row) => row.cleared_by)).toEqual([deploy.id]);
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: false });
    await expect(cleanUp(operationId)).rejects.toMatchObject({ code: 'NOTHING_TO_CLEAN' });

    await forgetClearing(operationId);
    const before = [await machine(vmId), await world.groups(vmId), await existingSchedules(world.db, vmId)];
    const cleanup = await cleanUp(operationId);
    expect(cleanup.state).toBe('SUCCEEDED');
    expect(await world.story(cleanup.id)).toEqual(['CLEAN_BACKUP_SYSTEM SKIPPED']);
    expect([await machine(vmId), await world.groups(vmId), await existingSchedules(world.db, vmId)]).toEqual(before);
    expect(await world.groups(vmId)).toHaveLength(1);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
    expect(await world.uncleared(operationId)).toEqual([]);
  },
  PATIENCE * 3,
);

test(
  'a cleanup of what a deploy left in the hypervisor does not touch the VM that was deployed since',
  async () => {
    const { vmId, operationId } = await failedDeploy('again-2', { hypervisor: true });
    await world.ended((await world.requests.undeploy(world.request(vmId))).operationId);
    expect(await world.uncleared(operationId)).toEqual([]);
    await world.ended((await world.requests.deploy(world.request(vmId))).operationId);
    await forgetClearing(operationId);
    const before = await machine(vmId);
    const effects = (await world.hypervisorEffects()).length;
    const cleanup = await cleanUp(operationId);
    expect(await world.story(cleanup.id)).toContain('CLEAN_HYPERVISOR SKIPPED');
    expect(await machine(vmId)).toEqual(before);
    expect(await world.hypervisorEffects()).toHaveLength(effects);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
    expect(await world.uncleared(operationId)).toEqual([]);
  },
  PATIENCE * 3,
);

test(
  'a deploy without a policy removes the schedule that an earlier one had to leave',
  async () => {
    const { vmId, operationId } = await failedDeploy('bare-1', { avamar: true });
    await world.db.updateTable('virtual_machine').set({ backup_policies: '[]' }).where('id', '=', vmId).execute();
    const deploy = await world.ended((await world.requests.deploy(world.request(vmId))).operationId);
    expect(deploy.state).toBe('SUCCEEDED');
    expect(await world.story(deploy.id)).toContain('BACKUP_SCHEDULE DONE');
    expect(await world.groups(vmId)).toEqual([]);
    expect(await world.uncleared(operationId)).toEqual([]);
  },
  PATIENCE * 2,
);

test(
  'a reconfigure that could be neither done nor undone leaves a VM that a cleanup puts in order',
  async () => {
    const vmId = await world.deployed('mend-1', [gold]);
    const before = await machine(vmId);
    const { disks } = await world.vm(vmId);
    await world.breakAvamar({
      method: 'POST',
      path: '/api/v1/groups/backup-groups$',
      when: 'before',
      times: 1,
      action: { status: 400, body: { code: 1, message: 'no' } },
    });
    await world.breakHypervisor({
      method: 'PATCH',
      path: `/vms/${vmId}$`,
      body: '"cpu":2',
      when: 'before',
      action: { status: 503 },
    });
    const { operationId } = await world.requests.reconfigure({
      ...world.request(vmId),
      body: {
        hardware: { cpu: 4, memoryMiB: 4096, disks: [...disks.slice(0, 1), { label: 'logs', sizeGiB: 5 }] },
        backupPolicies: [{ policyId: silver, configurations: [] }],
      },
    });
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'ROLLED_BACK_WITH_RESIDUE' });
    expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN' });
    expect(await world.uncleared(operationId)).toMatchObject([
      { step: 'RECONFIGURE', remove_with: `POST /v1/operations/${operationId}/retry-cleanup` },
    ]);

    await world.mendHypervisor();
    expect(await cleanUp(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await machine(vmId)).toEqual(before);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', cpu: 2, memory_mib: 2048, disks });
    expect(await world.uncleared(operationId)).toEqual([]);
  },
  PATIENCE * 3,
);

test(
  'disks that could not be deleted past the point of no return are deleted by a cleanup, and no others',
  async () => {
    const vmId = await world.deployed('mend-2', [gold]);
    const [system, data] = (await world.vm(vmId)).disks;
    if (system === undefined || data === undefined) throw new Error('the VM has two disks');
    await world.breakHypervisor({
      method: 'PATCH',
      path: `/vms/${vmId}$`,
      body: '"sizeGiB":30',
      when: 'before',
      action: { status: 409, body: { code: 'FULL', message: 'the datastore is full' } },
    });
    const { operationId } = await world.requests.reconfigure({
      ...world.request(vmId),
      body: {
        hardware: { cpu: 4, memoryMiB: 2048, disks: [{ ...system, sizeGiB: 30 }] },
        backupPolicies: [{ policyId: silver, configurations: [] }],
      },
    });
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'FAILED', needs_attention: true });
    // The row is as the hypervisor is; the new policy is there.
    expect(await world.vm(vmId)).toMatchObject({
      state: 'ON',
      cpu: 4,
      disks: [system],
      backup_policies: [{ policyId: silver }],
    });
    expect(await existingSchedules(world.db, vmId)).toMatchObject([
      { uncertain: false, schedule: { policies: [{ policyId: silver }] } },
    ]);
    expect(await world.uncleared(operationId)).toMatchObject([{ step: 'COMMIT_DISKS' }]);
    expect(((await machine(vmId)) as unknown as { disks: unknown[] }).disks).toHaveLength(2);

    await world.mendHypervisor();
    const cleanup = await cleanUp(operationId);
    expect(cleanup).toMatchObject({ state: 'SUCCEEDED' });
    expect(((await machine(vmId)) as unknown as { disks: unknown[] }).disks).toMatchObject([system]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', disks: [system] });
    expect(await world.uncleared(operationId)).toEqual([]);
  },
  PATIENCE * 2,
);

test(
  'a machine whose registration could not be taken back is released by a cleanup, and stays as it is',
  async () => {
    const hardware = { cpu: 1, memoryMiB: 512, disks: [{ label: 'root', sizeGiB: 5 }] };
    const made = await fetch(`${world.hypervisorUrl}/morefs`, {
      method: 'POST',
      body: JSON.stringify({ name: 'somebody-elses', ...hardware }),
    });
    const { moref } = (await made.json()) as { moref: string };
    const look = async () => (await fetch(`${world.hypervisorUrl}/morefs/${moref}`)).json();
    const before = await look();
    // The mark is there, and the answer says that it was refused.
    const path = `/morefs/${moref}/identity`;
    await world.breakHypervisor({ path, body: '"id":"', when: 'after', times: 1, action: { status: 409 } });
    await world.breakHypervisor({ path, body: '"id":null', when: 'before', action: { status: 503 } });
    const { operationId } = await world.requests.register({
      principal: world.principal,
      body: {
        name: 'release-1',
        enterpriseId: world.enterpriseId,
        datacenterId: world.datacenterId,
        hypervisorRef: moref,
      },
    });
    const { vm_id: vmId, state } = await world.ended(operationId, PATIENCE);
    expect(state).toBe('ROLLED_BACK_WITH_RESIDUE');
    expect(await world.uncleared(operationId)).toMatchObject([{ step: 'REGISTER', system: 'HYPERVISOR' }]);
    expect((await world.vm(vmId)).deleted_at).not.toBeNull();
    expect(await look()).toMatchObject({ id: vmId });

    await world.mendHypervisor();
    expect(await cleanUp(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await look()).toEqual(before);
    expect(await world.uncleared(operationId)).toEqual([]);
  },
  PATIENCE * 2,
);
