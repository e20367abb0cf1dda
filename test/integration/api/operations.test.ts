import { afterAll, beforeAll, expect, test } from 'vitest';
import { VM_STATES } from '../../../domain/virtual-machines.ts';
import { startTestApi, type TestApi } from './test-api.ts';

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

async function newVm(state: 'NOT_ALLOCATED' | 'ON' | 'OFF' | 'UNKNOWN', more: Record<string, unknown> = {}) {
  const vm = await api.newVm(enterprise.admin, datacenter.id, more);
  await api.setState(vm.id, state);
  return vm;
}

async function newPolicy() {
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(enterprise.id, policy.id);
  return policy;
}

async function newResult(vmId: string, more: { status?: 'FAILED'; listed?: boolean } = {}) {
  const { id } = await api.db
    .insertInto('backup_result')
    .values({
      vm_id: vmId,
      enterprise_id: enterprise.id,
      manager_id: manager.id,
      origin: 'SCHEDULED',
      name: 'Nightly 2026-11-22',
      status: more.status ?? 'SUCCEEDED',
      size_bytes: 5_000_000_000,
      started_at: '2026-11-22T02:00:00Z',
      ended_at: '2026-11-22T02:30:00Z',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await api.db
    .insertInto('result_copy')
    .values({
      result_id: id,
      location: 'avamar',
      vendor_id: 'b-1',
      vendor_vm_ref: 'client-1',
      state: more.listed === false ? 'EXPIRED' : 'LISTED',
      expires_at: '2026-12-22T02:00:00Z',
    })
    .execute();
  return id;
}

test.each([
  ['deploy', 'DEPLOY', 'NOT_ALLOCATED', ['ALLOCATE', 'CONFIGURE', 'POWER_ON', 'BACKUP_SCHEDULE']],
  ['undeploy', 'UNDEPLOY', 'ON', ['BACKUP_SCHEDULE', 'POWER_OFF', 'DECONFIGURE', 'DEALLOCATE']],
  ['power-on', 'POWER_ON', 'OFF', ['POWER_ON']],
  ['power-off', 'POWER_OFF', 'ON', ['POWER_OFF']],
] as const)('%s answers 202 with the operation and its steps', async (action, kind, state, steps) => {
  const vm = await newVm(state);
  const answer = await api.send(enterprise.admin, 'POST', `${vm.links.self}/${action}`);
  expect(answer.status).toBe(202);
  expect(answer.headers.get('location')).toBe(`/v1/operations/${answer.body.id}`);
  expect(answer.body).toMatchObject({
    kind,
    origin: 'HOLDFAST',
    state: 'REQUESTED',
    vm: { id: vm.id, name: vm.name },
    enterpriseId: enterprise.id,
    datacenterId: datacenter.id,
    progress: 0,
    needsAttention: false,
    error: null,
    finishedAt: null,
    residue: [],
    links: { self: `/v1/operations/${answer.body.id}`, vm: vm.links.self },
  });
  expect(answer.body.steps.map((step: { name: string }) => step.name)).toEqual(steps);
  const ui = new URL(answer.body.links.temporalUi);
  expect(decodeURIComponent(ui.pathname.split('/workflows/')[1] as string)).toMatch(new RegExp(`^vm/${vm.name}~`));
  expect(await api.expectStatus(200, enterprise.user, 'GET', answer.body.links.self)).toEqual(answer.body);
});

test.each([
  ['deploy', 'ON', 'VM_DEPLOY_NOT_ALLOWED', 'VM-7'],
  ['undeploy', 'NOT_ALLOCATED', 'VM_UNDEPLOY_NOT_ALLOWED', 'VM-12'],
  ['power-on', 'ON', 'VM_STATE_NOT_ALLOWED', 'VM-10'],
  ['power-on', 'NOT_ALLOCATED', 'VM_NOT_DEPLOYED', 'VM-3'],
  ['power-on', 'UNKNOWN', 'VM_STATE_NOT_ALLOWED', 'VM-10'],
  ['power-off', 'OFF', 'VM_STATE_NOT_ALLOWED', 'VM-10'],
  ['power-off', 'NOT_ALLOCATED', 'VM_NOT_DEPLOYED', 'VM-3'],
  ['backup', 'NOT_ALLOCATED', 'BACKUP_REQUEST_VM_MUST_BE_DEPLOYED', 'BC-42'],
] as const)('%s of a VM that is %s is refused', async (action, state, code, legacyCode) => {
  const vm = await newVm(state);
  const answer = await api.send(enterprise.admin, 'POST', `${vm.links.self}/${action}`);
  expect([answer.status, answer.body.code, answer.body.legacyCode]).toEqual([409, code, legacyCode]);
});

test.each(VM_STATES)('what may begin on a VM that is %s, and how the rest is refused', async (state) => {
  const deployed = ['ON', 'OFF', 'PAUSED'].includes(state);
  const unmade = ['NOT_ALLOCATED', 'ALLOCATED', 'CONFIGURED'].includes(state);
  const notNow = unmade ? 'VM-3' : 'VM-10';
  const expected: Record<string, string> = {
    deploy: state === 'NOT_ALLOCATED' ? '202' : 'VM-7',
    undeploy: state === 'NOT_ALLOCATED' ? 'VM-12' : '202',
    'power-on': state === 'OFF' || state === 'CONFIGURED' ? '202' : notNow,
    'power-off': state === 'ON' ? '202' : notNow,
    backup: deployed ? '202' : 'BC-42',
    // Not allocated it is a draft, which is changed at once.
    change: state === 'NOT_ALLOCATED' ? '200' : state === 'ON' || state === 'OFF' ? '202' : notNow,
    delete: state === 'NOT_ALLOCATED' ? '204' : 'VM-8',
  };
  const policy = await newPolicy();
  const answers: Record<string, string> = {};
  for (const action of Object.keys(expected)) {
    const vm = await newVm('NOT_ALLOCATED', { backupPolicies: [{ policyId: policy.id }] });
    await api.db.updateTable('virtual_machine').set({ state }).where('id', '=', vm.id).execute();
    const { cpu, memoryMiB, disks, backupPolicies } = vm;
    const answer =
      action === 'change'
        ? await api.send(enterprise.admin, 'PUT', vm.links.self, {
            body: { cpu: cpu + 1, memoryMiB, disks, backupPolicies },
          })
        : action === 'delete'
          ? await api.send(enterprise.admin, 'DELETE', vm.links.self)
          : await api.send(enterprise.admin, 'POST', `${vm.links.self}/${action}`);
    answers[action] = answer.status === 409 ? answer.body.legacyCode : String(answer.status);
  }
  expect(answers).toEqual(expected);
});

test('a VM does one thing at a time', async () => {
  const vm = await newVm('ON');
  const answers = await Promise.all(
    ['power-off', 'undeploy', 'power-off', 'undeploy'].map((action) =>
      api.send(enterprise.admin, 'POST', `${vm.links.self}/${action}`),
    ),
  );
  expect(answers.map((answer) => String(answer.status)).toSorted()).toEqual(['202', '409', '409', '409']);
  const winner = answers.find((answer) => answer.status === 202)?.body;
  for (const { body } of answers.filter((answer) => answer.status === 409)) {
    expect(body).toMatchObject({ code: 'VM_LOCKED', legacyCode: 'VM-2', holder: { operationId: winner.id } });
  }
});

test('the same key begins one operation, however often and however fast it is sent', async () => {
  const vm = await newVm('OFF');
  const path = `${vm.links.self}/power-on`;
  const headers = { 'idempotency-key': 'power-on-1' };
  const answers = await Promise.all([1, 2, 3].map(() => api.send(enterprise.admin, 'POST', path, { headers })));
  expect(answers.map((answer) => answer.status)).toEqual([202, 202, 202]);
  expect(new Set(answers.map((answer) => answer.body.id)).size).toBe(1);
  expect(answers.filter((answer) => answer.headers.get('idempotency-replayed') === 'true')).toHaveLength(2);

  const other = await newVm('OFF');
  const reused = await api.send(enterprise.admin, 'POST', `${other.links.self}/power-on`, { headers });
  expect([reused.status, reused.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  // Another token has keys of its own.
  expect((await api.send(api.tokens.platform, 'POST', `${other.links.self}/power-on`, { headers })).status).toBe(202);
});

test('a key belongs to its body, in whatever order that is written', async () => {
  const policy = await newPolicy();
  const vm = await newVm('ON', { backupPolicies: [{ policyId: policy.id }] });
  const path = `${vm.links.self}/backup`;
  const headers = { 'idempotency-key': 'backup-1' };
  const send = (raw: string) => api.send(enterprise.user, 'POST', path, { raw, headers });
  const first = await send(`{"policyId":"${policy.id}","replication":false}`);
  expect(first.status).toBe(202);
  const again = await send(`{ "replication": false, "policyId": "${policy.id}" }`);
  expect([again.status, again.body.id]).toEqual([202, first.body.id]);
  expect((await send(`{"policyId":"${policy.id}"}`)).body.code).toBe('IDEMPOTENCY_KEY_REUSED');
});

test.each([
  ['with a space', 'a b'],
  ['of 256 characters', 'x'.repeat(256)],
])('a key %s is refused', async (_name, key) => {
  const vm = await newVm('OFF');
  const answer = await api.send(enterprise.admin, 'POST', `${vm.links.self}/power-on`, {
    headers: { 'idempotency-key': key },
  });
  expect(answer.status).toBe(422);
  expect(answer.body.errors[0].pointer).toBe('/idempotency-key');
});

test('a request that was refused leaves its key free', async () => {
  const vm = await newVm('ON');
  const headers = { 'idempotency-key': 'refused-1' };
  const send = () => api.send(enterprise.admin, 'POST', `${vm.links.self}/power-on`, { headers });
  expect((await send()).status).toBe(409);
  await api.setState(vm.id, 'OFF');
  expect((await send()).status).toBe(202);
});

test('options that a request does not know are refused', async () => {
  const vm = await newVm('ON');
  const answer = await api.send(enterprise.admin, 'POST', `${vm.links.self}/undeploy`, { body: { force: true } });
  expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, '/force']);
});

test('a USER backs up and restores, and does not deploy or power', async () => {
  const vm = await newVm('ON');
  for (const action of ['deploy', 'undeploy', 'power-on', 'power-off']) {
    expect((await api.send(enterprise.user, 'POST', `${vm.links.self}/${action}`)).status).toBe(403);
  }
  const result = await newResult(vm.id);
  expect((await api.send(api.tokens.platform, 'POST', `/v1/backup-results/${result}/restores`)).status).toBe(403);
});

test('a backup needs to know its policy', async () => {
  const [first, second] = [await newPolicy(), await newPolicy()];
  const vm = await newVm('ON', { backupPolicies: [{ policyId: first.id }, { policyId: second.id }] });
  const path = `${vm.links.self}/backup`;
  const ambiguous = await api.send(enterprise.user, 'POST', path);
  expect([ambiguous.status, ambiguous.body.code]).toEqual([422, 'BACKUP_POLICY_AMBIGUOUS']);
  const backup = await api.expectStatus(202, enterprise.user, 'POST', path, { body: { policyId: second.id } });
  expect(backup).toMatchObject({ kind: 'BACKUP', request: { policyId: second.id, managerId: manager.id } });
  expect(backup.steps[0]).toMatchObject({ name: 'REQUEST_BACKUP', manager: { id: manager.id, name: manager.name } });
});

test('a backup is copied to another system when that is asked for', async () => {
  const policy = await newPolicy();
  const vm = await newVm('ON', { backupPolicies: [{ policyId: policy.id }] });
  const body = { replication: true };
  const backup = await api.expectStatus(202, enterprise.user, 'POST', `${vm.links.self}/backup`, { body });
  expect(backup).toMatchObject({ kind: 'BACKUP', request: { policyId: policy.id, replication: true } });
  expect(backup.steps.at(-1)).toMatchObject({ name: 'REPLICATE', manager: { id: manager.id } });
});

test('results are listed with their copies, and say whether they can be restored', async () => {
  const vm = await newVm('OFF');
  const good = await newResult(vm.id);
  const failed = await newResult(vm.id, { status: 'FAILED' });
  const expired = await newResult(vm.id, { listed: false });
  const list = await api.expectStatus(200, enterprise.user, 'GET', vm.links.backupResults);
  const restorable = Object.fromEntries(
    list.items.map((item: { id: string; restorable: boolean }) => [item.id, item.restorable]),
  );
  expect(restorable).toEqual({ [good]: true, [failed]: false, [expired]: false });
  expect(await api.expectStatus(200, enterprise.user, 'GET', `/v1/backup-results/${good}`)).toMatchObject({
    name: 'Nightly 2026-11-22',
    vm: { id: vm.id, name: vm.name },
    manager: { id: manager.id, name: manager.name },
    sizeBytes: 5_000_000_000,
    startedAt: '2026-11-22T02:00:00.000Z',
    copies: [{ state: 'LISTED', expiresAt: '2026-12-22T02:00:00.000Z', overdue: false }],
  });
  const filtered = await api.expectStatus(200, enterprise.user, 'GET', `${vm.links.backupResults}?status=FAILED`);
  expect(filtered.items.map((item: { id: string }) => item.id)).toEqual([failed]);
  for (const id of [failed, expired]) {
    const refused = await api.send(enterprise.user, 'POST', `/v1/backup-results/${id}/restores`);
    expect([refused.status, refused.body.code]).toEqual([409, 'BACKUP_STATUS_FOR_RESTORE']);
  }
});

test('a restore hangs under its backup', async () => {
  const vm = await newVm('ON');
  const result = await newResult(vm.id);
  const path = `/v1/backup-results/${result}/restores`;
  const running = await api.send(enterprise.user, 'POST', path);
  expect([running.status, running.body.code]).toEqual([409, 'BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF']);
  await api.setState(vm.id, 'OFF');
  const other = await api.send(enterprise.user, 'POST', path, { body: { copyId: crypto.randomUUID() } });
  expect([other.status, other.body.errors]).toMatchObject([422, [{ pointer: '/copyId' }]]);
  const operation = await api.expectStatus(202, enterprise.user, 'POST', path);
  expect(operation).toMatchObject({ kind: 'RESTORE', request: { resultId: result } });
  expect(operation.links.backupResult).toBe(`/v1/backup-results/${result}`);

  await api.db
    .insertInto('restore_result')
    .values({
      result_id: result,
      vm_id: vm.id,
      enterprise_id: enterprise.id,
      manager_id: manager.id,
      operation_id: operation.id,
      status: 'IN_PROGRESS',
      started_at: new Date(),
    })
    .execute();
  const restores = await api.expectStatus(200, enterprise.user, 'GET', path);
  expect(restores.items).toMatchObject([
    { resultId: result, vmId: vm.id, operationId: operation.id, status: 'IN_PROGRESS' },
  ]);
  const shown = await api.expectStatus(200, enterprise.user, 'GET', operation.links.self);
  expect(shown.links.restores).toBe(path);
  const unknown = await api.send(enterprise.user, 'POST', `/v1/backup-results/${crypto.randomUUID()}/restores`);
  expect([unknown.status, unknown.body.code, unknown.body.legacyCode]).toEqual([
    404,
    'BACKUP_RESTORE_NOT_FOUND',
    'BC-20',
  ]);
});

test('an operation tells how each step ended, how it was undone and what was left', async () => {
  const vm = await newVm('NOT_ALLOCATED');
  const operation = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/deploy`);
  const error = { code: 'BACKUP_SYSTEM_REFUSED', message: 'it refuses', vendorMessage: 'quota exhausted' };
  await api.db
    .updateTable('step')
    .set({
      state: 'DONE',
      attempts: 2,
      first_attempt_at: '2026-11-22T10:00:00Z',
      ended_at: '2026-11-22T10:00:01Z',
      compensation: 'FAILED',
      compensation_attempts: 3,
      compensation_error: JSON.stringify(error),
      compensation_started_at: '2026-11-22T10:01:00Z',
      compensation_ended_at: '2026-11-22T10:02:00Z',
    })
    .where('operation_id', '=', operation.id)
    .where('name', '=', 'ALLOCATE')
    .execute();
  await api.db
    .updateTable('operation')
    .set({
      state: 'ROLLED_BACK_WITH_RESIDUE',
      run_id: 'run-1',
      error: JSON.stringify(error),
      finished_at: '2026-11-22T10:03:00Z',
    })
    .where('id', '=', operation.id)
    .execute();
  await api.db
    .insertInto('residue')
    .values({
      operation_id: operation.id,
      vm_id: vm.id,
      step: 'CONFIGURE',
      system: 'HYPERVISOR',
      system_name: 'datacenter',
      ref: 'vm-42',
      description: 'a half-made virtual machine',
      remove_with: 'DELETE /vms/vm-42',
    })
    .execute();

  const told = { type: '/errors/BACKUP_SYSTEM_REFUSED', ...error };
  const shown = await api.expectStatus(200, enterprise.user, 'GET', operation.links.self);
  expect(shown).toMatchObject({
    state: 'ROLLED_BACK_WITH_RESIDUE',
    finishedAt: '2026-11-22T10:03:00.000Z',
    error: told,
    residue: [{ system: 'HYPERVISOR', ref: 'vm-42', removeWith: 'DELETE /vms/vm-42', clearedAt: null }],
  });
  expect(shown.steps[0]).toEqual({
    name: 'ALLOCATE',
    manager: null,
    state: 'DONE',
    reason: null,
    attempts: 2,
    startedAt: '2026-11-22T10:00:00.000Z',
    endedAt: '2026-11-22T10:00:01.000Z',
    error: null,
    compensation: {
      state: 'FAILED',
      attempts: 3,
      error: told,
      startedAt: '2026-11-22T10:01:00.000Z',
      endedAt: '2026-11-22T10:02:00.000Z',
    },
  });
  expect(shown.steps[3]).toMatchObject({
    name: 'BACKUP_SCHEDULE',
    state: 'SKIPPED',
    reason: 'the virtual machine has no backup policy',
  });
  expect(shown.links.temporalUi).toMatch(/\/run-1$/);
});

test('the list of operations can be narrowed', async () => {
  const vm = await newVm('ON');
  const { id } = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/power-off`);
  const found = async (query: string) =>
    (await api.expectStatus(200, enterprise.user, 'GET', `/v1/operations?vmId=${vm.id}${query}`)).items.map(
      (item: { id: string }) => item.id,
    );
  expect(await found('')).toEqual([id]);
  expect(await found('&state=open')).toEqual([id]);
  expect(await found('&state=SUCCEEDED')).toEqual([]);
  expect(await found('&kind=POWER_OFF')).toEqual([id]);
  expect(await found('&kind=BACKUP')).toEqual([]);
  expect(await found('&needsAttention=true')).toEqual([]);
  expect(await found('&needsAttention=false')).toEqual([id]);
});

test('a request is accepted while Temporal is away', async () => {
  const cut = await startTestApi({ temporalAddress: '127.0.0.1:1' });
  try {
    const tenant = await cut.newEnterprise();
    const vm = await cut.newVm(tenant.admin, (await cut.newDatacenter()).id);
    const answer = await cut.send(tenant.admin, 'POST', `${vm.links.self}/deploy`);
    expect([answer.status, answer.body.state]).toEqual([202, 'REQUESTED']);
  } finally {
    await cut.stop();
  }
});
