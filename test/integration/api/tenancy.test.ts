import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
let own: Awaited<ReturnType<TestApi['newEnterprise']>>;
let foreign: Record<string, string>;

/** What stands in each path is the other enterprise's; a datacenter belongs to all. */
const WHOSE: Readonly<Record<string, string>> = {
  '/v1/enterprises/': 'enterprise',
  '/v1/datacenters/': 'datacenter',
  '/v1/backup-managers/': 'manager',
  '/v1/backup-policies/': 'policy',
  '/v1/virtual-machines/': 'vm',
  '/v1/operations/': 'operation',
  '/v1/backup-results/': 'result',
  '/v1/events/': 'event',
};

beforeAll(async () => {
  api = await startTestApi();
  const datacenter = await api.newDatacenter();
  const manager = await api.newManager(datacenter.id);
  const policy = await api.newPolicy(datacenter.id, manager.id);
  own = await api.newEnterprise();
  const other = await api.newEnterprise();
  await api.allow(other.id, policy.id);
  const vm = await api.newVm(other.admin, datacenter.id, { backupPolicies: [{ policyId: policy.id }] });
  await api.setState(vm.id, 'OFF');
  const result = await api.db
    .insertInto('backup_result')
    .values({
      vm_id: vm.id,
      enterprise_id: other.id,
      manager_id: manager.id,
      origin: 'ON_DEMAND',
      name: 'backup',
      status: 'SUCCEEDED',
      started_at: new Date(),
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const operation = await api.expectStatus(202, other.admin, 'POST', `${vm.links.self}/power-on`);
  const events = await api.expectStatus(200, other.admin, 'GET', vm.links.events);
  const tokens = await api.expectStatus(200, api.tokens.admin, 'GET', `/v1/enterprises/${other.id}/tokens`);
  foreign = {
    enterprise: other.id,
    datacenter: datacenter.id,
    manager: manager.id,
    policy: policy.id,
    vm: vm.id,
    operation: operation.id,
    result: result.id,
    event: events.items[0].id,
    token: tokens.items[0].id,
  };
});
afterAll(() => api.stop());

async function routes(): Promise<{ method: string; path: string }[]> {
  const document = (await api.send(undefined, 'GET', '/openapi.json')).body;
  return Object.entries<object>(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => ({ method: method.toUpperCase(), path })),
  );
}

/** A body that passes the schema of the route, so that the answer is about the id. */
const BODIES: Readonly<Record<string, unknown>> = {
  'PUT /v1/virtual-machines/{id}': {
    cpu: 1,
    memoryMiB: 512,
    disks: [{ label: 'a', sizeGiB: 1 }],
    backupPolicies: [],
  },
};

test('no route shows or changes what belongs to another enterprise', async () => {
  const unexpected: string[] = [];
  for (const { method, path } of await routes()) {
    const prefix = Object.keys(WHOSE).find((start) => path.startsWith(start));
    if (prefix === undefined) continue;
    const at = path
      .replace('{id}', foreign[WHOSE[prefix] as string] as string)
      .replace('{policyId}', foreign['policy'] as string)
      .replace('{tokenId}', foreign['token'] as string);
    const body = BODIES[`${method} ${path}`];
    const before = await count();
    const answer = await api.send(own.admin, method, at, body === undefined ? {} : { body });
    // What a role may never do is 403 for every id; a datacenter itself is everybody's.
    const hidden = answer.status === 404 || answer.status === 403;
    const shared = prefix === '/v1/datacenters/' && method === 'GET' && answer.status === 200;
    if (!hidden && !shared) unexpected.push(`${method} ${path}: ${answer.status} ${answer.text}`);
    if ((await count()) !== before) unexpected.push(`${method} ${path} began an operation`);
    const manages = path.includes('tokens') || path.includes('backup-managers') || method !== 'GET';
    if (answer.status === 403 && !manages) unexpected.push(`${method} ${path}: ${answer.text}`);
  }
  expect(unexpected).toEqual([]);
});

async function count(): Promise<number> {
  return (await api.db.selectFrom('operation').select('id').execute()).length;
}

test('lists show nothing of another enterprise, whatever is asked for', async () => {
  for (const path of [
    '/v1/virtual-machines',
    `/v1/virtual-machines?enterpriseId=${foreign['enterprise']}`,
    '/v1/operations',
    `/v1/operations?vmId=${foreign['vm']}`,
    `/v1/operations?enterpriseId=${foreign['enterprise']}&state=open`,
    `/v1/events?vmId=${foreign['vm']}`,
    `/v1/events?enterpriseId=${foreign['enterprise']}`,
    `/v1/datacenters/${foreign['datacenter']}/backup-policies`,
  ]) {
    expect((await api.expectStatus(200, own.admin, 'GET', path)).items, path).toEqual([]);
  }
  expect((await api.expectStatus(200, api.tokens.platform, 'GET', '/v1/virtual-machines')).items).toHaveLength(1);
});

test('an idempotency key of another token is not a way to its operation', async () => {
  const key = { 'idempotency-key': 'shared-key' };
  const datacenter = foreign['datacenter'] as string;
  const vm = await api.newVm(own.admin, datacenter);
  const path = `/v1/virtual-machines/${vm.id}/deploy`;
  await api.expectStatus(202, own.admin, 'POST', path, { headers: key });
  const stranger = await api.newEnterprise();
  expect((await api.send(stranger.admin, 'POST', path, { headers: key })).status).toBe(404);
});

test('tenants are told nothing of the inside of a datacenter', async () => {
  const seen = await api.expectStatus(200, own.admin, 'GET', `/v1/datacenters/${foreign['datacenter']}`);
  expect(Object.keys(seen).toSorted()).toEqual(['createdAt', 'id', 'links', 'name', 'timeZone']);
  const whole = await api.expectStatus(200, api.tokens.admin, 'GET', `/v1/datacenters/${foreign['datacenter']}`);
  expect(whole).toMatchObject({ hypervisor: { type: 'simulated' }, taskQueue: 'holdfast' });
});

test('a token row that was made to see everything by mistake sees nothing', async () => {
  await api.db.schema.alterTable('token').dropConstraint('token_check').execute();
  await api.db
    .updateTable('token')
    .set({ enterprise_id: null })
    .where('id', '=', foreign['token'] as string)
    .execute();
  const { createToken } = await import('../../../db/tokens.ts');
  const { token } = await createToken(api.db, { role: 'USER', name: 'wrong', enterpriseId: null });
  expect((await api.send(token, 'GET', '/v1/virtual-machines')).status).toBe(401);
});
