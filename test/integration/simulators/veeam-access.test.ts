import { afterEach, beforeEach, expect, test } from 'vitest';
import { basic } from './simulated-world.ts';
import { type VeeamWorld, startVeeamWorld, xmlBody, xmlOf } from './veeam-simulated-world.ts';

let world: VeeamWorld;
beforeEach(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.close());

const authorization = basic('VEEAM-EM\\administrator', 'veeam-simulator');

test('says without a login which versions it speaks', async () => {
  const { status, xml } = await world.http('GET', '/');
  const names = xml.SupportedVersions.SupportedVersion.map((one: any) => one['@Name']);
  expect([status, names]).toEqual([200, ['v1_4', 'v1_5', 'v1_6', 'v1_7']]);
});

test('a login answers 201 with the key in header and cookie; the id in the body is another value', async () => {
  const { status, xml, headers } = await world.http('POST', '/sessionMngr/?v=v1_7', '', { authorization });
  const key = headers.get('x-restsvcsessionid');
  expect(status).toBe(201);
  expect(headers.get('set-cookie')).toBe(`X-RestSvcSessionId=${key}; Path=/api;`);
  expect([xml.UserName, xml.SessionId === key]).toEqual(['VEEAM-EM\\Administrator', false]);
  expect(xml.Links.Link).toContainEqual(expect.objectContaining({ '@Rel': 'Down', '@Type': 'JobReferenceList' }));
});

test('bad credentials and no session are refused with the challenge of the service', async () => {
  for (const [path, headers] of [
    ['/sessionMngr/?v=latest', { authorization: basic('Administrator', 'wrong') }],
    ['/sessionMngr/?v=latest', {}],
  ] as const) {
    const answer = await world.http('POST', path, '', { ...headers });
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Basic Realm=RestSvc']);
  }
  expect((await world.http('GET', '/jobs')).status).toBe(401);
  expect((await world.http('POST', '/sessionMngr/?v=v9_9', '', { authorization })).status).toBe(400);
});

test('a cookie counts more than the header', async () => {
  const live = await world.logIn();
  const cookie = `X-RestSvcSessionId=${live['X-RestSvcSessionId']}`;
  expect((await world.http('GET', '/jobs', undefined, { cookie })).status).toBe(200);
  expect((await world.http('GET', '/jobs', undefined, { cookie, 'X-RestSvcSessionId': 'dead' })).status).toBe(200);
  expect((await world.http('GET', '/jobs', undefined, { ...live, cookie: 'X-RestSvcSessionId=dead' })).status).toBe(
    401,
  );
});

test('a session ends by logging out, and when it was idle for 15 minutes', async () => {
  const left = await world.logIn();
  const logon = (await world.http('GET', '/logonSessions', undefined, left)).xml.LogonSession;
  expect((await world.http('DELETE', `/logonSessions/${logon.SessionId}`, undefined, left)).status).toBe(204);
  expect((await world.http('GET', '/jobs', undefined, left)).status).toBe(401);

  const idle = await world.logIn();
  await world.control('POST', '/clock', { advanceSeconds: 14 * 60 });
  expect((await world.http('GET', '/jobs', undefined, idle)).status).toBe(200);
  await world.control('POST', '/clock', { advanceSeconds: 15 * 60 + 1 });
  expect((await world.http('GET', '/jobs', undefined, idle)).status).toBe(401);
});

test('all sessions can be ended from outside, and end when the server is started again', async () => {
  const before = await world.logIn();
  await world.control('DELETE', '/sessions');
  expect((await world.http('GET', '/jobs', undefined, before)).status).toBe(401);
  const again = await world.logIn();
  await world.restartVeeam();
  expect((await world.http('GET', '/jobs', undefined, again)).status).toBe(401);
});

test('who may not change jobs gets 403, and may read them', async () => {
  const viewer = await world.logIn('viewer');
  const job = await world.jobId('GOLD');
  const body = xmlBody('Job', '<ScheduleEnabled>true</ScheduleEnabled>');
  expect((await world.http('PUT', `/jobs/${job}?action=edit`, body, viewer)).status).toBe(403);
  expect((await world.http('DELETE', `/jobs/${job}`, undefined, viewer)).status).toBe(403);
  expect((await world.http('GET', `/jobs/${job}`, undefined, viewer)).status).toBe(200);
});

test('what is not there is 404 in the error document; doubled slashes are tolerated', async () => {
  const { status, xml } = await world.api('GET', '/jobs/00000000-0000-0000-0000-000000000000');
  expect([status, xml['@StatusCode']]).toEqual([404, '404']);
  expect((await world.api('GET', '//jobs/')).status).toBe(200);
  expect((await world.api('GET', '/nothing')).status).toBe(404);
});

test('answers JSON where it is asked for, in the case of its release', async () => {
  const session = await world.logIn();
  const json = async (path: string) => {
    const { text } = await world.http('GET', path, undefined, { ...session, accept: 'application/json' });
    return text;
  };
  const query = '/query?type=Job&format=Entities&filter=Name==GOLD';
  const pascal = JSON.parse(await json(query));
  expect(pascal.Entities.Jobs.Jobs[0]).toMatchObject({ Name: 'GOLD', ScheduleEnabled: false });
  expect(pascal.Entities.BackupJobSessions).toBeNull();

  await world.control('POST', '/settings', { jsonCase: 'camel', jsonBom: true });
  const response = await fetch(`${world.url()}/api${query}`, { headers: { ...session, accept: 'application/json' } });
  const bytes = Buffer.from(await response.arrayBuffer());
  expect([...bytes.subarray(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
  const job = JSON.parse(bytes.subarray(3).toString('utf8')).entities.jobs.jobs[0];
  expect(job).toMatchObject({ name: 'GOLD', jobScheduleOptions: { standart: { optionsDaily: { enabled: true } } } });
  expect(job.uid).toMatch(/^urn:veeam:Job:/);
});

test('takes the Accept header for the format of the body', async () => {
  const session = await world.logIn();
  const path = `/jobs/${await world.jobId('GOLD')}?action=edit`;
  const xml = xmlBody('Job', '<ScheduleEnabled>true</ScheduleEnabled>');
  const accept = 'application/xml, application/json';
  const trap = await world.http('PUT', path, xml, { ...session, accept, 'content-type': 'application/xml' });
  expect([trap.status, JSON.parse(trap.text)]).toEqual([
    400,
    {
      FirstChanceExceptionMessage: null,
      Message: 'Node [root] does not exist.',
      StackTrace: null,
      Status: null,
      StatusCode: 400,
    },
  ]);
  const json = JSON.stringify({ ScheduleEnabled: 'true' });
  expect((await world.http('PUT', path, json, session)).status).toBe(400);
  expect((await world.http('PUT', path, json, { ...session, accept: 'application/json' })).status).toBe(202);
});

test('addresses name the host that the server believes to have', async () => {
  await world.control('POST', '/settings', { advertisedHost: 'http://veeam-em:9399' });
  const { xml } = await world.api('GET', '/jobs');
  expect(xml.Ref[0]['@Href']).toMatch(/^http:\/\/veeam-em:9399\/api\/jobs\//);
});

test('its Date header follows its clock, times have the precision of its release', async () => {
  await world.pass(3600);
  const { headers } = await world.api('GET', '/jobs');
  expect(Date.parse(headers.get('date') ?? '') - Date.now()).toBeGreaterThan(3_500_000);
  const job = await world.makeJob('timed');
  await world.run(job);
  const times: string[] = [];
  for (const timestamps of ['seconds', 'milliseconds', 'microseconds']) {
    await world.control('POST', '/settings', { timestamps });
    times.push((await world.entities('VmRestorePoint'))[0].CreationTimeUTC);
  }
  expect(times.map((time) => time.length)).toEqual([20, 24, 27]);
});

test('a fault can match the text of an XML body', async () => {
  const fault = { path: '/api/jobs', body: '<Description>strike', when: 'after', times: 1, action: { status: 503 } };
  await world.control('POST', '/faults', fault);
  const job = await world.jobId('GOLD');
  expect(
    (await world.api('PUT', `/jobs/${job}?action=edit`, xmlBody('Job', '<Description>pass</Description>'))).status,
  ).toBe(202);
  const struck = await world.api(
    'PUT',
    `/jobs/${job}?action=edit`,
    xmlBody('Job', '<Description>strike</Description>'),
  );
  expect(struck.status).toBe(503);
  // The effect is there all the same.
  await expect
    .poll(async () => xmlOf((await world.api('GET', `/jobs/${job}?format=Entity`)).text).Description)
    .toBe('strike');
});
