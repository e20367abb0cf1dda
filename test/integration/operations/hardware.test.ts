import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { stepsOf } from '../../../db/steps.ts';
import type { PolicyConfiguration } from '../../../domain/policies.ts';
import type { Disk } from '../../../domain/virtual-machines.ts';
import { DAILY, startWorld, until, type World } from './world.ts';

const CHOSEN_DISKS: PolicyConfiguration = { ...DAILY, disks: { mode: 'define_in_vm' } };

let world: World;
let gold: string;
let silver: string;
let chosen: string;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
  silver = await world.newPolicy('SILVER', [{ ...DAILY, time: { mode: 'fixed', value: '23:15' } }]);
  chosen = await world.newPolicy('CHOSEN', [CHOSEN_DISKS]);
});
afterAll(() => world.stop());
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

const DISKS: readonly Disk[] = [
  { label: 'system', sizeGiB: 20 },
  { label: 'data', sizeGiB: 50 },
];
const WITHOUT_DATA: readonly Disk[] = [
  { label: 'system', sizeGiB: 30 },
  { label: 'logs', sizeGiB: 10 },
];

/** A deployed VM with disks `system` and `data`; on `data` stands `precious`. */
async function deployed(name: string, policyId = gold): Promise<string> {
  const vmId = await world.newVm(name, [policyId]);
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  await write(vmId, 'data', 'precious');
  return vmId;
}

async function reconfigure(
  vmId: string,
  wanted: { disks: readonly Disk[]; cpu?: number; policyId?: string },
): Promise<string> {
  const { operationId } = await world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: { cpu: wanted.cpu ?? 2, memoryMiB: wanted.cpu === undefined ? 2048 : 8192, disks: wanted.disks },
      backupPolicies: [{ policyId: wanted.policyId ?? gold, configurations: [] }],
    },
  });
  return operationId;
}

async function write(vmId: string, label: string, content: string): Promise<void> {
  const answer = await fetch(`${world.hypervisorUrl}/vms/${vmId}/disks/${label}/content`, {
    method: 'PUT',
    body: JSON.stringify({ content }),
  });
  expect(answer.status).toBe(200);
}

/** The machine as the hypervisor has it, with what is on its disks. */
async function machine(vmId: string) {
  const answer = await fetch(`${world.hypervisorUrl}/vms/${vmId}`);
  return (await answer.json()) as {
    cpu: number;
    memoryMiB: number;
    disks: { label: string; sizeGiB: number; attached: boolean; content: string }[];
  };
}

async function reconfigurations(vmId: string): Promise<number> {
  const effects = await world.hypervisorEffects();
  return effects.filter(({ id, kind }) => id === vmId && kind === 'reconfigure').length;
}

test('one reconfigure changes cpu, memory, adds, grows and removes disks, and changes the policy', async () => {
  const vmId = await deployed('all-1');
  await write(vmId, 'system', 'boots');
  const operationId = await reconfigure(vmId, { cpu: 4, disks: WITHOUT_DATA, policyId: silver });
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await world.story(operationId)).toEqual(['RECONFIGURE DONE', 'BACKUP_SCHEDULE DONE', 'COMMIT_DISKS DONE']);
  expect(await machine(vmId)).toMatchObject({
    cpu: 4,
    memoryMiB: 8192,
    disks: [
      { label: 'system', sizeGiB: 30, attached: true, content: 'boots' },
      { label: 'logs', sizeGiB: 10, attached: true, content: '' },
    ],
  });
  expect(await world.vm(vmId)).toMatchObject({
    state: 'ON',
    cpu: 4,
    memory_mib: 8192,
    disks: WITHOUT_DATA,
    backup_policies: [{ policyId: silver }],
    operation_id: null,
  });
  expect((await existingSchedules(world.db, vmId)).map(({ schedule }) => schedule.policies[0]?.code)).toEqual([
    'SILVER',
  ]);
  // What can be taken back, and what cannot: each once.
  expect(await reconfigurations(vmId)).toBe(2);
});

test('the row stays as it was until the operation has ended', async () => {
  const vmId = await deployed('row-1');
  await world.breakAvamar({ path: '/api/v1/groups', when: 'before', action: { delayMs: 400 } });
  const operationId = await reconfigure(vmId, { cpu: 4, disks: WITHOUT_DATA, policyId: silver });
  await until(
    'the schedule is changed',
    () => world.story(operationId),
    (story) => story.includes('BACKUP_SCHEDULE RUNNING'),
  );
  expect(await world.vm(vmId)).toMatchObject({ cpu: 2, disks: DISKS, backup_policies: [{ policyId: gold }] });
  const data = (await machine(vmId)).disks.find(({ label }) => label === 'data');
  expect(data).toEqual({ label: 'data', sizeGiB: 50, attached: false, content: 'precious' });
  await world.mendAvamar();
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
});

test('a refused schedule puts back exactly the previous hardware, contents too, and the previous schedule', async () => {
  const vmId = await deployed('back-1');
  const before = await machine(vmId);
  const schedules = await existingSchedules(world.db, vmId);
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 1, message: 'no more groups' } },
  });
  const operationId = await reconfigure(vmId, { cpu: 4, disks: WITHOUT_DATA, policyId: silver });
  expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK', point_of_no_return_at: null });
  expect(await world.story(operationId)).toEqual([
    'RECONFIGURE DONE/DONE',
    'BACKUP_SCHEDULE FAILED/DONE',
    'COMMIT_DISKS PENDING',
  ]);
  expect(await machine(vmId)).toEqual(before);
  expect(await world.vm(vmId)).toMatchObject({
    state: 'ON',
    cpu: 2,
    disks: DISKS,
    backup_policies: [{ policyId: gold }],
  });
  expect((await existingSchedules(world.db, vmId)).map(({ schedule }) => schedule)).toEqual(
    schedules.map(({ schedule }) => schedule),
  );

  // What was added and taken back is gone: added again it is a new disk of another size.
  const logs = { label: 'logs', sizeGiB: 5 };
  const again = await reconfigure(vmId, { disks: [...DISKS, logs] });
  expect((await world.ended(again)).state).toBe('SUCCEEDED');
  expect((await machine(vmId)).disks).toContainEqual({ ...logs, attached: true, content: '' });
});

test('an added disk can be taken away again, so nothing is final and the schedule of all disks stays', async () => {
  const vmId = await deployed('add-1');
  const operationId = await reconfigure(vmId, { disks: [...DISKS, { label: 'logs', sizeGiB: 10 }] });
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', point_of_no_return_at: null });
  expect(await world.story(operationId)).toEqual([
    'RECONFIGURE DONE',
    'BACKUP_SCHEDULE SKIPPED',
    'COMMIT_DISKS SKIPPED',
  ]);
  const reasons = (await stepsOf(world.db, operationId)).map(({ reason }) => reason);
  expect(reasons).toEqual([null, 'the backup schedule stays as it is', 'no disk grows and none is removed']);
});

test('a removed disk that a policy names is refused, and so is one that shall shrink, before anything begins', async () => {
  const vmId = await world.newVm('named-1', []);
  const choose = (disks: readonly string[]) => [
    { policyId: chosen, configurations: [{ type: 'COMPLETE', subtype: 'DAILY', disks } as const] },
  ];
  await world.db
    .updateTable('virtual_machine')
    .set({ backup_policies: JSON.stringify(choose(['data'])) })
    .where('id', '=', vmId)
    .execute();
  await world.ended((await world.requests.deploy(world.request(vmId))).operationId);
  const ask = (disks: readonly Disk[]) =>
    world.requests.reconfigure({
      ...world.request(vmId),
      body: { hardware: { cpu: 2, memoryMiB: 2048, disks }, backupPolicies: choose(['data']) },
    });
  await expect(ask([{ label: 'system', sizeGiB: 20 }])).rejects.toMatchObject({
    code: 'BACKUP_INVALID_DISKS',
    problems: [{ pointer: '/backupPolicies/0/configurations/0/disks' }],
  });
  await expect(ask([...DISKS.slice(0, 1), { label: 'data', sizeGiB: 49 }])).rejects.toMatchObject({
    code: 'VM_DISK_CANNOT_SHRINK',
    problems: [{ pointer: '/disks/1/sizeGiB' }],
  });
  expect(await world.vm(vmId)).toMatchObject({ state: 'ON', operation_id: null });
  // The disk that is named stays: what else changes does not concern the schedule.
  const { operationId } = await ask([{ label: 'data', sizeGiB: 60 }]);
  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await world.story(operationId)).toEqual(['RECONFIGURE DONE', 'BACKUP_SCHEDULE SKIPPED', 'COMMIT_DISKS DONE']);
});

test('a disk that refuses to grow ends the operation FAILED: nothing is deleted, and the row shows what is there', async () => {
  const vmId = await deployed('stuck-1');
  const disks = [
    { label: 'system', sizeGiB: 65_000 },
    { label: 'logs', sizeGiB: 10 },
  ];
  const operationId = await reconfigure(vmId, { cpu: 4, disks, policyId: silver });
  const operation = await world.ended(operationId);
  expect(operation).toMatchObject({ state: 'FAILED', error: { code: 'HYPERVISOR_REFUSED' } });
  expect(operation.point_of_no_return_at).not.toBeNull();
  expect(await world.story(operationId)).toEqual(['RECONFIGURE DONE', 'BACKUP_SCHEDULE DONE', 'COMMIT_DISKS FAILED']);
  expect((await machine(vmId)).disks).toContainEqual({
    label: 'data',
    sizeGiB: 50,
    attached: false,
    content: 'precious',
  });
  expect(await world.vm(vmId)).toMatchObject({
    cpu: 4,
    memory_mib: 8192,
    disks: [
      { label: 'system', sizeGiB: 20 },
      { label: 'logs', sizeGiB: 10 },
    ],
    operation_id: null,
  });
  // The new schedule is the one that exists.
  expect((await existingSchedules(world.db, vmId)).map(({ schedule }) => schedule.policies[0]?.code)).toEqual([
    'SILVER',
  ]);
  const residue = await world.db.selectFrom('residue').selectAll().where('operation_id', '=', operationId).execute();
  expect(residue).toMatchObject([{ system: 'HYPERVISOR', step: 'COMMIT_DISKS' }]);
});

test('disks that somebody changed in the hypervisor are neither deleted nor taken for others', async () => {
  const vmId = await deployed('foreign-1');
  const { disks } = await machine(vmId);
  const patched = await fetch(`${world.hypervisorUrl}/vms/${vmId}`, {
    method: 'PATCH',
    body: JSON.stringify({ disks: [...disks, { label: 'extra', sizeGiB: 7, attached: true }] }),
  });
  expect(patched.status).toBe(200);
  await write(vmId, 'extra', 'somebody’s');
  const extra = { label: 'extra', sizeGiB: 7, attached: true, content: 'somebody’s' };

  const adding = await reconfigure(vmId, { disks: [...DISKS, { label: 'extra', sizeGiB: 9 }] });
  expect(await world.ended(adding)).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'VM_HARDWARE_DIFFERS' } });
  expect((await machine(vmId)).disks).toContainEqual(extra);

  const removing = await reconfigure(vmId, { disks: WITHOUT_DATA });
  expect((await world.ended(removing)).state).toBe('SUCCEEDED');
  expect((await machine(vmId)).disks.map(({ label }) => label)).toEqual(['system', 'extra', 'logs']);
  expect((await machine(vmId)).disks).toContainEqual(extra);
});

test('a lost answer of the final change is not a second change', async () => {
  const vmId = await deployed('lost-1');
  await world.breakAvamar({ path: '/api/v1/groups', when: 'before', action: { delayMs: 300 } });
  const operationId = await reconfigure(vmId, { cpu: 4, disks: WITHOUT_DATA, policyId: silver });
  await until(
    'the schedule is changed',
    () => world.story(operationId),
    (story) => story.includes('BACKUP_SCHEDULE RUNNING'),
  );
  await world.breakHypervisor({
    method: 'PATCH',
    path: `/vms/${vmId}$`,
    when: 'after',
    times: 1,
    action: { drop: true },
  });
  await world.mendAvamar();
  // The next attempt waits until the lost write can have no further effect: 25 s.
  expect((await world.ended(operationId, 60_000)).state).toBe('SUCCEEDED');
  expect(await reconfigurations(vmId)).toBe(2);
  expect((await machine(vmId)).disks.map(({ label, sizeGiB }) => [label, sizeGiB])).toEqual([
    ['system', 30],
    ['logs', 10],
  ]);
}, 90_000);

describe.concurrent('a run that is lost', () => {
  const terminate = async (operationId: string) => {
    const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
    await world.client.workflow.getHandle(workflowId, runId ?? undefined).terminate('by an operator');
  };
  /** Holds the answer to a change of the hardware that has been made. */
  const hold = (vmId: string, body: string) =>
    world.holdHypervisor({ method: 'PATCH', path: `/vms/${vmId}$`, body, when: 'after', times: 1 });

  test('before anything is final puts back exactly the previous hardware', async () => {
    const vmId = await deployed('lost-2');
    const before = await machine(vmId);
    const answer = await hold(vmId, '"cpu"');
    const operationId = await reconfigure(vmId, { cpu: 4, disks: WITHOUT_DATA, policyId: silver });
    await answer.held();
    await terminate(operationId);
    await world.takenOver(operationId);
    await answer.letGo();
    expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'ROLLED_BACK', recovery: 1 });
    expect(await machine(vmId)).toEqual(before);
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON', cpu: 2, disks: DISKS, operation_id: null });
  }, 90_000);

  test('past the point of no return goes forward, each change once', async () => {
    const vmId = await deployed('lost-3');
    const answer = await hold(vmId, '^(?!.*"cpu")');
    const operationId = await reconfigure(vmId, { cpu: 4, disks: WITHOUT_DATA, policyId: silver });
    await answer.held();
    await terminate(operationId);
    await world.takenOver(operationId);
    await answer.letGo();
    expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED', recovery: 1 });
    expect(await reconfigurations(vmId)).toBe(2);
    expect(await world.vm(vmId)).toMatchObject({
      cpu: 4,
      disks: WITHOUT_DATA,
      backup_policies: [{ policyId: silver }],
    });
  }, 90_000);
});
