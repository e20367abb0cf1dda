/** A cleanup that comes late, or while somebody works on the VM: what it must leave alone, and what it still clears. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import type { Disk } from '../../../domain/virtual-machines.ts';
import { DAILY, startWorld, until, type World } from './world.ts';

const PATIENCE = 90_000;
const SYSTEM = { label: 'system', sizeGiB: 20 };
const DATA = { label: 'data', sizeGiB: 50 };
const BUSY = { status: 409, body: { code: 'BUSY', message: 'a snapshot is being made' } };

let world: World;
let gold: string;
let silver: string;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
  silver = await world.newPolicy('SILVER', [{ ...DAILY, time: { mode: 'fixed', value: '23:15' } }]);
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

async function machine(vmId: string) {
  const answer = await fetch(`${world.hypervisorUrl}/vms/${vmId}`);
  return (await answer.json()) as {
    power: string;
    cpu: number;
    disks: { label: string; sizeGiB: number; attached: boolean; content: string }[];
  };
}
/** `label`, or `label detached`, of every disk that is there. */
const disksOf = async (vmId: string) =>
  (await machine(vmId)).disks.map(({ label, attached }) => (attached ? label : `${label} detached`));
const isThere = async (vmId: string) => (await world.hypervisorVms()).some(({ id }) => id === vmId);

async function write(vmId: string, label: string, content: string): Promise<void> {
  const body = JSON.stringify({ content });
  await fetch(`${world.hypervisorUrl}/vms/${vmId}/disks/${label}/content`, { method: 'PUT', body });
}

async function reconfigure(
  vmId: string,
  wanted: { readonly disks?: readonly Disk[]; readonly cpu?: number; readonly policyId?: string },
) {
  const { operationId } = await world.requests.reconfigure({
    principal: world.principal,
    vmId,
    body: {
      hardware: { cpu: wanted.cpu ?? 2, memoryMiB: 2048, disks: wanted.disks ?? [SYSTEM, DATA] },
      backupPolicies: [{ policyId: wanted.policyId ?? gold, configurations: [] }],
    },
  });
  return operationId;
}

async function cleanUp(operationId: string) {
  const { operationId: id } = await world.requests.retryCleanup({ principal: world.principal, operationId });
  return world.ended(id, PATIENCE);
}

/** The final change of disks is refused, or fails as told. */
const breakCommit = (vmId: string, action: { status: number; body?: unknown } = BUSY) =>
  world.breakHypervisor({ method: 'PATCH', path: `/vms/${vmId}$`, body: '^(?!.*"cpu")', when: 'before', action });

/** A reconfigure that detached `data` and could not delete it. */
async function leavesDisk(vmId: string, cpu = 2): Promise<string> {
  await breakCommit(vmId);
  const operationId = await reconfigure(vmId, { cpu, disks: [SYSTEM] });
  expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'FAILED' });
  await world.mendHypervisor();
  expect(await disksOf(vmId)).toEqual(['system', 'data detached']);
  return operationId;
}

/** A power-off that could be neither done nor undone: nobody knows how the VM is, and it runs. */
async function makesUnknown(vmId: string): Promise<string> {
  const path = `/vms/${vmId}/power`;
  await world.breakHypervisor({ method: 'PUT', path, when: 'before', action: { status: 503 } });
  const { operationId } = await world.requests.powerOff(world.request(vmId));
  expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'ROLLED_BACK_WITH_RESIDUE' });
  await world.mendHypervisor();
  expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN' });
  return operationId;
}

/** An undeploy past its point of no return that could not destroy the VM. */
async function halfUndeployed(vmId: string): Promise<string> {
  await world.breakHypervisor({ method: 'DELETE', path: `/vms/${vmId}$`, when: 'before', action: BUSY });
  const { operationId } = await world.requests.undeploy(world.request(vmId));
  expect(await world.ended(operationId, PATIENCE)).toMatchObject({ state: 'FAILED' });
  await world.mendHypervisor();
  expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN' });
  return operationId;
}

/** Makes the operation old enough to be settled, and decides that it has failed. */
async function settleAsFailed(operationId: string, name: 'COMMIT_DISKS' | 'RECONFIGURE' | 'BACKUP_SCHEDULE') {
  await until(
    `${name} is stuck`,
    () => world.story(operationId),
    (story) => story.includes(`${name} RUNNING`),
  );
  await world.db
    .updateTable('step')
    .set({ first_attempt_at: new Date(Date.now() - 2 * 3_600_000) })
    .where('operation_id', '=', operationId)
    .where('name', '=', name)
    .execute();
  const body = { outcome: 'FAILED' as const, reason: 'we have looked' };
  await world.requests.settle({ principal: world.principal, operationId, body });
  await world.ended(operationId, PATIENCE);
}

const policyOf = async (vmId: string) => (await world.vm(vmId)).backup_policies.map(({ policyId }) => policyId);
const scheduled = async (vmId: string) =>
  (await existingSchedules(world.db, vmId)).map(({ schedule, uncertain }) => [schedule.policies[0]?.code, uncertain]);

describe('of a reconfigure', () => {
  test(
    'leaves a disk alone that was added later, and deletes the one that was left',
    async () => {
      const vmId = await world.deployed('later-1', [gold]);
      const left = await leavesDisk(vmId);
      const adding = await reconfigure(vmId, { disks: [SYSTEM, { label: 'orders', sizeGiB: 10 }] });
      expect(await world.ended(adding)).toMatchObject({ state: 'SUCCEEDED' });
      await write(vmId, 'orders', 'all the orders of the year');
      await makesUnknown(vmId);

      expect(await cleanUp(left)).toMatchObject({ state: 'SUCCEEDED' });
      const { disks } = await machine(vmId);
      expect(disks.map(({ label, content }) => [label, content])).toEqual([
        ['system', ''],
        ['orders', 'all the orders of the year'],
      ]);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', disks: [SYSTEM, { label: 'orders', sizeGiB: 10 }] });
    },
    PATIENCE * 2,
  );

  test(
    'that was rolled back does not take back what a later one has set',
    async () => {
      const vmId = await world.deployed('later-2', [gold]);
      await write(vmId, 'data', 'weeks of work');
      await breakCommit(vmId);
      const first = await reconfigure(vmId, { disks: [{ ...SYSTEM, sizeGiB: 30 }, DATA] });
      expect(await world.ended(first, PATIENCE)).toMatchObject({ state: 'FAILED' });
      await world.mendHypervisor();
      await world.breakHypervisor({
        method: 'PATCH',
        path: `/vms/${vmId}$`,
        body: '"cpu":2',
        when: 'before',
        action: { status: 503 },
      });
      await world.breakAvamar({
        method: 'POST',
        path: '/api/v1/groups/backup-groups$',
        when: 'before',
        times: 1,
        action: { status: 400, body: { code: 1, message: 'no' } },
      });
      const rolledBack = await reconfigure(vmId, { cpu: 4, disks: [SYSTEM], policyId: silver });
      expect(await world.ended(rolledBack, PATIENCE)).toMatchObject({ state: 'ROLLED_BACK_WITH_RESIDUE' });
      await world.mendHypervisor();
      expect(await disksOf(vmId)).toEqual(['system', 'data detached']);
      // What is still to be put back is not taken over by the cleanup of something else.
      expect(await cleanUp(first)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await world.vm(vmId)).toMatchObject({ state: 'UNKNOWN', disks: [SYSTEM, DATA] });
      expect(await cleanUp(rolledBack)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await disksOf(vmId)).toEqual(['system', 'data']);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', cpu: 2, disks: [SYSTEM, DATA] });

      const setting = await reconfigure(vmId, { cpu: 8 });
      expect(await world.ended(setting)).toMatchObject({ state: 'SUCCEEDED' });
      // As if its cleanup were asked for only now.
      await world.db
        .updateTable('residue')
        .set({ cleared_at: null, cleared_by: null })
        .where('operation_id', '=', rolledBack)
        .execute();
      await makesUnknown(vmId);

      expect(await cleanUp(rolledBack)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await machine(vmId)).toMatchObject({ cpu: 8 });
      expect((await machine(vmId)).disks).toContainEqual({ ...DATA, attached: true, content: 'weeks of work' });
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', cpu: 8, disks: [SYSTEM, DATA] });
      expect(await world.uncleared(rolledBack)).toEqual([]);
    },
    PATIENCE * 2,
  );

  test(
    'is still to come when another one has committed other disks; until then the label is refused, with the way out',
    async () => {
      const vmId = await world.deployed('later-3', [gold]);
      const left = await leavesDisk(vmId);
      const grown = { ...SYSTEM, sizeGiB: 30 };
      const growing = await reconfigure(vmId, { disks: [grown] });
      expect(await world.ended(growing)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await world.uncleared(left)).toMatchObject([{ step: 'COMMIT_DISKS' }]);
      expect(await world.operation(left)).toMatchObject({ needs_attention: true });

      const refused = await world.ended(await reconfigure(vmId, { disks: [grown, DATA] }));
      expect(refused).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'VM_HARDWARE_DIFFERS' } });
      expect(refused.error?.message).toContain(`POST /v1/operations/${left}/retry-cleanup`);
      expect(await cleanUp(left)).toMatchObject({ state: 'SUCCEEDED' });
      const added = await world.ended(await reconfigure(vmId, { disks: [grown, DATA] }));
      expect(added).toMatchObject({ state: 'SUCCEEDED' });
      expect(await disksOf(vmId)).toEqual(['system', 'data']);
    },
    PATIENCE * 2,
  );

  test(
    'takes no disk over that neither the row nor the reconfigure names',
    async () => {
      const vmId = await world.deployed('later-4', [gold]);
      const left = await leavesDisk(vmId);
      const extra = { label: 'extra', sizeGiB: 7, attached: true };
      const { disks } = await machine(vmId);
      const body = JSON.stringify({ disks: [...disks, extra] });
      await fetch(`${world.hypervisorUrl}/vms/${vmId}`, { method: 'PATCH', body });
      await makesUnknown(vmId);
      expect(await cleanUp(left)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await disksOf(vmId)).toEqual(['system', 'extra']);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', disks: [SYSTEM] });
    },
    PATIENCE * 2,
  );

  test.each([
    ['that had another policy', 'later-5', true],
    ['that had no policy', 'later-6', false],
  ])(
    'settled as FAILED past its point of no return keeps the new schedule of a VM %s',
    async (_which, name, hadPolicy) => {
      const vmId = await world.deployed(name, hadPolicy ? [gold] : []);
      await breakCommit(vmId, { status: 503 });
      const operationId = await reconfigure(vmId, { disks: [{ ...SYSTEM, sizeGiB: 30 }], policyId: silver });
      await settleAsFailed(operationId, 'COMMIT_DISKS');
      await world.mendHypervisor();
      expect(await policyOf(vmId)).toEqual([silver]);
      expect(await scheduled(vmId)).toEqual([['SILVER', false]]);
      expect((await world.uncleared(operationId)).map(({ system }) => system)).not.toContain('BACKUP_SYSTEM');

      expect(await cleanUp(operationId)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await policyOf(vmId)).toEqual([silver]);
      expect(await scheduled(vmId)).toEqual([['SILVER', false]]);
      expect(await world.groups(vmId)).toHaveLength(1);
      // What was to be deleted is; nothing grows after an end that says that it failed.
      expect(await disksOf(vmId)).toEqual(['system']);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON', disks: [SYSTEM] });
    },
    PATIENCE * 2,
  );

  test(
    'settled as FAILED before its point of no return puts back the previous schedule',
    async () => {
      const vmId = await world.deployed('later-7', [gold]);
      await world.breakAvamar({
        method: 'POST',
        path: '/api/v1/groups/backup-groups$',
        when: 'before',
        action: { status: 503 },
      });
      const operationId = await reconfigure(vmId, { policyId: silver });
      await settleAsFailed(operationId, 'BACKUP_SCHEDULE');
      await world.mendAvamar();
      expect(await policyOf(vmId)).toEqual([gold]);
      expect(await cleanUp(operationId)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await scheduled(vmId)).toEqual([['GOLD', false]]);
    },
    PATIENCE * 2,
  );
});

describe('of an undeploy', () => {
  test(
    'does not destroy a VM that has been in use since',
    async () => {
      const vmId = await world.deployed('later-8', [gold]);
      const unknown = await makesUnknown(vmId);
      const undeploy = await halfUndeployed(vmId);
      expect(await cleanUp(unknown)).toMatchObject({ state: 'SUCCEEDED' });
      await world.ended((await world.requests.powerOn(world.request(vmId))).operationId);
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
      await write(vmId, 'data', 'weeks of work');
      await makesUnknown(vmId);
      const before = await machine(vmId);

      const cleanup = await cleanUp(undeploy);
      expect(cleanup).toMatchObject({ state: 'SUCCEEDED' });
      expect(await world.story(cleanup.id)).toContain('CLEAN_HYPERVISOR SKIPPED');
      expect(await machine(vmId)).toEqual(before);
    },
    PATIENCE * 2,
  );

  test(
    'touches nothing while a backup system works on the VM, or cannot be asked; afterwards it removes the VM',
    async () => {
      const vmId = await world.deployed('later-9', [gold]);
      const undeploy = await halfUndeployed(vmId);

      await world.breakAvamar({ method: 'GET', path: '/api/v1/activities', when: 'before', action: { status: 503 } });
      expect(await cleanUp(undeploy)).toMatchObject({
        state: 'FAILED',
        error: { code: 'BACKUP_SYSTEM_UNREACHABLE' },
      });
      expect(await isThere(vmId)).toBe(true);

      // Known to be running, by a watcher that hears nothing more of it.
      const { id: sessionId } = await world.db
        .insertInto('session')
        .values({
          manager_id: world.managerId,
          vm_id: vmId,
          vendor_session_id: 'begun-at-the-console',
          vendor_vm_ref: 'client',
          kind: 'BACKUP',
          state: 'RUNNING',
          started_at: new Date(),
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      const effects = (await world.hypervisorEffects()).length;
      expect(await cleanUp(undeploy)).toMatchObject({ state: 'FAILED', error: { code: 'VM_BEING_BACKED_UP' } });
      expect(await world.hypervisorEffects()).toHaveLength(effects);
      expect(await world.uncleared(undeploy)).not.toEqual([]);

      await world.db.deleteFrom('session').where('id', '=', sessionId).execute();
      await world.mendAvamar();
      expect(await cleanUp(undeploy)).toMatchObject({ state: 'SUCCEEDED' });
      expect(await isThere(vmId)).toBe(false);
      expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED' });
    },
    PATIENCE * 3,
  );
});
