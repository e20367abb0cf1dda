import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi, vmBody } from './test-api.ts';

let api: TestApi;
let datacenter: { id: string };
let manager: { id: string; name: string };
let enterprise: Awaited<ReturnType<TestApi['newEnterprise']>>;
beforeAll(async () => {
  api = await startTestApi();
  datacenter = await api.newDatacenter();
  manager = await api.newManager(datacenter.id);
  enterprise = await api.newEnterprise();
});
afterAll(() => api.stop());

const post = (token: string, body: object) => api.send(token, 'POST', '/v1/virtual-machines', { body });
const editable = ({ cpu, memoryMiB, disks, backupPolicies }: Record<string, unknown>) => ({
  cpu,
  memoryMiB,
  disks,
  backupPolicies,
});

async function allowedPolicy(more: Record<string, unknown> = {}) {
  const policy = await api.newPolicy(datacenter.id, manager.id, more);
  await api.allow(enterprise.id, policy.id);
  return policy;
}

const IN_VM = {
  configurations: [
    {
      type: 'COMPLETE',
      subtype: 'WEEKLY_PLANNED',
      time: { mode: 'define_in_vm' },
      days: { mode: 'define_in_vm' },
      disks: { mode: 'define_in_vm' },
    },
  ],
};

test('a draft belongs to the enterprise of its maker and is not allocated', async () => {
  const created = await post(enterprise.admin, vmBody(datacenter.id, 'draft-1'));
  expect(created.status).toBe(201);
  expect(created.headers.get('location')).toBe(created.body.links.self);
  expect(created.body).toMatchObject({
    enterpriseId: enterprise.id,
    state: 'NOT_ALLOCATED',
    storedState: 'NOT_ALLOCATED',
    lock: null,
    hypervisorRef: null,
    schedules: [],
    residue: [],
    backupPolicies: [],
  });
  expect(await api.expectStatus(200, enterprise.user, 'GET', created.body.links.self)).toEqual(created.body);
});

test('a name is used once within an enterprise, until its VM is deleted', async () => {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const again = await post(enterprise.admin, vmBody(datacenter.id, vm.name));
  expect([again.status, again.body.code]).toEqual([409, 'VM_NAME_IN_USE']);
  const other = await api.newEnterprise();
  expect((await post(other.admin, vmBody(datacenter.id, vm.name))).status).toBe(201);
  await api.expectStatus(204, enterprise.admin, 'DELETE', vm.links.self);
  await api.expectStatus(404, enterprise.admin, 'GET', vm.links.self);
  expect((await post(enterprise.admin, vmBody(datacenter.id, vm.name))).status).toBe(201);
});

test('tokens of no enterprise name one; tenants cannot name another', async () => {
  const missing = await post(api.tokens.platform, vmBody(datacenter.id, 'p-1'));
  expect([missing.status, missing.body.errors[0].pointer]).toEqual([422, '/enterpriseId']);
  const made = await post(api.tokens.platform, vmBody(datacenter.id, 'p-1', { enterpriseId: enterprise.id }));
  expect([made.status, made.body.enterpriseId]).toEqual([201, enterprise.id]);
  const other = await api.newEnterprise();
  const foreign = await post(enterprise.admin, vmBody(datacenter.id, 'p-2', { enterpriseId: other.id }));
  const nobody = await post(enterprise.admin, vmBody(datacenter.id, 'p-2', { enterpriseId: crypto.randomUUID() }));
  expect([foreign.status, foreign.body.errors]).toEqual([422, nobody.body.errors]);
});

test.each([
  ['a name with capitals', { name: 'Web' }, '/name'],
  ['a name that begins with a digit', { name: '1web' }, '/name'],
  ['a name of 64 characters', { name: 'a'.repeat(64) }, '/name'],
  ['257 processors', { cpu: 257 }, '/cpu'],
  ['half a processor', { cpu: 0.5 }, '/cpu'],
  ['no disk', { disks: [] }, '/disks'],
  [
    'two disks of one label',
    {
      disks: [
        { label: 'a', sizeGiB: 1 },
        { label: 'a', sizeGiB: 2 },
      ],
    },
    '/disks',
  ],
  ['a disk of nothing', { disks: [{ label: 'a', sizeGiB: 0 }] }, '/disks/0/sizeGiB'],
  ['a datacenter of nowhere', { datacenterId: crypto.randomUUID() }, '/datacenterId'],
])('422 for %s', async (_name, more, pointer) => {
  const answer = await post(enterprise.admin, vmBody(datacenter.id, api.unique('wrong'), more));
  expect([answer.status, answer.body.code]).toEqual([422, 'INVALID_REQUEST']);
  expect(answer.body.errors.map((problem: { pointer: string }) => problem.pointer)).toEqual([pointer]);
});

test('a chosen policy must be allowed, and be given what it leaves to the VM', async () => {
  const hidden = await api.newPolicy(datacenter.id, manager.id);
  const open = await allowedPolicy(IN_VM);
  const choose = async (backupPolicies: object[]) => {
    const answer = await post(enterprise.admin, vmBody(datacenter.id, api.unique('chooser'), { backupPolicies }));
    return [
      answer.status,
      answer.body.code,
      answer.body.errors?.map((problem: { pointer: string }) => problem.pointer),
    ];
  };
  expect(await choose([{ policyId: hidden.id }])).toEqual([
    422,
    'BACKUP_POLICY_NOT_FOUND',
    ['/backupPolicies/0/policyId'],
  ]);
  const [status, code, pointers] = await choose([{ policyId: open.id }]);
  expect([status, code, pointers.length]).toEqual([422, 'BACKUP_TIME_NOT_INDICATED', 3]);
  const given = { type: 'COMPLETE', subtype: 'WEEKLY_PLANNED', time: '02:00', days: ['FRIDAY'] };
  expect(await choose([{ policyId: open.id, configurations: [{ ...given, disks: ['data'] }] }])).toEqual([
    422,
    'BACKUP_INVALID_DISKS',
    ['/backupPolicies/0/configurations/0/disks'],
  ]);
  expect(await choose([{ policyId: open.id, configurations: [{ ...given, disks: ['system'] }] }])).toEqual([
    201,
    undefined,
    undefined,
  ]);
});

test('what GET shows can be sent back with PUT; policies that come and go are events', async () => {
  const [first, second] = [await allowedPolicy(), await allowedPolicy()];
  const vm = await api.newVm(enterprise.admin, datacenter.id, { backupPolicies: [{ policyId: first.id }] });
  const same = await api.expectStatus(200, enterprise.admin, 'PUT', vm.links.self, { body: editable(vm) });
  expect({ ...same, updatedAt: null }).toEqual({ ...vm, updatedAt: null });

  const body = { ...editable(vm), name: 'renamed', cpu: 4, backupPolicies: [{ policyId: second.id }] };
  const changed = await api.expectStatus(200, enterprise.admin, 'PUT', vm.links.self, { body });
  expect(changed).toMatchObject({ name: 'renamed', cpu: 4, backupPolicies: [{ policyId: second.id }] });
  const events = await api.expectStatus(200, enterprise.user, 'GET', vm.links.events);
  expect(events.items.map((event: { action: string }) => event.action).toSorted()).toEqual([
    'ADD_BACKUP_POLICY',
    'ADD_BACKUP_POLICY',
    'CREATE',
    'MODIFY',
    'MODIFY',
    'REMOVE_BACKUP_POLICY',
  ]);
});

test('a USER chooses policies but touches no hardware', async () => {
  const policy = await allowedPolicy();
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  expect((await post(enterprise.user, vmBody(datacenter.id, 'no'))).status).toBe(403);
  expect((await api.send(enterprise.user, 'DELETE', vm.links.self)).status).toBe(403);
  const more = await api.send(enterprise.user, 'PUT', vm.links.self, { body: { ...editable(vm), cpu: 8 } });
  expect([more.status, more.body.code]).toEqual([403, 'FORBIDDEN']);
  const body = { ...editable(vm), backupPolicies: [{ policyId: policy.id }] };
  await api.expectStatus(200, enterprise.user, 'PUT', vm.links.self, { body });
});

test('a deployed VM is not renamed or deleted, and a change of it is an operation', async () => {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  await api.setState(vm.id, 'ON');
  const renamed = await api.send(enterprise.admin, 'PUT', vm.links.self, { body: { ...editable(vm), name: 'other' } });
  expect([renamed.status, renamed.body.errors[0].pointer]).toEqual([422, '/name']);
  const deleted = await api.send(enterprise.admin, 'DELETE', vm.links.self);
  expect([deleted.status, deleted.body.code, deleted.body.legacyCode]).toEqual([409, 'VM_DELETE_NOT_ALLOWED', 'VM-8']);
  const same = await api.send(enterprise.admin, 'PUT', vm.links.self, { body: editable(vm) });
  expect([same.status, same.body.code]).toEqual([422, 'NOTHING_TO_RECONFIGURE']);
  const reconfigure = await api.send(enterprise.admin, 'PUT', vm.links.self, { body: { ...editable(vm), cpu: 4 } });
  expect(reconfigure.status).toBe(202);
  expect(reconfigure.headers.get('location')).toBe(reconfigure.body.links.self);
  expect(reconfigure.body).toMatchObject({ kind: 'RECONFIGURE', vm: { id: vm.id } });
  expect((await api.expectStatus(200, enterprise.user, 'GET', vm.links.self)).cpu).toBe(2);
});

test('while an operation holds the VM it is LOCKED, and everybody is told by whom', async () => {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const operation = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/deploy`);
  const shown = await api.expectStatus(200, enterprise.user, 'GET', vm.links.self);
  expect(shown).toMatchObject({
    state: 'LOCKED',
    storedState: 'NOT_ALLOCATED',
    lock: { operationId: operation.id, kind: 'DEPLOY', ageSeconds: expect.any(Number) },
    links: { lockedBy: operation.links.self },
  });
  const holder = expect.objectContaining({ operationId: operation.id, kind: 'DEPLOY' });
  const edited = await api.send(enterprise.admin, 'PUT', vm.links.self, { body: editable(vm) });
  expect([edited.status, edited.body.code, edited.body.holder]).toEqual([409, 'VM_LOCKED', holder]);
  const deleted = await api.send(enterprise.admin, 'DELETE', vm.links.self);
  expect([deleted.status, deleted.body.code, deleted.body.holder]).toEqual([409, 'VM_DELETE_NOT_ALLOWED', holder]);
  const locked = await api.expectStatus(200, enterprise.user, 'GET', '/v1/virtual-machines?state=LOCKED');
  expect(locked.items.map((item: { id: string }) => item.id)).toContain(vm.id);
  const drafts = await api.expectStatus(200, enterprise.user, 'GET', '/v1/virtual-machines?state=NOT_ALLOCATED');
  expect(drafts.items.map((item: { id: string }) => item.id)).not.toContain(vm.id);
});

test('a VM shows its schedules, its reference and what was left behind', async () => {
  const policy = await allowedPolicy();
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const operation = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/deploy`);
  const schedule = { managerId: manager.id, policies: [{ policyId: policy.id, code: policy.code, name: policy.name }] };
  await api.db
    .insertInto('vm_schedule')
    .values({
      vm_id: vm.id,
      manager_id: manager.id,
      schedule: JSON.stringify(schedule),
      ref: '{"vmRef":"client-1"}',
      operation_id: operation.id,
    })
    .execute();
  await api.db
    .insertInto('vm_reference')
    .values({ vm_id: vm.id, system: 'HYPERVISOR', system_id: datacenter.id, ref: 'vm-42' })
    .execute();
  await api.db
    .insertInto('residue')
    .values(
      [null, new Date()].map((cleared_at) => ({
        operation_id: operation.id,
        vm_id: vm.id,
        system: 'BACKUP_SYSTEM' as const,
        system_name: manager.name,
        ref: cleared_at === null ? 'left' : 'cleared',
        description: 'a group',
        remove_with: 'delete it',
        cleared_at,
      })),
    )
    .execute();
  expect(await api.expectStatus(200, enterprise.user, 'GET', vm.links.self)).toMatchObject({
    hypervisorRef: 'vm-42',
    schedules: [
      {
        manager: { id: manager.id, name: manager.name },
        policies: [{ id: policy.id, code: policy.code, name: 'Nightly' }],
      },
    ],
    residue: [{ ref: 'left', systemName: manager.name, clearedAt: null }],
  });
});
