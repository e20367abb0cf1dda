/** Cancelling, settling and cleaning up, as a client asks for them. No worker runs: what a run would do is written down. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OperationState, StepName } from '../../../domain/operations.ts';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
let datacenter: { id: string };
let manager: { id: string; name: string };
let enterprise: Awaited<ReturnType<TestApi['newEnterprise']>>;
let stranger: Awaited<ReturnType<TestApi['newEnterprise']>>;
beforeAll(async () => {
  api = await startTestApi();
  datacenter = await api.newDatacenter();
  manager = await api.newManager(datacenter.id);
  enterprise = await api.newEnterprise();
  stranger = await api.newEnterprise();
});
afterAll(() => api.stop());

type Begun = { id: string; vmId: string; self: string };

/** A VM with an operation that was just asked for. */
async function begun(action: 'deploy' | 'undeploy' | 'power-off' | 'backup' | 'restore'): Promise<Begun> {
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(enterprise.id, policy.id);
  const vm = await api.newVm(enterprise.admin, datacenter.id, { backupPolicies: [{ policyId: policy.id }] });
  await api.setState(vm.id, action === 'deploy' ? 'NOT_ALLOCATED' : action === 'restore' ? 'OFF' : 'ON');
  const path =
    action === 'restore' ? `/v1/backup-results/${await newResult(vm.id)}/restores` : `${vm.links.self}/${action}`;
  const { id } = await api.expectStatus(202, enterprise.admin, 'POST', path);
  return { id, vmId: vm.id, self: `/v1/operations/${id}` };
}

async function newResult(vmId: string): Promise<string> {
  const at = '2026-11-22T02:00:00Z';
  const { id } = await api.db
    .insertInto('backup_result')
    .values({
      vm_id: vmId,
      enterprise_id: enterprise.id,
      manager_id: manager.id,
      origin: 'ON_DEMAND',
      name: 'a backup',
      status: 'SUCCEEDED',
      started_at: at,
      ended_at: at,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await api.db
    .insertInto('result_copy')
    .values({ result_id: id, location: 'avamar', vendor_id: 'b-1', vendor_vm_ref: 'client-1', state: 'LISTED' })
    .execute();
  return id;
}

/** What a run writes when it takes the operation up, and what more is given. */
async function takenUp(operation: Begun, more: { state?: OperationState; crossed?: boolean } = {}): Promise<void> {
  await api.db
    .updateTable('operation')
    .set({
      run_id: `run-${operation.id}`,
      state: more.state ?? 'RUNNING',
      started_at: new Date(),
      ...(more.crossed === true ? { point_of_no_return_at: new Date() } : {}),
    })
    .where('id', '=', operation.id)
    .execute();
}

/** A step that has been tried for so long. */
async function trying(operation: Begun, name: StepName, minutes: number): Promise<void> {
  const since = new Date(Date.now() - minutes * 60_000);
  await api.db
    .updateTable('step')
    .set({ state: 'RUNNING', attempts: 7, first_attempt_at: since, attempt_ended_at: new Date() })
    .where('operation_id', '=', operation.id)
    .where('name', '=', name)
    .execute();
}

const cancel = (operation: Begun, token = enterprise.admin) => api.send(token, 'POST', `${operation.self}/cancel`);
const settle = (operation: Begun, body: unknown, token = api.tokens.admin) =>
  api.send(token, 'POST', `${operation.self}/settle`, { body });
const cleanUp = (operation: Begun, token = enterprise.admin) =>
  api.send(token, 'POST', `${operation.self}/retry-cleanup`);
const lockOf = async (vmId: string) =>
  (await api.expectStatus(200, enterprise.admin, 'GET', `/v1/virtual-machines/${vmId}`)).lock;
const actionsOf = async (operation: Begun): Promise<string[]> =>
  (await api.expectStatus(200, api.tokens.admin, 'GET', `/v1/events?operationId=${operation.id}`)).items.map(
    (event: { action: string }) => event.action,
  );

test.each(['deploy', 'undeploy', 'power-off', 'backup', 'restore'] as const)(
  'a %s that no run has taken up is prevented, and its VM is free',
  async (action) => {
    const operation = await begun(action);
    const answer = await cancel(operation);
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({
      decision: 'PREVENTED',
      operation: { id: operation.id, state: 'CANCELLED', error: { code: 'CANCELLED' }, residue: [] },
    });
    expect(answer.body.operation.finishedAt).not.toBeNull();
    expect(await lockOf(operation.vmId)).toBeNull();
    expect(await actionsOf(operation)).toContain('CANCEL_REQUESTED');
    // Asked again it answers the same, and nothing more happens.
    const again = await cancel(operation);
    expect(again.body).toEqual(answer.body);
    expect((await actionsOf(operation)).filter((name) => name === 'CANCEL_REQUESTED')).toHaveLength(1);
  },
);

test.each(['deploy', 'undeploy', 'power-off', 'backup'] as const)('a %s that has begun rolls back', async (action) => {
  const operation = await begun(action);
  await takenUp(operation);
  const answer = await cancel(operation);
  expect([answer.status, answer.body.decision]).toEqual([202, 'ROLLING_BACK']);
  expect(answer.body.operation).toMatchObject({ state: 'RUNNING', finishedAt: null });
  expect(answer.body.operation.cancelRequestedAt).not.toBeNull();
  expect(await lockOf(operation.vmId)).toMatchObject({ operationId: operation.id });
  expect((await cancel(operation)).body).toEqual(answer.body);
  expect((await actionsOf(operation)).filter((name) => name === 'CANCEL_REQUESTED')).toHaveLength(1);
});

test('an operation that is carried on after its run was lost has begun, also before the next run has', async () => {
  const operation = await begun('deploy');
  await api.db.updateTable('operation').set({ recovery: 1 }).where('id', '=', operation.id).execute();
  expect((await cancel(operation)).body.decision).toBe('ROLLING_BACK');
  expect(await lockOf(operation.vmId)).toMatchObject({ operationId: operation.id });
});

test('one that failed and is being undone goes on being undone, and no cancel is promised', async () => {
  const operation = await begun('deploy');
  await takenUp(operation);
  await trying(operation, 'ALLOCATE', 1);
  await api.db
    .updateTable('step')
    .set({ compensation: 'RUNNING', compensation_started_at: new Date() })
    .where('operation_id', '=', operation.id)
    .where('name', '=', 'ALLOCATE')
    .execute();
  const answer = await cancel(operation);
  expect([answer.status, answer.body.decision]).toEqual([202, 'ROLLING_BACK']);
  expect(answer.body.reason).toContain('failed and is being undone already');
  expect(answer.body.operation).toMatchObject({ state: 'RUNNING', cancelRequestedAt: null });
  expect(await actionsOf(operation)).not.toContain('CANCEL_REQUESTED');
});

test('past the point of no return it is too late, and nothing is promised', async () => {
  const operation = await begun('undeploy');
  await takenUp(operation, { crossed: true });
  const answer = await cancel(operation);
  expect(answer.body).toMatchObject({ decision: 'TOO_LATE', operation: { cancelRequestedAt: null } });
  expect(answer.body.reason).toContain('point of no return');
  expect(await actionsOf(operation)).not.toContain('CANCEL_REQUESTED');
});

test('an operation that has ended says how', async () => {
  const operation = await begun('deploy');
  await api.db
    .updateTable('operation')
    .set({ state: 'SUCCEEDED', finished_at: new Date(), run_id: 'run' })
    .where('id', '=', operation.id)
    .execute();
  expect((await cancel(operation)).body).toMatchObject({
    decision: 'TOO_LATE',
    reason: 'The operation has ended SUCCEEDED.',
  });
});

test('a restore that has begun cannot be cancelled', async () => {
  const operation = await begun('restore');
  await takenUp(operation);
  expect((await cancel(operation)).body).toMatchObject({
    decision: 'CANCEL_NOT_SUPPORTED',
    operation: { cancelRequestedAt: null },
  });
});

test('what began in the backup system is stopped there', async () => {
  const operation = await begun('backup');
  await api.db
    .updateTable('operation')
    .set({ kind: 'SCHEDULED_BACKUP', origin: 'BACKUP_SYSTEM' })
    .where('id', '=', operation.id)
    .execute();
  expect((await cancel(operation)).body).toMatchObject({
    decision: 'CANCEL_NOT_SUPPORTED',
    reason: expect.stringContaining('backup system'),
  });
});

test('to cancel needs the privilege that the operation needed', async () => {
  expect((await cancel(await begun('backup'), enterprise.user)).status).toBe(202);
  expect((await cancel(await begun('restore'), enterprise.user)).status).toBe(202);
  const refused = await cancel(await begun('deploy'), enterprise.user);
  expect([refused.status, refused.body.code]).toEqual([403, 'FORBIDDEN']);
  expect(refused.body.detail).toContain('VAPP_MANAGE');
  expect((await cancel(await begun('restore'), api.tokens.platform)).status).toBe(403);
});

test('a foreign operation is not there', async () => {
  const operation = await begun('deploy');
  expect((await cancel(operation, stranger.admin)).status).toBe(404);
  expect((await cleanUp(operation, stranger.admin)).status).toBe(404);
  expect(await lockOf(operation.vmId)).toMatchObject({ operationId: operation.id });
  const nobody = { ...operation, self: `/v1/operations/${crypto.randomUUID()}` };
  expect((await cancel(nobody)).status).toBe(404);
  expect((await cleanUp(nobody)).status).toBe(404);
  expect((await settle(nobody, { outcome: 'FAILED', reason: 'nothing' })).status).toBe(404);
});

test('an operation of unknown outcome ends as it is settled', async () => {
  const operation = await begun('backup');
  await takenUp(operation, { state: 'UNKNOWN_OUTCOME' });
  const answer = await settle(operation, { outcome: 'FAILED', reason: 'Avamar was reinstalled' });
  expect(answer.status).toBe(202);
  expect(answer.body).toMatchObject({
    state: 'FAILED',
    settlement: { outcome: 'FAILED', reason: 'Avamar was reinstalled', by: 'admin' },
    error: { code: 'OPERATION_SETTLED', message: expect.stringContaining('Avamar was reinstalled') },
  });
  expect(await lockOf(operation.vmId)).toBeNull();
  expect(await actionsOf(operation)).toContain('SETTLE_REQUESTED');
  // The same again is the same answer; another decision comes too late.
  expect((await settle(operation, { outcome: 'FAILED', reason: 'again' })).body).toEqual(answer.body);
  const other = await settle(operation, { outcome: 'SUCCEEDED', reason: 'it was there' });
  expect([other.status, other.body.code]).toEqual([409, 'OPERATION_ENDED']);
});

test('a settlement waits until what was written can have no more effect, and stands', async () => {
  const operation = await begun('power-off');
  await takenUp(operation);
  await trying(operation, 'POWER_OFF', 61);
  await api.db
    .updateTable('step')
    .set({ write_permitted_at: new Date(), attempt_ended_at: null })
    .where('operation_id', '=', operation.id)
    .execute();
  const answer = await settle(operation, { outcome: 'SUCCEEDED', reason: 'it is off' });
  expect([answer.status, answer.body.state, answer.body.finishedAt]).toEqual([202, 'RUNNING', null]);
  expect(answer.body.settlement).toMatchObject({ outcome: 'SUCCEEDED' });
  expect(await lockOf(operation.vmId)).toMatchObject({ operationId: operation.id });
  const other = await settle(operation, { outcome: 'FAILED', reason: 'no' });
  expect([other.status, other.body.code]).toEqual([409, 'OPERATION_SETTLED']);
  expect((await cancel(operation)).body.decision).toBe('TOO_LATE');

  await api.db
    .updateTable('step')
    .set({ write_permitted_at: new Date(Date.now() - 60_000) })
    .where('operation_id', '=', operation.id)
    .execute();
  const ended = await settle(operation, { outcome: 'SUCCEEDED', reason: 'it is off' });
  expect(ended.body).toMatchObject({ state: 'SUCCEEDED', error: null });
  const vm = await api.expectStatus(200, enterprise.admin, 'GET', `/v1/virtual-machines/${operation.vmId}`);
  expect(vm).toMatchObject({ state: 'OFF', lock: null });
});

test('an operation settled as FAILED names what it had begun as residue', async () => {
  const operation = await begun('deploy');
  await takenUp(operation);
  await trying(operation, 'ALLOCATE', 90);
  const { body } = await settle(operation, { outcome: 'FAILED', reason: 'the hypervisor is gone' });
  expect(body).toMatchObject({ state: 'FAILED', needsAttention: true });
  expect(body.residue).toMatchObject([{ step: 'ALLOCATE', system: 'HYPERVISOR', clearedAt: null, clearedBy: null }]);
  expect(body.residue[0].removeWith).toContain(`POST ${operation.self}/retry-cleanup`);
  expect(body.links.retryCleanup).toBe(`${operation.self}/retry-cleanup`);
});

test('an operation that is not stuck cannot be settled yet', async () => {
  const operation = await begun('power-off');
  const idle = await settle(operation, { outcome: 'FAILED', reason: 'impatience' });
  expect([idle.status, idle.body.code, idle.body.settleableAt]).toEqual([409, 'OPERATION_NOT_SETTLEABLE', undefined]);
  await takenUp(operation);
  await trying(operation, 'POWER_OFF', 50);
  const early = await settle(operation, { outcome: 'FAILED', reason: 'impatience' });
  expect([early.status, early.body.code]).toEqual([409, 'OPERATION_NOT_SETTLEABLE']);
  const inMinutes = (Date.parse(early.body.settleableAt) - Date.now()) / 60_000;
  expect(inMinutes).toBeGreaterThan(8);
  expect(inMinutes).toBeLessThan(11);
});

test('a backup that lasts long is no trouble, one of which nothing is heard is', async () => {
  const operation = await begun('backup');
  await takenUp(operation);
  await trying(operation, 'WATCH', 300);
  const { id } = await api.db
    .insertInto('session')
    .values({
      manager_id: manager.id,
      vm_id: operation.vmId,
      vendor_session_id: `s-${operation.id}`,
      vendor_vm_ref: 'client-1',
      kind: 'BACKUP',
      state: 'RUNNING',
      operation_id: operation.id,
      started_at: new Date(Date.now() - 300 * 60_000),
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const wish = { outcome: 'FAILED', reason: 'the backup system is dead' };
  expect((await settle(operation, wish)).status).toBe(409);
  await api.db
    .updateTable('session')
    .set({ last_seen_at: new Date(Date.now() - 61 * 60_000) })
    .where('id', '=', id)
    .execute();
  expect((await settle(operation, wish)).body).toMatchObject({ state: 'FAILED' });
});

test('only those who may settle', async () => {
  const operation = await begun('backup');
  await takenUp(operation, { state: 'UNKNOWN_OUTCOME' });
  for (const token of [enterprise.admin, enterprise.user, api.tokens.platform]) {
    expect((await settle(operation, { outcome: 'FAILED', reason: 'no' }, token)).status).toBe(403);
  }
});

test.each([
  ['an outcome that is none', { outcome: 'CANCELLED', reason: 'x' }, '/outcome'],
  ['no reason', { outcome: 'FAILED' }, '/reason'],
  ['an empty reason', { outcome: 'FAILED', reason: ' ' }, '/reason'],
  ['a reason of 501 characters', { outcome: 'FAILED', reason: 'x'.repeat(501) }, '/reason'],
  ['something more', { outcome: 'FAILED', reason: 'x', force: true }, '/force'],
])('a settlement with %s is refused', async (_what, body, pointer) => {
  const operation = await begun('power-off');
  const answer = await settle(operation, body);
  expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, pointer]);
});

test('a cleanup takes one step for each system, holds the VM and is begun once for a key', async () => {
  const operation = await begun('deploy');
  await takenUp(operation);
  await trying(operation, 'CONFIGURE', 90);
  await trying(operation, 'BACKUP_SCHEDULE', 90);
  await settle(operation, { outcome: 'FAILED', reason: 'gone' });
  const headers = { 'idempotency-key': 'cleanup-1' };
  const send = () => api.send(enterprise.admin, 'POST', `${operation.self}/retry-cleanup`, { headers });
  const answer = await send();
  expect(answer.status).toBe(202);
  expect(answer.headers.get('location')).toBe(`/v1/operations/${answer.body.id}`);
  expect(answer.body).toMatchObject({
    kind: 'CLEANUP',
    state: 'REQUESTED',
    request: { cleansUp: operation.id },
    steps: [
      { name: 'CLEAN_HYPERVISOR', manager: null },
      { name: 'CLEAN_BACKUP_SYSTEM', manager: { id: manager.id } },
    ],
  });
  expect((await send()).body.id).toBe(answer.body.id);
  expect(await lockOf(operation.vmId)).toMatchObject({ operationId: answer.body.id, kind: 'CLEANUP' });
  const other = await cleanUp(operation);
  expect([other.status, other.body.code]).toEqual([409, 'VM_LOCKED']);
  expect((await cleanUp(operation, enterprise.user)).status).toBe(403);
});

test('what an operation has left can be cleaned up when its VM was deleted', async () => {
  const operation = await begun('deploy');
  await takenUp(operation);
  await trying(operation, 'BACKUP_SCHEDULE', 90);
  await settle(operation, { outcome: 'FAILED', reason: 'gone' });
  await api.expectStatus(204, enterprise.admin, 'DELETE', `/v1/virtual-machines/${operation.vmId}`);
  expect((await cleanUp(operation)).status).toBe(202);
});

test('where nothing is left there is nothing to clean', async () => {
  const operation = await begun('deploy');
  await cancel(operation);
  const answer = await cleanUp(operation);
  expect([answer.status, answer.body.code]).toEqual([409, 'NOTHING_TO_CLEAN']);
});

test('a forced undeploy needs a privilege of its own and is told as a warning', async () => {
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(enterprise.id, policy.id);
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  await api.setState(vm.id, 'ON');
  const path = `${vm.links.self}/undeploy`;
  const body = { forceUndeploy: true };
  const refused = await api.send(enterprise.admin, 'POST', path, { body });
  expect([refused.status, refused.body.code]).toEqual([403, 'FORBIDDEN']);
  expect(refused.body.detail).toContain('VAPP_FORCE_UNDEPLOY');
  expect(await lockOf(vm.id)).toBeNull();

  const operation = await api.expectStatus(202, api.tokens.platform, 'POST', path, { body });
  expect(operation).toMatchObject({ kind: 'UNDEPLOY', request: { forceUndeploy: true } });
  const events = await api.expectStatus(200, api.tokens.admin, 'GET', `/v1/events?operationId=${operation.id}`);
  expect(events.items).toMatchObject([{ action: 'UNDEPLOY', severity: 'WARN' }]);
  expect(events.items[0].message).toContain('forced');
  expect(events.items[0].message).toContain('platform');
});

test('an undeploy that is not forced says nothing of force', async () => {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  await api.setState(vm.id, 'ON');
  const operation = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/undeploy`, {
    body: { forceUndeploy: false },
  });
  expect(operation.request).toEqual({});
});
