/**
 * Programs that were written by somebody else, from the vendor's description and from what live servers were seen to
 * take. They do not know that they speak to a simulator.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { judge, type Json, startWorld, type World } from './simulated-world.ts';

const USER = 'MCUser';
const PASSWORD = 'avamar-simulator';
const CLIENT = { id: 'orchestrator', secret: 'known to nobody' };

let world: World;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 0.3, taskSeconds: 0.2 });
  for (const name of ['shop-01', 'shop-02', 'shop-03', 'mail-01']) await world.deploy(name, name);
});
afterAll(() => world.close());

const pause = () => new Promise((resolve) => setTimeout(resolve, 50));

let bearer = '';
async function send(method: string, path: string, body?: unknown, authorization = `Bearer ${bearer}`) {
  const url = `${world.avamarUrl()}/api/v1${path}`;
  const headers = { authorization, 'content-type': 'application/json', accept: 'application/json' };
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const text = await response.text();
  const answer: Json = text === '' ? undefined : JSON.parse(text);
  judge({ method, url, request: body, status: response.status, answer });
  return { status: response.status, answer };
}

/** Expects the status that the program knows, as a playbook does. */
async function call(method: string, path: string, status: number, body?: unknown): Promise<Json> {
  const got = await send(method, path, body);
  if (got.status !== status) throw new Error(`${method} ${path}: ${got.status} ${JSON.stringify(got.answer)}`);
  return got.answer;
}

async function register(validity?: number): Promise<number> {
  const registration = {
    clientId: CLIENT.id,
    clientSecret: CLIENT.secret,
    clientName: 'Orchestrator',
    authorizedGrantTypes: ['password'],
    scopes: ['read', 'write'],
    autoApproveScopes: ['all'],
    redirectUris: ['https://localhost/'],
    ...(validity === undefined ? {} : { accessTokenValiditySeconds: validity }),
  };
  const administrator = `Basic ${btoa(`${USER}:${PASSWORD}`)}`;
  return (await send('POST', '/oauth2/clients', registration, administrator)).status;
}

async function logOn(): Promise<void> {
  const response = await fetch(`${world.avamarUrl()}/api/oauth/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${btoa(`${CLIENT.id}:${CLIENT.secret}`)}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: `grant_type=password&scope=write&username=${USER}&password=${PASSWORD}`,
  });
  const { access_token: token, token_type: type } = (await response.json()) as Json;
  expect(type.toLowerCase()).toBe('bearer');
  bearer = token;
}

beforeEach(async () => {
  // Whether it was there already is no matter: a program registers itself each time it starts.
  expect([200, 400]).toContain(await register());
  await logOn();
});

/** The machines below the vCenter's folder, by name. */
async function machines(): Promise<Map<string, string>> {
  const vcenter = (await call('GET', '/virtualcenters', 200)).content[0].cid;
  const query = 'type=VirtualMachine&recursive=true&hostView=false&search=&fields=children';
  const tree = await call('GET', `/virtualcenters/${vcenter}/entities?path=/Datacenter/vm&${query}`, 200);
  expect(Object.keys(tree)).toEqual(['children']);
  return new Map(tree.children.map(({ id, name }: Json) => [name, id]));
}

/** Makes clients of entities and waits for the task. */
async function protect(entityIds: string[]): Promise<Json[]> {
  const [vcenter] = (await call('GET', '/virtualcenters', 200)).content;
  const body = {
    contact: { email: '', location: '', name: '', notes: '', phone: '' },
    containerInclusionType: 'DYNAMIC',
    domain: `/${vcenter.name}/VirtualMachines`,
    cbtEnabled: true,
    entityIds,
    recursiveProtection: false,
    viewType: 'VM_TEMPLATE',
  };
  const { id } = await call('POST', `/virtualcenters/${vcenter.cid}/clients`, 202, body);
  for (;;) {
    const task = await call('GET', `/tasks/${id}`, 200);
    if (task.done === true) return task.result;
    await pause();
  }
}

test('a token ends, a second registration is refused, and the program logs on again', async () => {
  expect(await register()).toBe(400);
  expect((await send('GET', '/virtualcenters')).status).toBe(200);
  await world.pass(1801);
  expect((await send('GET', '/virtualcenters')).status).toBe(401);
  await logOn();
  expect((await send('GET', '/virtualcenters')).status).toBe(200);
});

test('machines become clients, one by one: what is not there is told beside what was made', async () => {
  const known = await machines();
  const [good, bad] = await protect([known.get('mail-01') ?? '', 'VirtualMachine:vm-0']);
  expect(good).toMatchObject({ name: 'mail-01', success: true });
  expect(bad.success).toBe(false);
  expect(bad.error.message).not.toBe('');
  const client = await call('GET', `/clients?domain=/&recursive=true&filter=name==mail-01*`, 200);
  expect(client.totalElements).toBe(1);
});

test('a rule takes machines into a policy, which is run by hand until its backups are listed', async () => {
  const known = await machines();
  const shops = [...known].filter(([name]) => name.startsWith('shop-')).map(([, id]) => id);
  expect((await protect(shops)).every(({ success }) => success)).toBe(true);

  const [key] = await call('GET', '/rules/metadata', 200);
  expect(key.operators.map(({ operatorName }: Json) => operatorName)).toContain('MATCHES_REGULAR_EXPRESSION');
  const expression = {
    ...key,
    operatorName: 'MATCHES_REGULAR_EXPRESSION',
    value: 'shop-0[1-2]',
    vmTagCategoryValue: '',
  };
  const domainFqdn = '/vcenter.simulated';
  const rule = await call('POST', '/rules', 201, {
    domainFqdn,
    expressions: [expression],
    matchType: 'AND',
    name: 'shops',
  });
  const policy = await call('POST', '/groups/backup-groups', 201, {
    autoProxyMapping: true,
    members: [],
    datasetId: 'VMWARE:SNAPID',
    domainFqdn,
    enabled: true,
    ruleEnabled: true,
    encryption: 'HIGH',
    name: 'Policy-shops',
    overrideSchedule: 'none',
    proxyIds: [],
    retentionId: 'Default:POLICYID',
    scheduleId: 'default:DAILY:SCHEDULEDID',
    ruleId: rule.id,
    cloudDrEnabled: false,
    memberType: 'NOT_SPECIFIED',
  });
  const members = (await call('GET', `/groups/${policy.id}/members`, 200)).content;
  expect(members.map(({ memberJoinType }: Json) => memberJoinType)).toEqual(['INCLUDED_BY_RULE', 'INCLUDED_BY_RULE']);

  const [found] = (await call('GET', `/groups?domain=${domainFqdn}&filter=name==Policy-sh*`, 200)).content;
  const results = await call('POST', `/groups/backup-groups/${found.id}/backup`, 200, { dynamicValues: [] });
  expect(results.every(({ success }: Json) => success)).toBe(true);
  const query = `domain=/&recursive=true&filter=groupFqdn==${domainFqdn}/Policy-shops`;
  let activities: Json[] = [];
  do {
    await pause();
    activities = (await call('GET', `/activities?${query}`, 200)).content;
  } while (activities.length < 2 || activities.some(({ state }) => state === 'WAITING' || state === 'RUNNING'));
  expect(activities.map(({ state }) => state)).toEqual(['SUCCESS', 'SUCCESS']);
  for (const { cid, stats } of activities) {
    const { content } = await call('GET', `/clients/${cid}/backups`, 200);
    expect(content.map(({ labelNumber }: Json) => labelNumber)).toEqual([stats.labelNumber]);
  }

  const changed = { domainFqdn, expressions: [{ ...expression, value: 'shop-03' }], matchType: 'AND', name: 'shops' };
  await call('PUT', `/rules/${rule.id}`, 200, changed);
  const now = (await call('GET', `/groups/${policy.id}/members`, 200)).content;
  expect(now.map(({ name }: Json) => name.split('_')[0])).toEqual(['shop-03']);
  expect((await send('DELETE', `/rules/${rule.id}`)).status).toBe(400);
  await call('DELETE', `/groups/${policy.id}`, 204);
  await call('DELETE', `/rules/${rule.id}`, 204);
  expect((await send('GET', `/rules/${rule.id}`)).status).toBe(404);

  const { cid } = activities[0];
  const nothing = {
    forceRetire: null,
    localBackupExpirationTime: null,
    parentCid: null,
    remoteBackupExpirationTime: null,
  };
  await call('POST', `/clients/${cid}/retire`, 200, nothing);
  expect((await call('GET', `/clients/${cid}`, 200)).domainFqdn).toBe('/MC_RETIRED');
});

test('a member that is left out by hand stays out of what the rule finds', async () => {
  await protect([...(await machines()).values()]);
  const clients = (await call('GET', '/clients?domain=/vcenter.simulated&recursive=true&filter=name==shop-*', 200))
    .content;
  const [first] = clients;
  const expressions = [
    { keyName: 'name', keyType: 'STRING', operatorName: 'BEGINS_WITH', value: 'shop-' },
    { keyName: 'name', keyType: 'STRING', operatorName: 'EQUALS', value: 'mail-01' },
  ];
  const rule = await call('POST', '/rules', 201, { name: 'either', domainFqdn: '/', matchType: 'OR', expressions });
  const policy = await call('POST', '/groups/backup-groups', 201, {
    name: 'Policy-either',
    domainFqdn: '/',
    datasetId: 'VMWARE:SNAPID',
    retentionId: 'Default:POLICYID',
    scheduleId: 'Default:SCHEDULEID',
    ruleEnabled: true,
    ruleId: rule.id,
    members: [{ cid: first.id, joinType: 'EXCLUDED' }],
  });
  expect(policy.memberCount).toBe(clients.length);
  const members = (await call('GET', `/groups/${policy.id}/members?size=100`, 200)).content;
  expect(members.find(({ cid }: Json) => cid === first.id).memberJoinType).toBe('EXCLUDED');
  expect((await call('GET', `/clients/${first.id}/groups`, 200)).totalElements).toBe(0);
  const bad = {
    name: 'bad',
    expressions: [{ keyName: 'name', operatorName: 'MATCHES_REGULAR_EXPRESSION', value: '(' }],
  };
  expect((await send('POST', '/rules', bad)).status).toBe(400);
});

test('lists are filtered, sorted, cut and paged as the description says', async () => {
  const make = (name: string, duration: number) =>
    call('POST', '/schedules', 201, {
      name,
      domainFqdn: '/lists',
      recurrenceEnum: 'Daily',
      startTime: '10:00',
      duration,
    });
  for (const [at, name] of ['list a', 'list b', 'list c', 'other d', 'other e'].entries()) await make(name, at + 1);
  const names = async (query: string): Promise<string[]> =>
    (await call('GET', `/schedules?domain=/lists&${query}`, 200)).content.map(({ name }: Json) => name);
  const filter = (...criteria: string[]) => criteria.map((text) => `filter=${encodeURIComponent(text)}`).join('&');

  expect(await names(filter('name==list b'))).toEqual(['list b']);
  expect(await names(filter("name=='list b'"))).toEqual(['list b']);
  expect(await names(filter('name==list*'))).toEqual(['list a', 'list b', 'list c']);
  expect(await names(filter('name!=list*'))).toEqual(['other d', 'other e']);
  expect(await names(filter('duration<2'))).toEqual(['list a']);
  expect(await names(filter('duration<=2'))).toEqual(['list a', 'list b']);
  expect(await names(filter('duration>4'))).toEqual(['other e']);
  expect(await names(filter('duration>=4'))).toEqual(['other d', 'other e']);
  expect(await names(filter('name==list*', 'duration>1', 'duration!=3'))).toEqual(['list b']);
  expect(await names('sort=duration,desc&size=2')).toEqual(['other e', 'other d']);
  expect(await names('sort=duration,desc&size=2&page=2')).toEqual(['list a']);
  expect(await names(`sort=name&${filter('recurrenceEnum==Daily')}`)).toHaveLength(5);

  const below = async (list: string, query: string): Promise<string[]> =>
    (await call('GET', `${list}?${query}&${filter('name==list a*')}`, 200)).content.map(({ name }: Json) => name);
  expect(await below('/schedules', 'domain=/')).toEqual([]);
  expect(await below('/schedules', 'domain=/&inclusion=DESCENDANT')).toEqual(['list a']);
  expect(await below('/schedules', 'domain=/lists/deeper&inclusion=ANCESTOR')).toEqual(['list a']);
  expect((await send('GET', '/schedules?inclusion=ALL')).status).toBe(400);

  const chosen = await call('GET', '/schedules?domain=/lists&fields=id,name&size=1', 200);
  expect(Object.keys(chosen.content[0]).toSorted()).toEqual(['id', 'name']);
  const cut = await call('GET', '/schedules?domain=/lists&fields=-dailyData,-name&size=1', 200);
  expect(cut.content[0]).not.toHaveProperty('name');
  expect(cut.content[0]).toHaveProperty('recurrenceEnum');
  expect(cut).toMatchObject({ totalElements: 5, totalPages: 5, first: true, last: false, numberOfElements: 1 });
});
