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
  expect([status, code]).toEqual([422, 'BACKUP_TIME_NOT_INDICATED']);
  expect(pointers).toEqual(['time', 'days', 'disks'].map((name) => `/backupPolicies/0/configurations/0/${name}`));
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

test('disks of a deployed VM are added, grown and removed by an operation; none shrinks', async () => {
  const disks = [
    { label: 'system', sizeGiB: 20 },
    { label: 'data', sizeGiB: 50 },
  ];
  const vm = await api.newVm(enterprise.admin, datacenter.id, { disks });
  await api.setState(vm.id, 'ON');
  const ask = (wanted: object[]) =>
    api.send(enterprise.admin, 'PUT', vm.links.self, { body: { ...editable(vm), disks: wanted } });
  const smaller = await ask([
    { label: 'logs', sizeGiB: 5 },
    { label: 'system', sizeGiB: 20 },
    { label: 'data', sizeGiB: 49 },
  ]);
  expect([smaller.status, smaller.body.code]).toEqual([422, 'VM_DISK_CANNOT_SHRINK']);
  expect(smaller.body.errors).toEqual([
    {
      pointer: '/disks/2/sizeGiB',
      detail: 'disk data has 50 GiB and cannot shrink to 49 GiB',
      code: 'VM_DISK_CANNOT_SHRINK',
    },
  ]);
  const changed = await ask([
    { label: 'logs', sizeGiB: 5 },
    { label: 'system', sizeGiB: 30 },
  ]);
  expect(changed.status).toBe(202);
  expect(changed.body.request).toEqual({ removedDisks: ['data'] });
  expect(changed.body.steps.map((step: { name: string; state: string }) => `${step.name} ${step.state}`)).toEqual([
    'RECONFIGURE PENDING',
    'BACKUP_SCHEDULE SKIPPED',
    'COMMIT_DISKS PENDING',
  ]);
  expect((await api.expectStatus(200, enterprise.user, 'GET', vm.links.self)).disks).toEqual(disks);
});

test('a draft’s disks may shrink: there is nothing on them yet', async () => {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const body = { ...editable(vm), disks: [{ label: 'system', sizeGiB: 1 }] };
  expect((await api.expectStatus(200, enterprise.admin, 'PUT', vm.links.self, { body })).disks).toEqual(body.disks);
});

const registration = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  datacenterId: datacenter.id,
  enterpriseId: enterprise.id,
  hypervisorRef: api.unique('vm-ref'),
  ...more,
});

test('a machine that runs is registered by an operation, and until it has ended nobody is shown its hardware', async () => {
  const body = registration('registered-1');
  const made = await post(api.tokens.platform, body);
  expect(made.status).toBe(201);
  expect(made.headers.get('location')).toBe(made.body.links.self);
  expect(made.body).toMatchObject({
    name: 'registered-1',
    enterpriseId: enterprise.id,
    state: 'LOCKED',
    storedState: 'NOT_ALLOCATED',
    lock: { kind: 'REGISTER' },
    cpu: null,
    memoryMiB: null,
    disks: null,
    backupPolicies: [],
    hypervisorRef: null,
  });
  const operation = await api.expectStatus(200, enterprise.user, 'GET', made.body.links.lockedBy);
  expect(operation).toMatchObject({
    id: made.body.lock.operationId,
    kind: 'REGISTER',
    request: { hypervisorRef: body.hypervisorRef },
    steps: [{ name: 'REGISTER', state: 'PENDING' }],
  });
  expect((await api.send(enterprise.admin, 'DELETE', made.body.links.self)).body.code).toBe('VM_DELETE_NOT_ALLOWED');

  const again = await post(api.tokens.platform, { ...body, name: 'registered-2' });
  expect([again.status, again.body.code]).toEqual([409, 'HYPERVISOR_VM_IN_USE']);
  expect(again.body.errors).toMatchObject([{ pointer: '/hypervisorRef' }]);
  const elsewhere = await api.newDatacenter();
  expect((await post(api.tokens.platform, { ...body, name: 'other', datacenterId: elsewhere.id })).status).toBe(201);
  const sameName = await post(api.tokens.platform, registration('registered-1'));
  expect([sameName.status, sameName.body.code]).toEqual([409, 'VM_NAME_IN_USE']);
});

test('a registration that is repeated with its key begins nothing twice', async () => {
  const headers = { 'idempotency-key': api.unique('key') };
  const body = registration('repeated-1');
  const send = (asked: object) =>
    api.send(api.tokens.platform, 'POST', '/v1/virtual-machines', { body: asked, headers });
  const first = await send(body);
  const second = await send(body);
  expect([first.status, second.status]).toEqual([201, 201]);
  expect(second.body.id).toBe(first.body.id);
  expect(second.body.lock.operationId).toBe(first.body.lock.operationId);
  expect(second.headers.get('idempotency-replayed')).toBe('true');
  const other = await send({ ...body, name: 'repeated-2' });
  expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);

  // When it could not be registered there is nothing to show; the answer says where it is told.
  const { lock, id } = first.body;
  await api.db.updateTable('virtual_machine').set({ deleted_at: new Date() }).where('id', '=', id).execute();
  const gone = await send(body);
  expect([gone.status, gone.body.operationId]).toEqual([404, lock.operationId]);
});

test('only the provider registers machines: any machine of the datacenter could be named', async () => {
  const { enterpriseId: _, ...body } = registration('stolen-1');
  const refused = await post(enterprise.admin, body);
  expect([refused.status, refused.body.code]).toEqual([403, 'FORBIDDEN']);
  expect((await post(enterprise.user, body)).status).toBe(403);
});

test('what is read from the hypervisor is not given, and the first policy comes later', async () => {
  const policy = await allowedPolicy();
  const { cpu, memoryMiB, disks } = vmBody(datacenter.id, 'x');
  const given = registration('given-1', { cpu, memoryMiB, disks, backupPolicies: [{ policyId: policy.id }] });
  const refused = await post(api.tokens.platform, given);
  expect([refused.status, refused.body.code]).toEqual([422, 'INVALID_REQUEST']);
  const told = refused.body.errors.map(({ pointer, detail }: { pointer: string; detail: string }) => [pointer, detail]);
  expect(told).toEqual([
    ['/cpu', 'is read from the hypervisor with hypervisorRef; leave it out'],
    ['/memoryMiB', 'is read from the hypervisor with hypervisorRef; leave it out'],
    ['/disks', 'is read from the hypervisor with hypervisorRef; leave it out'],
    ['/backupPolicies', 'must be empty with hypervisorRef: choose the first policy with PUT once it is registered'],
  ]);
  const missing = await post(enterprise.admin, { name: 'given-2', datacenterId: datacenter.id });
  expect(missing.body.errors).toMatchObject([
    { pointer: '/cpu', detail: 'is missing' },
    { pointer: '/memoryMiB', detail: 'is missing' },
    { pointer: '/disks', detail: 'is missing' },
  ]);
});

test('while an operation holds the VM it is LOCKED, and everybody is told by whom', async () => {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const operation = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/deploy`);
  const shown = await api.expectStatus(200, enterprise.user, 'GET', vm.links.self);
  expect(shown).toMatchObject({
    state: 'LOCKED',
    storedState: 'NOT_ALLOCATED',
    lock: {
      operationId: operation.id,
      href: operation.links.self,
      kind: 'DEPLOY',
      reason: 'a deploy is under way',
      requestedBy: operation.requestedBy,
      since: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      ageSeconds: expect.any(Number),
    },
    links: { lockedBy: operation.links.self },
  });
  await api.db
    .updateTable('vm_lock')
    .set({ since: new Date(Date.now() - 90_500) })
    .where('vm_id', '=', vm.id)
    .execute();
  const later = await api.expectStatus(200, enterprise.user, 'GET', vm.links.self);
  expect(Number.isInteger(later.lock.ageSeconds)).toBe(true);
  expect(later.lock.ageSeconds).toBeGreaterThanOrEqual(90);
  // Who is refused is told the same as who looks; only the age goes on.
  const holder = { ...later.lock, ageSeconds: expect.any(Number) };
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
        step: 'BACKUP_SCHEDULE' as const,
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
