import { DateTime } from 'luxon';
import { beforeAll, expect, inject, test } from 'vitest';
import { type Client, clientOf, developmentClient, type Document, endOf, eventually, setUp } from './client.ts';

const system = inject('system');
let admin: Client;
let platform: Client;
let world: Awaited<ReturnType<typeof setUp>>;

beforeAll(async () => {
  admin = developmentClient(system, 'CLOUD_ADMIN');
  platform = developmentClient(system, 'PLATFORM');
  world = await setUp(admin, system, 'acme');
});

const simulator = (name: 'hypervisor' | 'avamar' | 'veeam', path: string, body?: unknown) =>
  fetch(`http://127.0.0.1:${system.ports[name]}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

const hypervisorVms = async (): Promise<Document[]> =>
  ((await (await simulator('hypervisor', '/vms')).json()) as { vms: Document[] }).vms;

test('a VM is deployed together with its backup schedule', async () => {
  const vmId = await world.newVm('web-1');
  const accepted = await platform('POST', `/v1/virtual-machines/${vmId}/deploy`);
  expect(accepted.status).toBe(202);
  expect(accepted.body).toMatchObject({ kind: 'DEPLOY', vm: { id: vmId, name: 'web-1' } });

  const operation = await endOf(platform, accepted);
  expect(operation).toMatchObject({ state: 'SUCCEEDED', error: null, progress: 100 });
  expect(operation['steps'].map((step: Document) => [step['name'], step['state']])).toEqual([
    ['ALLOCATE', 'DONE'],
    ['CONFIGURE', 'DONE'],
    ['POWER_ON', 'DONE'],
    ['BACKUP_SCHEDULE', 'DONE'],
  ]);
  expect(operation['links'].temporalUi).toContain(encodeURIComponent('vm/web-1~'));
  const vm = (await platform('GET', `/v1/virtual-machines/${vmId}`)).body;
  expect(vm).toMatchObject({ state: 'ON', lock: null });
  expect(await hypervisorVms()).toContainEqual(expect.objectContaining({ id: vmId, power: 'ON' }));
});

test('a deploy whose schedule is refused ends ROLLED_BACK: no VM, no schedule, no lock, and every step is told', async () => {
  const vmId = await world.newVm('web-2');
  await simulator('avamar', '/_simulator/faults', {
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 22234, message: 'The policy quota is exhausted.' } },
  });
  const operation = await endOf(platform, await platform('POST', `/v1/virtual-machines/${vmId}/deploy`));
  expect(operation).toMatchObject({
    state: 'ROLLED_BACK',
    error: { code: 'BACKUP_SYSTEM_REFUSED', vendorMessage: expect.stringContaining('quota is exhausted') },
    residue: [],
  });
  expect(operation['steps'].map((step: Document) => [step['name'], step['state'], step['compensation'].state])).toEqual(
    [
      ['ALLOCATE', 'DONE', 'DONE'],
      ['CONFIGURE', 'DONE', 'DONE'],
      ['POWER_ON', 'DONE', 'DONE'],
      ['BACKUP_SCHEDULE', 'FAILED', 'DONE'],
    ],
  );
  expect((await platform('GET', `/v1/virtual-machines/${vmId}`)).body).toMatchObject({
    state: 'NOT_ALLOCATED',
    lock: null,
    schedules: [],
  });
  expect((await hypervisorVms()).map((vm) => vm['id'])).not.toContain(vmId);
});

test('two deploys at once: one 202, one 409 that names the holder; the same key twice is the same operation', async () => {
  const vmId = await world.newVm('web-3');
  const path = `/v1/virtual-machines/${vmId}/deploy`;
  const answers = await Promise.all([platform('POST', path), platform('POST', path)]);
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202, 409]));
  const accepted = answers.find((answer) => answer.status === 202);
  const refused = answers.find((answer) => answer.status === 409);
  expect(refused?.body).toMatchObject({
    code: 'VM_LOCKED',
    holder: { operationId: accepted?.body['id'], kind: 'DEPLOY', requestedBy: 'development platform' },
  });
  if (accepted !== undefined) await endOf(platform, accepted);

  const key = { 'idempotency-key': 'acceptance-power-off' };
  const off = `/v1/virtual-machines/${vmId}/power-off`;
  const [first, again] = [await platform('POST', off, undefined, key), await platform('POST', off, undefined, key)];
  expect(again.body['id']).toBe(first.body['id']);
  expect(again.location).toBe(first.location);
  expect((await endOf(platform, first))['state']).toBe('SUCCEEDED');
});

test('a tenant backs up its VM and restores it; nobody can touch it meanwhile; other tenants see nothing', async () => {
  const tokens = `/v1/enterprises/${world.enterpriseId}/tokens`;
  const { body: token } = await admin('POST', tokens, { role: 'USER', name: 'portal of acme' });
  const user = clientOf(system.url, token['token']);
  const vmId = await world.newVm('db-1');
  await endOf(platform, await platform('POST', `/v1/virtual-machines/${vmId}/deploy`));

  const backup = await user('POST', `/v1/virtual-machines/${vmId}/backup`, {});
  const listed = await eventually(
    'the result is listed',
    () => user('GET', `/v1/virtual-machines/${vmId}/backup-results`),
    ({ body }) => body['items']?.length > 0,
  );
  expect(listed.body['items'][0]).toMatchObject({ status: 'IN_PROGRESS' });
  expect((await user('GET', `/v1/virtual-machines/${vmId}`)).body).toMatchObject({
    state: 'LOCKED',
    lock: { operationId: backup.body['id'], kind: 'BACKUP' },
  });
  expect((await platform('POST', `/v1/virtual-machines/${vmId}/power-off`)).status).toBe(409);
  expect((await endOf(user, backup))['state']).toBe('SUCCEEDED');
  const resultId = listed.body['items'][0].id;
  const { body: result } = await user('GET', `/v1/backup-results/${resultId}`);
  expect(result).toMatchObject({ status: 'SUCCEEDED', restorable: true });

  await endOf(platform, await platform('POST', `/v1/virtual-machines/${vmId}/power-off`));
  const restored = await endOf(user, await user('POST', `/v1/backup-results/${resultId}/restores`, {}));
  expect(restored).toMatchObject({ kind: 'RESTORE', state: 'SUCCEEDED' });
  const restores = await user('GET', `/v1/backup-results/${resultId}/restores`);
  expect(restores.body['items']).toMatchObject([{ status: 'SUCCEEDED' }]);

  const { body: rival } = await admin('POST', '/v1/enterprises', { name: 'globex' });
  const { body: rivalToken } = await admin('POST', `/v1/enterprises/${rival['id']}/tokens`, {
    role: 'ENTERPRISE_ADMIN',
    name: 'portal of globex',
  });
  const stranger = clientOf(system.url, rivalToken['token']);
  for (const path of [`/v1/virtual-machines/${vmId}`, `/v1/backup-results/${resultId}`, String(backup.location)]) {
    expect((await stranger('GET', path)).status).toBe(404);
  }
  expect((await stranger('POST', `/v1/backup-results/${resultId}/restores`, {})).status).toBe(404);
  expect((await stranger('GET', '/v1/virtual-machines')).body['items']).toEqual([]);
  expect((await user('POST', `/v1/virtual-machines/${vmId}/deploy`)).status).toBe(403);
});

test('Veeam runs a job of its own for a VM; what it restores becomes the VM, and one machine is left', async () => {
  const bilbao = await setUp(admin, system, 'hooli', 'veeam');
  const check = await admin('POST', `/v1/backup-managers/${bilbao.managerId}/check`);
  expect(check.body).toMatchObject({ reachable: true, problems: [], policies: [{ code: 'GOLD', ok: true }] });
  const vmId = await bilbao.newVm('books-1');
  const path = `/v1/virtual-machines/${vmId}`;
  expect(await endOf(platform, await platform('POST', `${path}/deploy`))).toMatchObject({ state: 'SUCCEEDED' });
  expect(await admin('POST', `${path}/backup`)).toMatchObject({
    status: 409,
    body: { code: 'BACKUP_ONDEMAND_NOT_SUPPORTED' },
  });

  const now = DateTime.now().setZone('Europe/Madrid');
  const time = now.set({ hour: 3, minute: 30, second: 1 });
  const next = time > now ? time : time.plus({ days: 1 });
  await simulator('veeam', '/_simulator/clock', { advanceSeconds: Math.ceil(next.diff(now).as('seconds')) });
  const results = await eventually(
    'Veeam backs it up',
    () => admin('GET', `${path}/backup-results`),
    ({ body }) => body['items']?.[0]?.restorable === true,
  );
  const [result] = results.body['items'];
  expect(result).toMatchObject({ origin: 'SCHEDULED', copies: [{ expiryEstimated: true, overdue: false }] });

  await eventually(
    'its lock is free',
    () => platform('GET', path),
    ({ body }) => body['lock'] === null,
  );
  const { hypervisorRef: before } = (await platform('GET', path)).body;
  await endOf(platform, await platform('POST', `${path}/power-off`));
  const restored = await endOf(admin, await admin('POST', `/v1/backup-results/${result.id}/restores`, {}));
  expect(restored).toMatchObject({ kind: 'RESTORE', state: 'SUCCEEDED', residue: [] });
  const { hypervisorRef: after } = (await platform('GET', path)).body;
  expect(after).not.toBe(before);
  const machines = (await hypervisorVms()).filter(({ name }) => name.startsWith('books-1'));
  expect(machines).toMatchObject([{ id: vmId, moref: after }]);
});

test('a backup manager is checked, and its credentials are never told', async () => {
  const check = await admin('POST', `/v1/backup-managers/${world.managerId}/check`);
  expect(check).toMatchObject({ status: 200, body: { reachable: true, problems: [] } });
  const manager = await admin('GET', `/v1/backup-managers/${world.managerId}`);
  expect(manager.body).toMatchObject({ hasCredentials: true });
  expect(JSON.stringify(manager.body)).not.toContain('avamar-simulator');
});
