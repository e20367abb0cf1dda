import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Json, startWorld, type World } from './simulated-world.ts';

describe('the Avamar simulator: zones and days of schedules', () => {
  let world: World;
  let made = 0;
  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(() => world.close());

  const daily = (more: object) => {
    made += 1;
    const dailyData = { timesOfDay: ['10:00'] };
    return { name: `s${made}`, domainFqdn: '/', recurrenceEnum: 'Daily', dailyData, ...more };
  };
  const post = (schedule: object) => world.api('POST', '/schedules', schedule);

  test('the zones that are listed are taken, in all their names', async () => {
    const listed: string[] = (await world.api('GET', '/schedules/timezone-ids')).body;
    expect(listed).toEqual(expect.arrayContaining(['UTC', 'Europe/Madrid', 'Asia/Kolkata', 'America/New_York']));
    expect(new Set(listed).size).toBe(listed.length);
    for (const timeZoneId of ['UTC', 'Europe/Kyiv', 'Asia/Kolkata', 'America/Argentina/Buenos_Aires']) {
      const answer = await post(daily({ timeZoneId }));
      expect([answer.status, answer.body.timeZoneId]).toEqual([201, timeZoneId]);
      expect(answer.body.nextRunTime).toMatch(/^\d{4}-/);
    }
  });

  test.each(['Mars/Olympus', 'europe/madrid', '+02:00', 'UTC+2', 'CEST', ''])(
    'the zone "%s" is refused',
    async (timeZoneId) => {
      const answer = await post(daily({ timeZoneId }));
      expect([answer.status, Object.keys(answer.body)[0]]).toEqual([400, 'code']);
      expect(answer.body.message).toContain('timeZoneId');
    },
  );

  test.each([
    ['1', 201],
    ['28', 201],
    ['last', 201],
    ['29', 400],
    ['31', 400],
    ['0', 400],
    ['01', 400],
    ['first', 400],
    ['-1', 400],
  ])('the day %s of a month: %i', async (nthDay, status) => {
    const monthly = { recurrenceEnum: 'Monthly', startTime: '10:00', monthlyData: { typeEnum: 'NthDay', nthDay } };
    expect((await post(daily(monthly))).status).toBe(status);
  });

  test('a schedule that begins and ends on one day runs once', async () => {
    const { now } = (await world.control('GET', '/clock')).body;
    const tomorrow = new Date(Date.parse(now) + 86_400_000).toISOString().slice(0, 10);
    const day = `${tomorrow}T00:00:00.000Z`;
    const once = daily({ timeZoneId: 'UTC', postponeUntilDate: day, endDate: day });
    const schedule = (await post(once)).body;
    expect(schedule).toMatchObject({ nextRunTime: `${tomorrow}T10:00:00.000Z`, endDate: day, postponeUntilDate: day });
    await world.api('POST', '/groups/backup-groups', {
      name: 'once',
      domainFqdn: '/',
      enabled: true,
      datasetId: 'VMWARE:SNAPID',
      retentionId: 'Default:POLICYID',
      scheduleId: schedule.id,
      members: [{ cid: world.cid }],
    });
    const runs = async (): Promise<Json[]> =>
      (await world.api('GET', '/activities?recursive=true&filter=groupFqdn==/once')).body.content;
    const starts = (Date.parse(`${tomorrow}T10:00:00Z`) - Date.parse(now)) / 1000;
    await world.pass(starts - 3600);
    expect(await runs()).toHaveLength(0);
    await world.pass(2 * 3600);
    const [run] = await runs();
    expect(run).toMatchObject({ type: 'Scheduled Backup', scheduledDate: `${tomorrow}T10:00:00.000Z` });
    for (let days = 0; days < 3; days += 1) await world.pass(86_400);
    expect(await runs()).toHaveLength(1);
    expect((await world.api('GET', `/schedules/${schedule.id}`)).body.nextRunTime).toBeUndefined();
  });
});
