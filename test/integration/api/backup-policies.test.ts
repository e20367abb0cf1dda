import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi, vmBody } from './test-api.ts';

let api: TestApi;
let datacenter: { id: string };
let manager: { id: string };
beforeAll(async () => {
  api = await startTestApi();
  datacenter = await api.newDatacenter();
  manager = await api.newManager(datacenter.id);
});
afterAll(() => api.stop());

const DAILY = { type: 'COMPLETE', subtype: 'DAILY', time: { mode: 'fixed', value: '03:30' } };
const path = () => `/v1/datacenters/${datacenter.id}/backup-policies`;
const body = (more: object = {}) => ({
  managerId: manager.id,
  code: api.unique('GOLD'),
  name: 'Gold',
  configurations: [DAILY],
  ...more,
});

test('what is left out gets its default: the zone of the datacenter, 30 days, dont_apply', async () => {
  const policy = await api.expectStatus(201, api.tokens.admin, 'POST', path(), { body: body() });
  expect(policy).toMatchObject({
    datacenterId: datacenter.id,
    timeZone: 'Europe/Madrid',
    retentionDays: 30,
    replication: false,
    configurations: [{ ...DAILY, days: { mode: 'dont_apply' }, disks: { mode: 'dont_apply' } }],
  });
  expect(await api.expectStatus(200, api.tokens.admin, 'GET', policy.links.self)).toEqual(policy);
});

test('the code is unique within its datacenter alone', async () => {
  const policy = await api.newPolicy(datacenter.id, manager.id);
  const again = await api.send(api.tokens.admin, 'POST', path(), { body: body({ code: policy.code }) });
  expect([again.status, again.body.code, again.body.legacyCode]).toEqual([409, 'BACKUP_DUPLICATED_CODE', 'BC-24']);
  const inCapitals = policy.code.toUpperCase();
  const capital = await api.send(api.tokens.admin, 'POST', path(), { body: body({ code: inCapitals }) });
  expect([capital.status, capital.body.code, capital.body.errors]).toEqual([
    409,
    'BACKUP_DUPLICATED_CODE',
    [{ pointer: '/code', detail: 'is taken', code: 'BACKUP_DUPLICATED_CODE' }],
  ]);
  const other = await api.newPolicy(datacenter.id, manager.id);
  const change = (to: string) => api.send(api.tokens.admin, 'PUT', other.links.self, { body: body({ code: to }) });
  expect([(await change(inCapitals)).status, (await change(other.code.toUpperCase())).status]).toEqual([409, 200]);
  const twins = ['Twin', 'tWIN', 'TWIN'].map((code) =>
    api.send(api.tokens.admin, 'POST', path(), { body: body({ code }) }),
  );
  const statuses = (await Promise.all(twins)).map(({ status }) => status);
  expect(statuses.toSorted((a, b) => a - b)).toEqual([201, 409, 409]);
  const elsewhere = await api.newDatacenter();
  await api.newPolicy(elsewhere.id, (await api.newManager(elsewhere.id)).id, { code: policy.code });
});

test.each([
  [
    'a type that the plugin has not',
    { configurations: [{ ...DAILY, type: 'SNAPSHOT' }] },
    'BACKUP_NON_VALID_TYPE',
    '/configurations/0/type',
  ],
  [
    'a backup at a date without the date',
    { configurations: [{ type: 'COMPLETE', subtype: 'DEFINED_HOUR' }] },
    'BACKUP_TIME_NOT_INDICATED',
    '/configurations/0/time',
  ],
  [
    'a time that is none',
    { configurations: [{ ...DAILY, time: { mode: 'fixed', value: '25:00' } }] },
    'BACKUP_INVALID_DATE_FORMAT',
    '/configurations/0/time',
  ],
  ['the same pair twice', { configurations: [DAILY, DAILY] }, 'BACKUP_NOT_UNIQUE', '/configurations/1/subtype'],
  ['a manager of nowhere', { managerId: crypto.randomUUID() }, 'BACKUP_MANAGER_NOT_FOUND', '/managerId'],
  ['a time zone that is none', { timeZone: 'Mars/Olympus' }, 'INVALID_REQUEST', '/timeZone'],
  ['an offset as time zone', { timeZone: '+01:00' }, 'INVALID_REQUEST', '/timeZone'],
  [
    'a mode that is none',
    { configurations: [{ ...DAILY, days: { mode: 'maybe' } }] },
    'INVALID_REQUEST',
    '/configurations/0/days/mode',
  ],
  [
    'a value beside dont_apply',
    { configurations: [{ ...DAILY, time: { mode: 'dont_apply', value: '1' } }] },
    'INVALID_REQUEST',
    '/configurations/0/time/value',
  ],
])('422 for %s', async (_name, more, code, pointer) => {
  const answer = await api.send(api.tokens.admin, 'POST', path(), { body: body(more) });
  expect([answer.status, answer.body.code]).toEqual([422, code]);
  expect(answer.body.errors).toContainEqual(expect.objectContaining({ pointer, code }));
});

test('a manager of another datacenter is refused', async () => {
  const other = await api.newManager((await api.newDatacenter()).id);
  const answer = await api.send(api.tokens.admin, 'POST', path(), { body: body({ managerId: other.id }) });
  expect([answer.status, answer.body.code]).toEqual([422, 'BACKUP_MANAGER_NOT_FOUND']);
});

test('a policy that would back up nothing is refused', async () => {
  const answer = await api.send(api.tokens.admin, 'POST', path(), { body: body({ configurations: [] }) });
  expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, '/configurations']);
});

test('a policy in use keeps what the backup system does, and can be renamed', async () => {
  const enterprise = await api.newEnterprise();
  const policy = await api.newPolicy(datacenter.id, manager.id);
  const document = body({ code: policy.code });
  await api.expectStatus(200, api.tokens.admin, 'PUT', policy.links.self, { body: { ...document, retentionDays: 60 } });
  await api.allow(enterprise.id, policy.id);
  const vm = await api.newVm(enterprise.admin, datacenter.id, { backupPolicies: [{ policyId: policy.id }] });

  const monthly = { type: 'COMPLETE', subtype: 'MONTHLY', time: { mode: 'fixed', value: '05:00' } };
  const changed = { ...document, retentionDays: 10, configurations: [monthly] };
  const refused = await api.send(api.tokens.admin, 'PUT', policy.links.self, { body: changed });
  expect([refused.status, refused.body.code]).toEqual([409, 'BACKUP_UPDATE_WITH_VIRTUAL_MACHINES']);
  expect(refused.body.errors.map((problem: { pointer: string }) => problem.pointer)).toEqual([
    '/retentionDays',
    '/configurations',
  ]);
  const renamed = { ...document, retentionDays: 60, name: 'Platinum', description: 'the same, nicer' };
  await api.expectStatus(200, api.tokens.admin, 'PUT', policy.links.self, { body: renamed });

  const kept = await api.send(api.tokens.admin, 'DELETE', policy.links.self);
  expect([kept.status, kept.body.code]).toEqual([409, 'BACKUP_DELETE_WITH_VIRTUAL_MACHINES']);
  const restricted = await api.send(
    api.tokens.admin,
    'DELETE',
    `/v1/enterprises/${enterprise.id}/backup-policies/${policy.id}`,
  );
  expect([restricted.status, restricted.body.code]).toEqual([409, 'BACKUP_POLICY_CANNOT_BE_RESTRICTED']);

  await api.expectStatus(204, enterprise.admin, 'DELETE', vm.links.self);
  await api.expectStatus(
    204,
    api.tokens.admin,
    'DELETE',
    `/v1/enterprises/${enterprise.id}/backup-policies/${policy.id}`,
  );
  await api.expectStatus(204, api.tokens.admin, 'DELETE', policy.links.self);
});

test('a policy that a reconfigure under way will bring counts as used', async () => {
  const enterprise = await api.newEnterprise();
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(enterprise.id, policy.id);
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  await api.setState(vm.id, 'ON');
  const { cpu, memoryMiB, disks } = vm;
  await api.expectStatus(202, enterprise.admin, 'PUT', vm.links.self, {
    body: { cpu, memoryMiB, disks, backupPolicies: [{ policyId: policy.id }] },
  });
  expect((await api.send(api.tokens.admin, 'DELETE', policy.links.self)).status).toBe(409);
});

test('a policy that changes at the same moment cannot be chosen before it has changed', async () => {
  const enterprise = await api.newEnterprise();
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.allow(enterprise.id, policy.id);
  const choose = () =>
    api.send(enterprise.admin, 'POST', '/v1/virtual-machines', {
      body: vmBody(datacenter.id, api.unique('race'), { backupPolicies: [{ policyId: policy.id }] }),
    });
  const [removed, chosen] = await Promise.all([api.send(api.tokens.admin, 'DELETE', policy.links.self), choose()]);
  expect([removed.status, chosen.status]).toSatisfy(
    ([first, second]) => (first === 204 && second === 422) || (first === 409 && second === 201),
  );
});

test('a tenant sees the policies that are allowed to it, and only those', async () => {
  const [own, other] = [await api.newEnterprise(), await api.newEnterprise()];
  const place = await api.newDatacenter();
  const mine = await api.newManager(place.id);
  const [allowed, hidden] = [await api.newPolicy(place.id, mine.id), await api.newPolicy(place.id, mine.id)];
  await api.allow(own.id, allowed.id);
  await api.allow(own.id, allowed.id);
  await api.allow(other.id, hidden.id);

  const ids = async (token: string, where: string) =>
    (await api.expectStatus(200, token, 'GET', where)).items.map((item: { id: string }) => item.id);
  const ofDatacenter = `/v1/datacenters/${place.id}/backup-policies`;
  expect(await ids(own.user, ofDatacenter)).toEqual([allowed.id]);
  expect(await ids(api.tokens.admin, ofDatacenter)).toEqual([hidden.id, allowed.id]);
  expect(await ids(api.tokens.platform, ofDatacenter)).toEqual([hidden.id, allowed.id]);
  const ofEnterprise = `/v1/enterprises/${own.id}/backup-policies`;
  expect(await ids(own.user, ofEnterprise)).toEqual([allowed.id]);
  expect(await ids(own.user, `${ofEnterprise}?datacenterId=${datacenter.id}`)).toEqual([]);
  expect((await api.send(own.user, 'GET', hidden.links.self)).status).toBe(404);
  expect((await api.send(own.user, 'GET', allowed.links.self)).status).toBe(200);
  expect((await api.send(other.user, 'GET', ofEnterprise)).status).toBe(404);

  for (const [method, where] of [
    ['POST', ofDatacenter],
    ['PUT', allowed.links.self],
    ['DELETE', allowed.links.self],
    ['PUT', `${ofEnterprise}/${hidden.id}`],
    ['DELETE', `${ofEnterprise}/${allowed.id}`],
  ]) {
    expect((await api.send(own.admin, method as string, where, { body: body() })).status).toBe(403);
  }
  const events = await api.expectStatus(200, own.user, 'GET', '/v1/events?entity=BACKUP_POLICY');
  expect(events.items).toMatchObject([{ action: 'ALLOW', entityId: allowed.id }]);
});

test('allowing what is not there is 404, restricting what was not allowed too', async () => {
  const enterprise = await api.newEnterprise();
  const policy = await api.newPolicy(datacenter.id, manager.id);
  const at = (enterpriseId: string, policyId: string) => `/v1/enterprises/${enterpriseId}/backup-policies/${policyId}`;
  const nothing = crypto.randomUUID();
  expect((await api.send(api.tokens.admin, 'PUT', at(enterprise.id, nothing))).status).toBe(404);
  expect((await api.send(api.tokens.admin, 'PUT', at(nothing, policy.id))).status).toBe(404);
  expect((await api.send(api.tokens.admin, 'DELETE', at(enterprise.id, policy.id))).status).toBe(404);
});
