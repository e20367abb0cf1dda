/** A dead backup system must not make a VM immortal: an undeploy can be forced past it, and what is left is named. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { startWorld, type World } from './world.ts';

const PATIENCE = 60_000;

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const dead = () => world.breakAvamar({ path: '/', when: 'before', action: { status: 503 } });
const forced = (vmId: string) => world.requests.undeploy({ ...world.request(vmId), body: { forceUndeploy: true } });
const machine = async (vmId: string) => (await world.hypervisorVms()).find(({ id }) => id === vmId);
const events = (operationId: string) =>
  world.db.selectFrom('event').selectAll().where('operation_id', '=', operationId).orderBy('id').execute();

/** A VM that was undeployed by force while Avamar was dead, and the schedule that is left. */
async function leftSchedule(name: string) {
  const vmId = await world.deployed(name, [gold]);
  await dead();
  const { operationId } = await forced(vmId);
  const operation = await world.ended(operationId, PATIENCE);
  await world.mendAvamar();
  return { vmId, operationId, operation };
}

test(
  'an undeploy past a dead backup system takes the VM away and names the schedule; a later cleanup removes it',
  async () => {
    const vmId = await world.deployed('dead-1', [gold]);
    await dead();
    const refused = await world.ended((await world.requests.undeploy(world.request(vmId))).operationId, PATIENCE);
    expect(refused).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'BACKUP_SYSTEM_UNREACHABLE' } });
    expect(await machine(vmId)).toMatchObject({ power: 'ON' });

    const { operationId } = await forced(vmId);
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'SUCCEEDED', needs_attention: true });
    expect(await world.story(operationId)).toEqual([
      'BACKUP_SCHEDULE FAILED',
      'POWER_OFF DONE',
      'DECONFIGURE DONE',
      'DEALLOCATE DONE',
    ]);
    expect(await machine(vmId)).toBeUndefined();
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
    expect(await existingSchedules(world.db, vmId)).toMatchObject([{ uncertain: true }]);
    expect(await world.residue(operationId)).toMatchObject([
      { system: 'BACKUP_SYSTEM', system_name: 'avamar-1', manager_id: world.managerId, step: 'BACKUP_SCHEDULE' },
    ]);
    const told = await events(operationId);
    expect(told.map(({ action, severity }) => `${action} ${severity}`)).toEqual(
      expect.arrayContaining(['UNDEPLOY WARN', 'UNDEPLOY_UNCHECKED WARN']),
    );

    const stillDead = await world.requests.retryCleanup({ principal: world.principal, operationId });
    expect(await world.ended(stillDead.operationId, PATIENCE)).toMatchObject({ state: 'FAILED' });
    expect(await world.residue(operationId)).toMatchObject([{ cleared_at: null }]);

    await world.mendAvamar();
    expect(await world.groups(vmId)).toHaveLength(1);
    const cleanup = await world.requests.retryCleanup({ principal: world.principal, operationId });
    expect(await world.ended(cleanup.operationId, PATIENCE)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await world.groups(vmId)).toEqual([]);
    expect(await existingSchedules(world.db, vmId)).toEqual([]);
    expect(await world.residue(operationId)).toMatchObject([{ cleared_by: cleanup.operationId }]);
    expect(await world.operation(operationId)).toMatchObject({ needs_attention: false });
  },
  PATIENCE * 4,
);

test(
  'the next deploy makes the schedule that was left its own',
  async () => {
    const { vmId, operationId } = await leftSchedule('dead-2');
    const deploy = await world.ended((await world.requests.deploy(world.request(vmId))).operationId, PATIENCE);
    expect(deploy.state).toBe('SUCCEEDED');
    expect(await world.groups(vmId)).toHaveLength(1);
    expect(await existingSchedules(world.db, vmId)).toMatchObject([{ uncertain: false }]);
    expect(await world.residue(operationId)).toMatchObject([{ cleared_by: deploy.id }]);
  },
  PATIENCE * 2,
);

test(
  'the next deploy removes the schedule that was left when it has no policy any more',
  async () => {
    const { vmId, operationId } = await leftSchedule('dead-3');
    await world.db.updateTable('virtual_machine').set({ backup_policies: '[]' }).where('id', '=', vmId).execute();
    const deploy = await world.ended((await world.requests.deploy(world.request(vmId))).operationId, PATIENCE);
    expect(deploy.state).toBe('SUCCEEDED');
    expect(await world.groups(vmId)).toEqual([]);
    expect(await existingSchedules(world.db, vmId)).toEqual([]);
    expect(await world.residue(operationId)).toMatchObject([{ cleared_by: deploy.id }]);
  },
  PATIENCE * 2,
);

test(
  'a session that is only believed to be running does not stop it while the backup system is dead',
  async () => {
    const vmId = await world.deployed('believed-1', [gold]);
    await dead();
    await world.db
      .insertInto('session')
      .values({
        manager_id: world.managerId,
        vm_id: vmId,
        vendor_session_id: 'believed-1',
        vendor_vm_ref: 'client',
        kind: 'BACKUP',
        state: 'RUNNING',
        started_at: new Date(),
      })
      .execute();
    expect(await world.ended((await world.requests.undeploy(world.request(vmId))).operationId, PATIENCE)).toMatchObject(
      { error: { code: 'VM_BEING_BACKED_UP' } },
    );
    const { operationId } = await forced(vmId);
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await machine(vmId)).toBeUndefined();
    await world.db.deleteFrom('session').where('vendor_session_id', '=', 'believed-1').execute();
  },
  PATIENCE * 3,
);

test(
  'force does not pass over a backup that is running',
  async () => {
    const vmId = await world.deployed('running-1', [gold]);
    await world.stopWorker();
    const { ref } = await world.db
      .selectFrom('vm_reference')
      .select('ref')
      .where('vm_id', '=', vmId)
      .where('system', '=', 'BACKUP_SYSTEM')
      .executeTakeFirstOrThrow();
    await world.backupsTake(30);
    // Asked for before the backup began, and taken up when it runs.
    const { operationId } = await forced(vmId);
    await world.avamar('POST', `/clients/${ref}/backup`, { targets: [{ name: 'ALL', pluginNumber: 1016 }] });
    await world.startWorker();
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({
      state: 'ROLLED_BACK',
      error: { code: 'VM_BEING_BACKED_UP' },
    });
    expect(await machine(vmId)).toMatchObject({ power: 'ON' });
    await world.backupsTake(1);
  },
  PATIENCE * 2,
);

test(
  'a forced undeploy removes the schedule where it can',
  async () => {
    const vmId = await world.deployed('alive-1', [gold]);
    const { operationId } = await forced(vmId);
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'SUCCEEDED', needs_attention: false });
    expect(await world.groups(vmId)).toEqual([]);
    expect(await world.residue(operationId)).toEqual([]);
  },
  PATIENCE,
);

test(
  'a forced undeploy whose VM cannot be switched off puts the schedule back',
  async () => {
    const vmId = await world.deployed('stays-1', [gold]);
    const before = await world.groups(vmId);
    await world.breakHypervisor({
      method: 'PUT',
      path: `/vms/${vmId}/power`,
      when: 'before',
      times: 1,
      action: { status: 409, body: { code: 'BUSY', message: 'the guest refuses to stop' } },
    });
    const { operationId } = await forced(vmId);
    expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'ROLLED_BACK' });
    expect(await world.groups(vmId)).toEqual(before);
    expect(await existingSchedules(world.db, vmId)).toMatchObject([{ uncertain: false }]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
  },
  PATIENCE,
);
