import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { XMLValidator } from 'fast-xml-parser';
import { type VeeamWorld, linked, startVeeamWorld } from './veeam-simulated-world.ts';

let world: VeeamWorld;
let job: string;
beforeAll(async () => {
  world = await startVeeamWorld();
  job = await world.makeJob('nightly');
  await world.run(job);
  await world.pass(3600);
  await world.control('POST', '/outcomes', { result: 'Failed', times: 1 });
  await world.run(job);
  await world.pass(3600);
  await world.run(job);
});
afterAll(() => world.close());
beforeEach(() => world.control('DELETE', '/pages'));

const query = (text: string) => world.api('GET', `/query?${text}`);
const filtered = async (type: string, filter: string): Promise<number> =>
  (await world.entities(type, `&filter=${encodeURIComponent(filter)}`)).length;

test.each([
  ['Job', 'Name==GOLD', 1],
  ['Job', 'name=="gold"', 1],
  ['Job', 'Name!=GOLD', 4],
  ['Job', 'Name==GOLD,Name==SILVER', 2],
  ['Job', 'Name==GOLD;ScheduleEnabled==true', 0],
  ['Job', '(Name==GOLD,Name==SILVER);ScheduleEnabled==false', 2],
  ['Job', 'Name==GOLD,Name==SILVER;ScheduleEnabled==true', 1],
  ['BackupTaskSession', 'VmDisplayName==web-1', 3],
  ['BackupTaskSession', 'State==Completed;Result==Failed', 1],
  ['BackupTaskSession', 'TotalSize>1000', 3],
  ['BackupTaskSession', 'TotalSize<=1000', 0],
  ['BackupJobSession', 'IsRetry==true', 0],
  ['VmRestorePoint', 'Algorithm==Full', 1],
  ['BackupFile', 'FileType=="vib"', 1],
])('finds in %s what fits %s', async (type, filter, count) => {
  expect(await filtered(type, filter)).toBe(count);
});

test('finds by reference, by UID and by time', async () => {
  const ref = await world.refOf('web-1');
  expect(await filtered('VmRestorePoint', `HierarchyObjRef==${ref}`)).toBe(2);
  expect(await filtered('VmRestorePoint', `HierarchyObjRef=="${ref.toUpperCase()}"`)).toBe(2);
  expect(await filtered('BackupJobSession', `JobUid==urn:veeam:Job:${job}`)).toBe(3);
  const sessions = await world.entities('BackupJobSession', '&sortAsc=CreationTime');
  const second = sessions[1].CreationTimeUTC;
  expect(await filtered('BackupJobSession', `CreationTime>"${second}"`)).toBe(1);
  expect(await filtered('BackupJobSession', `CreationTime>=${second}`)).toBe(2);
  expect(await filtered('BackupJobSession', `CreationTimeUTC<${second.replace('Z', '')}`)).toBe(1);
  const uid = sessions[0]['@UID'];
  expect(await filtered('BackupTaskSession', `JobSessionUid=="${uid}"`)).toBe(1);
  expect(await filtered('BackupJobSession', `UID==${uid}`)).toBe(1);
});

test.each(['Name=GOLD', 'Name==GOLD)', '(Name==GOLD', 'Colour==red', 'Name', ';'])(
  'refuses the filter %s',
  async (filter) => {
    expect((await query(`type=Job&filter=${encodeURIComponent(filter)}`)).status).toBe(400);
  },
);

test('refuses an unknown type, and dates that are none', async () => {
  expect((await query('type=Colour')).status).toBe(400);
  expect((await query('type=BackupJobSession&filter=CreationTime>yesterday')).status).toBe(400);
  expect((await query('type=Job&pageSize=0')).status).toBe(400);
});

test('sorts, and answers references without a format', async () => {
  const names = async (sort: string) => (await query(`type=job&${sort}`)).xml.Refs.Ref.map((one: any) => one['@Name']);
  const ascending = await names('sortAsc=Name');
  expect(ascending).toEqual(['GOLD', 'nightly', 'SILVER', 'veeam-every-night', 'veeam-weekly']);
  expect(await names('sortDesc=name')).toEqual(ascending.toReversed());
});

test('pages follow each other by their links until there is no next one', async () => {
  const seen: string[] = [];
  let path: string | undefined = '/query?type=Job&pageSize=2&sortAsc=Name&filter=Name!=GOLD';
  while (path !== undefined) {
    const { xml } = await world.api('GET', path);
    seen.push(...xml.Refs.Ref.map((one: any) => one['@Name']));
    const { PagingInfo } = xml;
    expect([PagingInfo['@PageSize'], PagingInfo['@PagesCount']]).toEqual(['2', '2']);
    const next = PagingInfo.Links.Link.find((one: any) => one['@Rel'] === 'Next');
    path = next === undefined ? undefined : next['@Href'].replace(/^.*\/api/, '');
  }
  expect(seen).toEqual(['nightly', 'SILVER', 'veeam-every-night', 'veeam-weekly']);
  const { xml } = await query('type=Job');
  expect([xml.PagingInfo['@PageNum'], xml.PagingInfo['@PageSize']]).toEqual(['1', '100']);
});

test('pages go wrong when they are told to', async () => {
  const names = async (page: number) =>
    ((await query(`type=Job&pageSize=2&page=${page}`)).xml.Refs.Ref ?? []).map((one: any) => one['@Name']);
  const first = await names(1);
  await world.control('POST', '/pages', { kind: 'repeat', type: 'Job', times: 1 });
  expect(await names(1)).toEqual(first);
  expect(await names(2)).toEqual(first);
  expect(await names(2)).not.toEqual(first);
  await world.control('POST', '/pages', { kind: 'short', times: 1 });
  expect(await names(1)).toEqual(first.slice(0, 1));
  await world.control('POST', '/pages', { kind: 'truncated', times: 1 });
  const cut = await fetch(`${world.url()}/api/query?type=Job`, { headers: await world.logIn() });
  const text = await cut.text();
  expect(XMLValidator.validate(text)).not.toBe(true);
});

test('knows objects of jobs and the tasks of the session', async () => {
  const objects = (await query('type=ObjectInJob&filter=Name==web-1')).xml;
  expect(objects.Resources.sInObjectJob.ObjectInJob).toHaveLength(1);
  await world.ok('POST', `/jobs/${job}?action=toggleScheduleEnabled`);
  const tasks = (await query('type=Task&format=Entities&filter=Operation==UpdateJob')).xml;
  expect(tasks.Resources.Tasks.Task).toMatchObject({ Operation: 'UpdateJob', State: 'Finished' });
  const known = (await world.api('GET', '/querySvc')).xml.Links.Link.map((one: any) => one['@Type']);
  expect(known).toEqual(expect.arrayContaining(['Job', 'ObjectInJob', 'VmRestorePoint', 'RestoreSession', 'Task']));
});

test('every collection that a login links can be read in both forms', async () => {
  const logon = await world.http('GET', '/logonSessions', undefined, await world.logIn());
  const links = logon.xml.LogonSession.Links.Link.filter((one: any) => one['@Rel'] === 'Down');
  for (const link of links) {
    const path = link['@Href'].replace(/^.*\/api/, '');
    expect([path, (await world.api('GET', path)).status]).toEqual([path, 200]);
  }
  expect(links.length).toBeGreaterThan(20);
  expect(() => linked(logon.xml.LogonSession, 'JobList', 'Down')).not.toThrow();
});
