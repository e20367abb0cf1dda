import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Json, logIn, request, startWorld, until, type World } from './simulated-world.ts';

describe('the Avamar simulator: what happens behind its clients’ backs', () => {
  let world: World;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.close());

  const makeGroup = async (more: object = {}): Promise<Json> => {
    const daily = { name: 'daily', domainFqdn: '/', recurrenceEnum: 'Daily', dailyData: { timesOfDay: ['10:00'] } };
    const schedule = (await world.api('POST', '/schedules', daily)).body;
    const answer = await world.api('POST', '/groups/backup-groups', {
      name: 'gold',
      domainFqdn: '/',
      enabled: true,
      datasetId: 'VMWARE:SNAPID',
      retentionId: 'Default:POLICYID',
      scheduleId: schedule.id,
      members: [{ cid: world.cid }],
      ...more,
    });
    return answer.body;
  };
  const raw = async (path: string): Promise<string> => {
    const token = (await logIn(world.avamarUrl())).body.access_token;
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${world.avamarUrl()}/api/v1${path}`, { headers })).text();
  };

  test('pages repeat, lack entries, or end in the middle, for as long as told', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await world.api('POST', '/schedules', { name, domainFqdn: '/p', recurrenceEnum: 'OnDemand' });
    }
    const page = async (number: number): Promise<Json> =>
      (await world.api('GET', `/schedules?domain=/p&sort=name&size=2&page=${number}`)).body;
    const names = ({ content }: Json): string[] => content.map(({ name }: Json) => name);

    await world.control('POST', '/pages', { kind: 'repeat', path: '/schedules', times: 1 });
    expect(names(await page(0))).toEqual(['a', 'b']);
    expect((await world.control('GET', '/pages')).body.pages).toHaveLength(1);
    const repeated = await page(1);
    expect([names(repeated), repeated.number]).toEqual([['a', 'b'], 1]);
    expect(names(await page(1))).toEqual(['c', 'd']);

    await world.control('POST', '/pages', { kind: 'short', times: 1 });
    const short = await page(0);
    expect(short).toMatchObject({ totalElements: 4, numberOfElements: 1 });
    expect(names(short)).toEqual(['a']);

    await world.control('POST', '/pages', { kind: 'truncated', path: '/clients' });
    expect(names(await page(0))).toEqual(['a', 'b']);
    const whole = '/clients?recursive=true';
    const truncated = await raw(whole);
    expect(() => JSON.parse(truncated)).toThrow();
    await world.control('DELETE', '/pages');
    expect((await raw(whole)).startsWith(truncated)).toBe(true);
  });

  test('all tokens end at once, refresh tokens with them', async () => {
    const token = (await logIn(world.avamarUrl())).body;
    expect((await world.control('GET', '/sessions')).body.count).toBeGreaterThan(1);
    expect((await world.control('DELETE', '/sessions')).status).toBe(204);
    expect((await world.api('GET', '/groups')).status).toBe(401);
    const headers = { authorization: `Bearer ${token.access_token}` };
    expect((await request('GET', `${world.avamarUrl()}/api/v1/groups`, undefined, { headers })).status).toBe(401);
    const again = (await logIn(world.avamarUrl())).body.access_token;
    const fresh = { authorization: `Bearer ${again}` };
    expect((await request('GET', `${world.avamarUrl()}/api/v1/groups`, undefined, { headers: fresh })).status).toBe(
      200,
    );
  });

  test('groups, schedules and clients are renamed, changed and deleted at the console', async () => {
    const { id, scheduleId } = await makeGroup();
    const change = { name: 'silver', enabled: false };
    expect((await world.control('PATCH', `/groups/${id}`, change)).body).toMatchObject(change);
    expect((await world.api('GET', `/groups/${id}`)).body).toMatchObject(change);
    await world.control('PATCH', `/schedules/${scheduleId}`, { name: 'moved', timeZoneId: 'Asia/Tokyo' });
    expect((await world.api('GET', `/schedules/${scheduleId}`)).body.nextRunTime).toMatch(/T01:00:00/);
    await world.control('PATCH', `/clients/${world.cid}`, { enabled: false, domainFqdn: '/elsewhere' });
    expect((await world.api('GET', `/clients/${world.cid}`)).body).toMatchObject({
      enabled: false,
      domainFqdn: '/elsewhere',
    });
    expect((await world.control('PATCH', `/groups/${id}`, { unheardOf: 1 })).status).toBe(400);
    expect((await world.control('PATCH', '/groups/none', change)).status).toBe(400);

    // What is used goes too: the console asks nobody here.
    await world.control('DELETE', `/schedules/${scheduleId}`);
    expect((await world.api('GET', `/schedules/${scheduleId}`)).status).toBe(404);
    expect((await world.api('GET', `/groups/${id}`)).body).toMatchObject({ scheduleId, scheduleFqdn: '' });
    await world.control('DELETE', `/groups/${id}`);
    expect((await world.control('GET', '/groups')).body.objects).toEqual([]);
    await world.control('DELETE', `/clients/${world.cid}`);
    expect((await world.api('GET', `/clients/${world.cid}`)).status).toBe(404);
    const audit = (await world.api('GET', '/rest-audit?size=100')).body.content;
    expect(audit.map(({ apiHttpMethod }: Json) => apiHttpMethod)).not.toContain('DELETE');
  });

  test('a client that is deleted while it is backed up has no backup', async () => {
    await world.control('POST', '/settings', { backupSeconds: 600 });
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    const [id] = (await world.api('POST', `/clients/${world.cid}/backup`, { targets })).body;
    await world.control('DELETE', `/clients/${world.cid}`);
    await world.pass(600);
    expect((await world.ended(id)).state).toBe('CLIENT_NOT_REGISTERED');
  });

  test('a backup is expired or deleted at the console', async () => {
    const [first, second] = [await world.backUp(), await world.backUp()];
    const path = (activity: Json) => `/backups/${world.cid}/${activity.stats.labelNumber}`;
    await world.control('PATCH', path(first), { expirationTime: 1 });
    await world.control('DELETE', path(second));
    expect((await world.api('GET', `/clients/${world.cid}/backups`)).body.content).toEqual([]);
  });

  test('a group is started at the console, as its administrator would', async () => {
    const group = await makeGroup();
    const [id] = (await world.control('POST', `/groups/${group.id}/start`)).body.ids;
    const activity = await world.ended(id);
    expect(activity).toMatchObject({ state: 'SUCCESS', user: 'console', type: 'On-Demand Backup', groupId: group.id });
  });

  test('replication is started, and its copies are deleted, at the console', async () => {
    await world.backUp();
    const destination = await world.api('POST', '/replication/destinations', {
      name: 'away',
      encryption: 'NONE',
      pluginNumber: 1008,
      configFlags: [
        {
          flagId: 'dstaddr',
          name: 'dstaddr',
          pluginNumber: 1008,
          value: 'away',
          type: 'string',
          command: 'REPL_CONFIG',
        },
      ],
    });
    const destinationServerId = destination.body.id;
    const dto = { name: 'r', destinationServerId, scheduleId: 'Default:REPL_SCHEDULEID', members: [world.cid] };
    const group = (await world.api('POST', '/replication/groups', dto)).body;
    await world.control('POST', '/settings', { replicationSeconds: 600 });
    const started = await world.control('POST', `/replication-groups/${group.id}/start`);
    expect(started.status).toBe(201);
    expect((await world.control('POST', `/replication-groups/${group.id}/start`)).status).toBe(400);
    await world.pass(600);
    expect(await world.ended(started.body.id)).toMatchObject({ state: 'SUCCESS', user: 'console' });
    const list = async (): Promise<Json[]> =>
      (await world.api('GET', `/clients/${world.cid}/backups?includeRemote=true`)).body.content;
    const [{ children }] = (await list()) as [Json];
    await world.control('DELETE', `/copies/${world.cid}/${destinationServerId}/${children[0].labelNumber}`);
    expect((await list())[0].children).toEqual([]);
  });

  test('a slow task shows that it is not done', async () => {
    await world.control('POST', '/settings', { taskSeconds: 600 });
    const moref = await world.deploy('slow', 'slow-1');
    const body = { domain: '/vcenter.simulated', entityIds: [`VirtualMachine:${moref}`] };
    const { id } = (await world.api('POST', `/virtualcenters/${world.vcCid}/clients`, body)).body;
    const cancelled = (await world.api('POST', `/virtualcenters/${world.vcCid}/clients`, body)).body;
    await world.api('DELETE', `/tasks/${cancelled.id}`);
    await world.pass(300);
    const waiting = (await world.api('GET', `/tasks/${id}`)).body;
    expect([waiting.done, waiting.elapsedTime >= 300, waiting.result]).toEqual([false, true, undefined]);
    await world.pass(300);
    const ended = await until(
      () => world.api('GET', `/tasks/${id}`),
      ({ body: task }) => task.done,
    );
    expect(ended.body.result).toMatchObject([{ name: 'slow-1', success: true }]);
    expect((await world.api('GET', `/tasks/${cancelled.id}`)).body).toMatchObject({ done: true, cancelled: true });
  });

  test('the server has a zone of its own, for schedules that name none', async () => {
    const post = async (name: string, more: object = {}): Promise<Json> => {
      const dto = { name, domainFqdn: '/', recurrenceEnum: 'Daily', dailyData: { timesOfDay: ['10:00'] }, ...more };
      return (await world.api('POST', '/schedules', dto)).body;
    };
    expect((await post('utc')).timeZoneId).toBe('UTC');
    const changed = await world.control('POST', '/settings', { timeZoneId: 'Asia/Tokyo' });
    expect(changed.body).toMatchObject({ timeZoneId: 'Asia/Tokyo', backupSeconds: 0.2 });
    const tokyo = await post('tokyo');
    expect([tokyo.timeZoneId, tokyo.nextRunTime.slice(10, 19)]).toEqual(['Asia/Tokyo', 'T01:00:00']);
    expect((await post('own', { timeZoneId: 'UTC' })).nextRunTime).toMatch(/T10:00:00/);
    expect((await world.control('POST', '/settings', { timeZoneId: 'Mars/Olympus' })).status).toBe(400);
    expect((await world.control('GET', '/settings')).body.timeZoneId).toBe('Asia/Tokyo');
  });
});
