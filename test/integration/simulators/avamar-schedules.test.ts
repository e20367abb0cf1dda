import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Json, startWorld, type World } from './simulated-world.ts';

describe('the Avamar simulator: schedules, retention, groups, expiry, restarts', () => {
  let world: World;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.close());

  const activities = async (filter: string): Promise<Json[]> =>
    (await world.api('GET', `/activities?recursive=true&filter=${filter}`)).body.content;
  const listed = async (): Promise<Json[]> => (await world.api('GET', `/clients/${world.cid}/backups`)).body.content;
  const advanceTo = (at: string) =>
    world
      .control('GET', '/clock')
      .then(({ body }) =>
        world.control('POST', '/clock', { advanceSeconds: (Date.parse(at) - Date.parse(body.now)) / 1000 }),
      );
  const daily = (time: string, timeZoneId: string) => ({
    name: 'daily',
    domainFqdn: '/',
    recurrenceEnum: 'Daily',
    timeZoneId,
    dailyData: { timesOfDay: [time] },
  });
  const makeGroup = async (schedule: object, more: object = {}): Promise<Json> => {
    const scheduleId = (await world.api('POST', '/schedules', schedule)).body.id;
    const retention = {
      name: 'week',
      domainFqdn: '/',
      basicRetentionType: 'DURATION',
      duration: 7,
      durationUnit: 'DAYS',
    };
    const retentionId = (await world.api('POST', '/retentions', retention)).body.id;
    const dataset = { name: 'image', domainFqdn: '/', targets: [{ pluginNumber: 1016, value: 'ALL' }] };
    const datasetId = (await world.api('POST', '/datasets', dataset)).body.id;
    const answer = await world.api('POST', '/groups/backup-groups', {
      name: 'gold',
      domainFqdn: '/',
      enabled: true,
      scheduleId,
      retentionId,
      datasetId,
      members: [{ cid: world.cid, joinType: 'INCLUDED_BY_USER' }],
      ...more,
    });
    expect(answer.status).toBe(201);
    return answer.body;
  };

  test('a group’s backup runs at its local time, once, with the group’s retention', async () => {
    const group = await makeGroup(daily('02:30', 'Europe/Madrid'));
    const schedule = (await world.api('GET', `/schedules/${group.scheduleId}`)).body;
    const due = Date.parse(schedule.nextRunTime);
    const inMadrid = new Intl.DateTimeFormat('en-GB', {
      timeZone: 'Europe/Madrid',
      hour: '2-digit',
      minute: '2-digit',
    });
    expect(inMadrid.format(due)).toBe('02:30');

    await advanceTo(new Date(due - 60_000).toISOString());
    expect(await activities('type==Scheduled Backup')).toHaveLength(0);
    const date = Date.parse((await world.api('GET', '/activities')).headers.get('date') ?? '');
    expect(date).toBeGreaterThan(due - 62_000);
    expect(date).toBeLessThan(due);

    await advanceTo(new Date(due + 1_000).toISOString());
    const [scheduled, ...others] = await activities('type==Scheduled Backup');
    expect(others).toHaveLength(0);
    expect(scheduled).toMatchObject({ cid: world.cid, groupFqdn: '/gold', scheduledDate: new Date(due).toISOString() });
    const { effectiveExpiration } = await world.ended(scheduled.id);
    const [backup] = await listed();
    expect(backup.expirationTime - backup.creationTime).toBe(7 * 86_400_000);
    expect(effectiveExpiration).toBe(backup.expirationTime);

    const next = (await world.api('GET', `/schedules/${group.scheduleId}`)).body.nextRunTime;
    expect(Date.parse(next)).toBeGreaterThan(due);
  });

  test('a disabled group, one told to skip, and one told to run once', async () => {
    const group = await makeGroup(daily('10:00', 'UTC'), { overrideSchedule: 'skipNext' });
    expect(group.skipNext).toBe(true);
    const next = async () => Date.parse((await world.api('GET', `/schedules/${group.scheduleId}`)).body.nextRunTime);
    const pass = async () => advanceTo(new Date((await next()) + 1_000).toISOString());
    const count = async () => (await activities('type==Scheduled Backup')).length;

    await pass();
    expect(await count()).toBe(0);
    await pass();
    expect(await count()).toBe(1);

    expect((await world.api('PUT', `/groups/backup-groups/${group.id}/toggle`)).body.enabled).toBe(false);
    await pass();
    expect(await count()).toBe(1);

    const { name, scheduleId, retentionId, datasetId } = group;
    const edit = { name, scheduleId, retentionId, datasetId, enabled: true, overrideSchedule: 'runOnce' };
    expect((await world.api('PUT', `/groups/backup-groups/${group.id}`, edit)).body.memberCount).toBe(1);
    await pass();
    expect(await count()).toBe(2);
    expect((await world.api('GET', `/groups/${group.id}`)).body.enabled).toBe(false);
  });

  test('members come and go, and a group is run on demand', async () => {
    const group = await makeGroup(daily('10:00', 'UTC'), { members: [] });
    for (let time = 0; time < 2; time += 1) {
      expect((await world.api('POST', `/clients/${world.cid}/groups/add`, [group.id])).status).toBe(204);
    }
    expect((await world.api('GET', `/groups/${group.id}/members`)).body.content).toMatchObject([{ cid: world.cid }]);
    expect((await world.api('GET', `/clients/${world.cid}/groups`)).body.content).toMatchObject([{ id: group.id }]);
    const [result] = (await world.api('POST', `/groups/backup-groups/${group.id}/backup`, { dynamicValues: [] })).body;
    expect(result).toMatchObject({ success: true });
    expect(await world.ended(result.data)).toMatchObject({
      state: 'SUCCESS',
      type: 'On-Demand Backup',
      groupId: group.id,
    });
    const [own] = (await world.api('POST', `/clients/${world.cid}/groups/${group.id}/backup`)).body;
    expect((await world.ended(own)).state).toBe('SUCCESS');

    await world.api('POST', `/clients/${world.cid}/groups/remove`, [group.id]);
    expect((await world.api('GET', `/clients/${world.cid}/groups`)).body.totalElements).toBe(0);
    expect((await world.api('DELETE', `/schedules/${group.scheduleId}`)).status).toBe(400);
    expect((await world.api('DELETE', `/groups/${group.id}`)).status).toBe(204);
    expect((await world.api('DELETE', `/schedules/${group.scheduleId}`)).status).toBe(204);
    expect((await world.api('DELETE', `/retentions/${group.retentionId}`)).status).toBe(204);
    expect((await world.api('DELETE', `/datasets/${group.datasetId}`)).status).toBe(204);
  });

  test('names are unique in a domain, built-in objects stay, bad schedules are refused', async () => {
    const post = async (schedule: object) => (await world.api('POST', '/schedules', schedule)).status;
    expect(await post(daily('10:00', 'UTC'))).toBe(201);
    expect(await post(daily('11:00', 'UTC'))).toBe(400);
    expect(await post({ ...daily('11:00', 'UTC'), domainFqdn: '/other' })).toBe(201);
    expect(await post({ ...daily('25:00', 'UTC'), name: 'a' })).toBe(400);
    expect(await post({ ...daily('10:00', 'Mars/Olympus'), name: 'b' })).toBe(400);
    const monthly = { name: 'c', recurrenceEnum: 'monthly', startTime: '10:00' };
    expect(await post({ ...monthly, monthlyData: { typeEnum: 'NthDay', nthDay: '29' } })).toBe(400);
    expect(await post({ ...monthly, monthlyData: { typeEnum: 'nthday', nthDay: 'last' } })).toBe(201);
    expect((await world.api('DELETE', '/retentions/Default:POLICYID')).status).toBe(400);
    expect((await world.api('GET', '/datasets/VMWARE:SNAPID')).body.fqdn).toBe('/VMware Image Dataset');
    expect((await world.api('GET', '/schedules/timezone-ids')).body).toContain('Europe/Madrid');
    const next = await world.api('POST', '/schedules/next-run-time', daily('10:00', 'Asia/Tokyo'));
    expect(next.body.nextRunTime).toMatch(/T01:00:00/);
  });

  test('expired backups vanish from the list; an expiry can be moved, a backup deleted', async () => {
    const day = 86_400_000;
    await world.backUp(world.cid, { expireTime: Date.now() + day });
    await world.backUp(world.cid, { expireTime: Date.now() + day });
    await world.backUp(world.cid, { expireTime: Date.now() + day });
    expect((await listed()).map(({ labelNumber }) => labelNumber)).toEqual(['3', '2', '1']);
    const later = new Date(Date.now() + 10 * day).toISOString();
    const path = `/clients/${world.cid}/backups`;
    expect((await world.api('PUT', `${path}/2/update-expiration?expiration=${encodeURIComponent(later)}`)).status).toBe(
      200,
    );
    expect((await world.api('DELETE', `${path}/3/delete`)).status).toBe(204);
    await world.pass(2 * 86_400);
    expect((await listed()).map(({ labelNumber }) => labelNumber)).toEqual(['2']);
    expect((await world.api('GET', `${path}/1`)).status).toBe(404);
    const restore = { pluginNumber: 1016, vmEntityId: `VirtualMachine:${world.moref}` };
    expect((await world.api('POST', `${path}/1/restore:vm`, restore)).status).toBe(404);

    const [backup] = await listed();
    const window = (after: number) => world.api('GET', `${path}?after=${new Date(after).toISOString()}`);
    expect((await window(backup.creationTime - 1)).body.totalElements).toBe(1);
    expect((await window(backup.creationTime + 1)).body.totalElements).toBe(0);
  });

  test('a restarted server goes on with the backup that was running', async () => {
    await world.control('POST', '/settings', { backupSeconds: 600 });
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    const [id] = (await world.api('POST', `/clients/${world.cid}/backup`, { targets })).body;
    const { systemId } = (await world.api('GET', '/system/status')).body;
    await world.pass(300);
    expect((await world.api('GET', `/activities/${id}`)).body.state).toBe('RUNNING');

    await world.restartAvamar();

    expect((await world.api('GET', `/activities/${id}`)).body.state).toBe('RUNNING');
    await world.pass(300);
    expect(await world.ended(id)).toMatchObject({ state: 'SUCCESS', stats: { labelNumber: '1' } });
    expect((await world.api('GET', '/system/status')).body.systemId).toBe(systemId);
    expect(await listed()).toHaveLength(1);
  });

  test('a second backup of a client waits for the first', async () => {
    await world.control('POST', '/settings', { backupSeconds: 600 });
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    const start = async () => (await world.api('POST', `/clients/${world.cid}/backup`, { targets })).body[0];
    const first = await start();
    const second = await start();
    await world.pass(601);
    const done = await world.ended(first);
    expect((await world.api('GET', `/activities/${second}`)).body.completedDate).toBeUndefined();
    await world.pass(601);
    const waited = await world.ended(second);
    expect([done.stats.labelNumber, waited.stats.labelNumber]).toEqual(['1', '2']);
  });
});
