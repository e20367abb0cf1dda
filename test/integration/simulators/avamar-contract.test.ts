/**
 * A walk through everything that the server offers. Where the vendor's description is present, every request and answer
 * is held against it, as in all other tests of this simulator; our own short one, of the fields that answers have, always.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAvamarApp } from '../../../simulators/avamar/app.ts';
import type { Server } from '../../../simulators/avamar/env.ts';
import { vendorContract } from './avamar-contract.ts';
import {
  basic,
  type Json,
  REGISTRATION,
  request,
  startWorld,
  until,
  violations,
  type World,
} from './simulated-world.ts';

const contract = vendorContract();
const ERROR = ['code', 'exception', 'message', 'details', 'event'];

/** The routes of the server, which is not started for that. */
const ROUTES = createAvamarApp({ state: {} } as Server, async () => undefined)
  .routes.filter(({ method, path }) => method !== 'ALL' && path.startsWith('/api/v1/'))
  .map(({ method, path }) => `${method} ${path.replace('/api/v1', '')}`);

/** The route that a request takes: of several that fit, the one with the fewest parameters. */
function routeOf(method: string, path: string): string {
  const asked = `${method} ${path.split('?')[0]}`.split('/');
  const fits = (route: string): boolean => {
    const parts = route.split('/');
    return parts.length === asked.length && parts.every((part, at) => part.startsWith(':') || part === asked[at]);
  };
  const [route = ''] = ROUTES.filter(fits).toSorted((a, b) => a.split('/:').length - b.split('/:').length);
  return route;
}

let world: World;
/** The last answer to each kind of request, by method and the server's route. */
const answers = new Map<string, Json>();
const wronglyTaken: string[] = [];

/** Sends spoilt variants, which have to be refused, and then the request itself. */
async function step(method: string, path: string, status: number, body?: unknown, needs: string[] = []): Promise<Json> {
  const url = `${world.avamarUrl()}/api/v1${path}`;
  const own = needs.map((name) => ({ what: `without ${name}`, body: { ...(body as object), [name]: undefined } }));
  for (const spoilt of [...own, ...(contract?.spoilt(method, url, body) ?? [])]) {
    const refused = await world.api(method, path, spoilt.body);
    const isRefused = refused.status === 400 && Object.keys(refused.body).join() === ERROR.join();
    if (!isRefused) wronglyTaken.push(`${method} ${path} ${spoilt.what}: ${refused.status}`);
  }
  const answer = await world.api(method, path, body);
  expect(`${method} ${path} ${answer.status} ${answer.status === status ? '' : JSON.stringify(answer.body)}`).toBe(
    `${method} ${path} ${status} `,
  );
  answers.set(routeOf(method, path), answer.body);
  return answer.body;
}

async function walk(): Promise<void> {
  const { cid, vcCid } = world;
  const vmEntityId = `VirtualMachine:${world.moref}`;

  await step('GET', '/system/about-information', 200);
  await step('GET', '/system/basic-info', 200);
  await step('GET', '/system/status', 200);
  await step('GET', '/oauth2/clients/tester', 200);
  await step('PUT', '/oauth2/clients/tester', 200, REGISTRATION, ['clientName', 'redirectUris']);
  await step('POST', '/oauth2/clients', 200, { ...REGISTRATION, clientId: 'short-lived' }, ['scopes']);
  await step('DELETE', '/oauth2/clients/short-lived', 204);

  await step('GET', '/virtualcenters', 200);
  await step('GET', `/virtualcenters/${vcCid}`, 200);
  await step('POST', `/virtualcenters/${vcCid}/sync`, 200);
  await step('GET', `/virtualcenters/${vcCid}/entities?path=/&recursive=true&hostView=true&search=`, 200);
  await step('GET', `/virtualcenters/${vcCid}/entities/${vmEntityId}`, 200);
  await step('GET', `/virtualcenters/${vcCid}/tasks`, 200);
  const entityIds = [`VirtualMachine:${await world.deploy('walk', 'walk-1')}`];
  const newClients = { domain: '/vcenter.simulated/VirtualMachines', entityIds, cbtEnabled: true };
  const task = await step('POST', `/virtualcenters/${vcCid}/clients`, 202, newClients, ['domain', 'entityIds']);
  const done = await until(
    () => world.api('GET', `/tasks/${task.id}`),
    ({ body }) => body.done,
  );
  await step('GET', `/tasks/${task.id}`, 200);
  await step('DELETE', `/tasks/${task.id}`, 200);
  const [{ data: added }] = done.body.result;
  await step('GET', `/virtualcenters/${vcCid}/clients`, 200);
  await step('GET', `/virtualcenters/${vcCid}/clients/${cid}`, 200);
  await step('POST', `/virtualcenters/clients/${cid}/sync`, 200);

  const daily = { name: 'walk', domainFqdn: '/', recurrenceEnum: 'Daily', dailyData: { timesOfDay: ['10:00'] } };
  const weekly = { name: 'walk', recurrenceEnum: 'Weekly', startTime: '10:00', weeklyData: { daysOfWeek: ['Monday'] } };
  const monthly = { name: 'walk', recurrenceEnum: 'Monthly', startTime: '10:00', timeZoneId: 'Europe/Madrid' };
  const schedule = await step('POST', '/schedules', 201, daily, ['name', 'recurrenceEnum', 'dailyData']);
  const schedulePath = `/schedules/${schedule.id}`;
  await step('PUT', schedulePath, 200, weekly, ['weeklyData']);
  const monthlyData = { typeEnum: 'NthWeekDay', nthWeekDay: 'last', dayOfWeek: 'Friday' };
  await step('PUT', schedulePath, 200, { ...monthly, monthlyData }, ['monthlyData']);
  await step('GET', schedulePath, 200);
  await step('GET', '/schedules', 200);
  await step('GET', '/schedules/timezone-ids', 200);
  await step('POST', '/schedules/next-run-time', 200, daily, ['dailyData']);
  const retentionDto = {
    name: 'walk',
    domainFqdn: '/',
    basicRetentionType: 'DURATION',
    duration: 7,
    durationUnit: 'DAYS',
    override: true,
    dailyTag: 3,
    dailyTagUnit: 'WEEKS',
  };
  const retention = await step('POST', '/retentions', 201, retentionDto, ['name', 'domainFqdn', 'duration']);
  const exdate = { name: 'walk', domainFqdn: '/', basicRetentionType: 'EXDATE', expireDate: '2099-01-01T00:00:00Z' };
  await step('PUT', `/retentions/${retention.id}`, 200, exdate, ['expireDate']);
  await step('GET', `/retentions/${retention.id}`, 200);
  await step('GET', '/retentions', 200);
  const datasetDto = {
    name: 'walk',
    domainFqdn: '/',
    includes: [{ pluginNumber: 1016, value: 'ALL' }],
    targets: [{ pluginNumber: 1016, value: 'ALL', recordId: '1' }],
    snapupFlags: [{ key: 'verbose', pluginNumber: 1016, value: '0' }],
  };
  const dataset = await step('POST', '/datasets', 201, datasetDto, ['name']);
  await step('PUT', `/datasets/${dataset.id}`, 200, datasetDto, ['name']);
  await step('GET', `/datasets/${dataset.id}`, 200);
  await step('GET', '/datasets', 200);

  const expressions = [{ keyName: 'name', keyType: 'STRING', operatorName: 'BEGINS_WITH', value: 'walk' }];
  const ruleDto = { name: 'walk', domainFqdn: '/', matchType: 'AND', expressions };
  const rule = await step('POST', '/rules', 201, ruleDto, ['name', 'expressions']);
  await step('PUT', `/rules/${rule.id}`, 200, ruleDto, ['name']);
  await step('GET', `/rules/${rule.id}`, 200);
  await step('GET', '/rules', 200);
  await step('GET', '/rules/metadata', 200);
  const groupDto = {
    name: 'walk',
    domainFqdn: '/',
    enabled: true,
    datasetId: dataset.id,
    scheduleId: schedule.id,
    retentionId: retention.id,
    members: [{ cid, joinType: 'INCLUDED_BY_USER' }],
    ruleEnabled: true,
    ruleId: rule.id,
  };
  const group = await step('POST', '/groups/backup-groups', 201, groupDto, ['name', 'datasetId', 'scheduleId']);
  const groupPath = `/groups/backup-groups/${group.id}`;
  await step('PUT', groupPath, 200, groupDto, ['retentionId']);
  await step('PUT', `${groupPath}/toggle`, 200);
  await step('GET', `/groups/${group.id}`, 200);
  await step('GET', `/groups/${group.id}/members`, 200);
  await step('GET', '/groups', 200);
  await step('GET', `/clients/${cid}/groups`, 200);
  await step('POST', `/clients/${cid}/groups/remove`, 204, [group.id]);
  await step('POST', `/clients/${cid}/groups/add`, 204, [group.id]);
  await step('POST', `/schedules/run/${schedule.id}`, 204);
  await step('POST', `${groupPath}/backup`, 200, { dynamicValues: [] });
  const [own] = await step('POST', `/clients/${cid}/groups/${group.id}/backup`, 200);
  await world.ended(own);
  const onDemand = { targets: [{ name: 'all', pluginNumber: 1016 }], expireTime: Date.parse('2099-01-01') };
  const [backupId] = await step('POST', `/clients/${cid}/backup`, 200, onDemand, ['targets']);
  const { labelNumber } = (await world.ended(backupId)).stats;

  const destinationDto = {
    name: 'walk',
    encryption: 'HIGH',
    pluginNumber: 1008,
    configFlags: [
      { flagId: 'dstaddr', name: 'dstaddr', pluginNumber: 1008, value: 'away', type: 'string', command: 'REPL_CONFIG' },
    ],
  };
  const needed = ['name', 'encryption', 'pluginNumber', 'configFlags'];
  const destination = await step('POST', '/replication/destinations', 201, destinationDto, needed);
  const destinationPath = `/replication/destinations/${destination.id}`;
  await step('POST', '/replication/destinations/verify', 200, destinationDto, needed);
  await step('PUT', destinationPath, 200, destinationDto, needed);
  await step('GET', destinationPath, 200);
  await step('GET', '/replication/destinations', 200);
  await step('GET', '/replication/plugins', 200);
  const replicationDto = {
    name: 'walk',
    destinationServerId: destination.id,
    scheduleId: 'Default:REPL_SCHEDULEID',
    members: [cid],
    backupFilter: { dateRestriction: 'WITHIN', within: 3, durationUnit: 'WEEKS', noTag: true, maxBackupsPerClient: 9 },
    retention: { override: true, noTag: 2, noTagUnit: 'MONTHS' },
    replFlags: [{ key: 'verbose', pluginNumber: 1008, value: '0' }],
  };
  const necessary = ['name', 'destinationServerId', 'scheduleId'];
  const replication = await step('POST', '/replication/groups', 201, replicationDto, necessary);
  const replicationPath = `/replication/groups/${replication.id}`;
  await step('PUT', replicationPath, 200, replicationDto, necessary);
  await step('GET', replicationPath, 200);
  await step('GET', '/replication/groups', 200);
  await step('GET', `/clients/${cid}/member-of-replication-group`, 200);
  await step('POST', `${replicationPath}/run`, 200);
  const runs = await until(
    () => world.api('GET', "/activities?recursive=true&filter=pluginName=='Replicate'"),
    ({ body }) => body.content[0]?.completedDate !== undefined,
  );
  await step('GET', `/activities/${runs.body.content[0].id}/log`, 200);
  await step('GET', '/activities?recursive=true&duration=2&sort=queuedDate,desc&size=100', 200);
  await step('GET', `/activities/${runs.body.content[0].id}`, 200);
  await step('POST', `/activities/${backupId}/cancel`, 200);
  await step('POST', '/activities/cancel', 200, [backupId]);

  const backupPath = `/clients/${cid}/backups/${labelNumber}`;
  const { content } = await step('GET', `/clients/${cid}/backups?includeRemote=true`, 200);
  const [{ children }] = content;
  const remotely = `destId=${destination.id}`;
  await step('GET', `/clients/${cid}/backups/${children[0].labelNumber}?${remotely}`, 200);
  await step('GET', `${backupPath}/disks`, 200);
  await step('PUT', `${backupPath}/update-expiration?expiration=${Date.parse('2098-01-01')}`, 200);
  await step('PUT', `${backupPath}/update-retention-tags?retention=DW`, 200);
  const restoreDto = { pluginNumber: 1016, vcCid, vmEntityId, powerMode: 'off', restoreConf: false };
  const restore = await step('POST', `${backupPath}/restore:vm`, 200, restoreDto, ['pluginNumber', 'vmEntityId']);
  await world.ended(restore);
  await step('GET', `/activities/${restore}`, 200);
  await step('DELETE', `${backupPath}/delete`, 204);
  await step('GET', `/clients/${cid}/backups?includeRemote=true`, 200);
  await step('GET', `/clients/${cid}/activity-is-running`, 204);
  await step('GET', `/clients/${cid}/backup-statistics`, 200);
  await step('GET', `/clients/${cid}`, 200);
  await step('GET', '/clients?domain=/&recursive=true&sort=name', 200);
  await step('PUT', `/clients/${cid}`, 200, { name: 'web-one' });
  await step('GET', '/rest-audit?userName=MCUser&size=5', 200);

  await step('DELETE', replicationPath, 204);
  await step('DELETE', `${destinationPath}?force=true`, 204);
  await step('POST', `/clients/${cid}/retire`, 200, { localBackupExpirationTime: '2099-01-01T00:00:00Z' });
  await step('DELETE', `/clients/${added.id}`, 204);
  await step('DELETE', `/groups/${group.id}`, 204);
  await step('DELETE', `/rules/${rule.id}`, 204);
  await step('DELETE', schedulePath, 204);
  await step('DELETE', `/retentions/${retention.id}`, 204);
  await step('DELETE', `/datasets/${dataset.id}`, 204);
}

beforeAll(async () => {
  world = await startWorld({ backupSeconds: 0.1 });
  await walk();
});
afterAll(() => world.close());

test('the walk has been everywhere', () => {
  expect(ROUTES.filter((route) => !answers.has(route))).toEqual([]);
});

test('all that went over the wire is as the vendor describes it', () => {
  expect(violations()).toEqual([]);
});

test('what the vendor does not take is refused in the vendor’s shape', () => {
  expect(wronglyTaken).toEqual([]);
});

/** Fields that an answer has: those without which clients cannot work. */
const FIELDS: Record<string, string[]> = {
  'POST /oauth2/clients': ['clientId', 'clientSecret', 'accessTokenValiditySeconds'],
  'GET /virtualcenters/:cid': ['cid', 'name', 'domain'],
  'GET /virtualcenters/:cid/entities/:id': ['id', 'cid', 'name', 'instanceUuid', 'disks'],
  'POST /virtualcenters/:cid/clients': ['id', 'done', 'cancelled', 'completedExceptionally', 'createdTime'],
  'GET /tasks/:id': ['id', 'done', 'result', 'completedTime'],
  'GET /clients/:cid': ['id', 'name', 'domainFqdn', 'enabled', 'clientType'],
  'GET /schedules/:id': ['id', 'recurrenceEnum', 'timeZoneId', 'monthlyData', 'nextRunTime', 'readOnly'],
  'GET /retentions/:id': ['id', 'basicRetentionType', 'expireDate', 'retentionFqdn'],
  'GET /datasets/:id': ['id', 'fqdn', 'domain', 'includes', 'targets'],
  'GET /rules/:id': ['id', 'fqdn', 'domain', 'matchType', 'expressions'],
  'GET /groups/:id': ['id', 'domain', 'scheduleId', 'memberCount', 'ruleEnabled', 'rule'],
  'GET /replication/destinations/:id': ['id', 'host', 'domain', 'systemId', 'configFlags'],
  'GET /replication/groups/:id': ['id', 'destinationServerId', 'members', 'backupFilter', 'retentionId', 'enabled'],
  'GET /activities/:id': ['id', 'wid', 'cid', 'type', 'state', 'errorCode', 'queuedDate', 'completedDate', 'stats'],
  'GET /clients/:cid/backups/:number': ['labelNumber', 'location', 'destId', 'destName', 'expirationTime'],
};

test.each(Object.entries(FIELDS))('an answer to %s has the fields that are needed', (route, fields) => {
  expect(Object.keys(answers.get(route))).toEqual(expect.arrayContaining(fields));
});

test.each(
  ROUTES.filter((route) => /^GET \/[^:]*s$/.test(route) && !/plugins|status|timezone|destinations/.test(route)),
)('%s answers a page', (route) => {
  expect(answers.get(route)).toMatchObject({
    content: expect.any(Array),
    totalElements: expect.any(Number),
    number: 0,
  });
});

describe('where nothing is described', () => {
  test('an unknown query parameter is ignored', async () => {
    const { avamarUrl } = world;
    const url = `${avamarUrl()}/api/v1/oauth2/clients/tester?unheardOf=true`;
    const headers = { authorization: basic('MCUser', 'avamar-simulator') };
    expect((await fetch(url, { headers })).status).toBe(200);
    expect((await request('GET', `${avamarUrl()}/api/v1/nothing`, undefined, { headers })).status).toBe(401);
    const missing = await world.api('GET', '/nothing');
    expect([missing.status, Object.keys(missing.body)]).toEqual([404, ERROR]);
  });
});

/** The judgement itself, where it can be had: what is wrong is found. */
test('a wrong exchange is found', () => {
  const url = 'http://avamar/api/v1/replication/destinations';
  const good = { method: 'GET', url, request: undefined, status: 200, answer: [] as Json[] };
  const judged = (change: object): number => contract?.violations({ ...good, ...change }).length ?? -1;
  const isKnown = contract !== undefined;
  expect(judged({}) > 0).toBe(false);
  expect(judged({ status: 418 }) > 0).toBe(isKnown);
  expect(judged({ answer: {} }) > 0).toBe(isKnown);
  expect(judged({ url: `${url}?unheardOf=1` }) > 0).toBe(isKnown);
  expect(judged({ url: `${url}/nowhere/at/all` }) > 0).toBe(isKnown);
  expect(judged({ method: 'POST', request: { name: 'only' }, status: 201, answer: {} }) > 1).toBe(isKnown);
});
