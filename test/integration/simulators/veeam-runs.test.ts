import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from './simulated-world.ts';
import { type VeeamWorld, linked, startVeeamWorld } from './veeam-simulated-world.ts';

const DAY = 86_400;

let world: VeeamWorld;
let job: string;
beforeEach(async () => {
  world = await startVeeamWorld();
  job = await world.makeJob('nightly');
});
afterEach(() => world.close());

const points = () => world.entities('VmRestorePoint', '&sortAsc=CreationTime');
const sessions = () => world.entities('BackupJobSession', '&sortAsc=CreationTime');
const tasks = () => world.entities('BackupTaskSession', '&sortAsc=CreationTime');
const rels = (xml: any, type: string): string[] =>
  xml.Links.Link.filter((one: any) => one['@Type'] === type).map((one: any) => one['@Rel']);
const retain = (content: string) =>
  world.edit(
    job,
    `<JobInfo><BackupJobInfo><SimpleRetentionPolicy>${content}</SimpleRetentionPolicy></BackupJobInfo></JobInfo>`,
  );
/** Starts a run that takes an hour of the server's clock. */
const slowRun = async (): Promise<string> => {
  await world.control('POST', '/settings', { backupSeconds: 3600 });
  return linked(await world.ok('POST', `/jobs/${job}?action=start`), 'BackupJobSession');
};

test('a run is starting, works with a task session for its machine, and stops with a restore point', async () => {
  const path = await slowRun();
  const starting = (await world.api('GET', path)).xml;
  expect([starting.State, starting.Result, starting.EndTimeUTC]).toEqual(['Starting', 'None', undefined]);
  expect(await tasks()).toEqual([]);

  await world.pass(60);
  const working = (await world.api('GET', path)).xml;
  expect([working.State, working.Result]).toEqual(['Working', 'None']);
  const [task] = await tasks();
  expect([task['@VmDisplayName'], task.State, task.Result]).toEqual(['web-1', 'InProgress', 'None']);
  expect(task.VmUid).toBe(await world.refOf('web-1'));
  // The point is listed while its file is being written: nothing leads up to it.
  const [unready] = await points();
  expect([rels(unready, 'RestorePointReference'), rels(unready, 'BackupFileReference')]).toEqual([
    ['Related'],
    ['Related'],
  ]);

  await world.control('POST', '/settings', { pointReadySeconds: 30 });
  await world.pass(3600);
  const stopped = await world.ended(path);
  expect([stopped.Result, stopped.Progress, stopped.IsRetry]).toEqual(['Success', '100', 'false']);
  expect(linked(stopped, 'RestorePointReference')).toMatch(/^\/restorePoints\//);
  const [ended] = await tasks();
  expect([ended['@UID'], ended.State, ended.Result]).toEqual([task['@UID'], 'Completed', 'Success']);
  expect(rels((await points())[0], 'RestorePointReference')).toEqual(['Related']);

  await world.pass(31);
  const [ready] = await points();
  expect([rels(ready, 'RestorePointReference'), rels(ready, 'BackupFileReference')]).toEqual([['Up'], ['Up']]);
  expect(linked(ended, 'VmRestorePoint')).toContain(ready['@UID'].replace('urn:veeam:VmRestorePoint:', ''));
  expect([ready.HierarchyObjRef, ready.Algorithm]).toEqual([task.VmUid, 'Full']);
});

test('a job runs by its schedule, once for what was missed, and not when it is disabled', async () => {
  await world.edit(
    job,
    `<ScheduleConfigured>true</ScheduleConfigured><ScheduleEnabled>true</ScheduleEnabled><JobScheduleOptions><Standart>
      <OptionsDaily Enabled="true"><Kind>Everyday</Kind><Time>03:00:00.0000000+00:00</Time></OptionsDaily>
    </Standart></JobScheduleOptions>`,
  );
  const succeeded = (count: number) =>
    until(sessions, (all) => all.filter(({ Result }) => Result === 'Success').length === count);
  await world.pass(DAY);
  await succeeded(1);
  await world.pass(5 * DAY);
  await succeeded(2);
  await world.edit(job, '<ScheduleEnabled>false</ScheduleEnabled>');
  expect((await world.api('GET', `/jobs/${job}?format=Entity`)).xml.NextRun).toBeUndefined();
  await world.pass(2 * DAY);
  expect(await sessions()).toHaveLength(2);
});

test('a second start of a running job fails; a run that is stopped leaves no point', async () => {
  const path = await slowRun();
  expect((await world.done('POST', `/jobs/${job}?action=start`)).Result).toEqual({
    '@Success': 'false',
    Message: 'Job "nightly" is already running.',
  });
  expect((await world.done('DELETE', `/jobs/${job}`)).Result['@Success']).toBe('false');
  await world.pass(60);
  await world.ok('POST', path.replace('?format=Entity', '?action=stop'));
  const stopped = await world.ended(path);
  expect([stopped.State, stopped.Result]).toEqual(['Stopped', 'Failed']);
  const [task] = await tasks();
  expect([task.State, task.Result]).toEqual(['Completed', 'Failed']);
  expect(await points()).toEqual([]);
  expect((await world.done('POST', path.replace('?format=Entity', '?action=stop'))).Result['@Success']).toBe('false');
});

test('a run ends as it was told to: a warning leaves a point, a failure none', async () => {
  await world.control('POST', '/outcomes', { vmName: 'web-1', result: 'Warning', reason: 'odd', times: 1 });
  await world.control('POST', '/outcomes', { jobName: 'nightly', result: 'Failed', times: 1 });
  expect((await world.run(job)).Result).toBe('Warning');
  expect((await world.run(job)).Result).toBe('Failed');
  expect((await tasks()).map(({ Result, Reason }) => [Result, Reason])).toEqual([
    ['Warning', 'odd'],
    ['Failed', 'The virtual disk could not be read.'],
  ]);
  expect(await points()).toHaveLength(1);
  const retried = await world.done('POST', `/jobs/${job}?action=retry`);
  expect(retried.Result['@Success']).toBe('true');
  await until(sessions, (all) => all.at(-1).IsRetry === 'true' && all.at(-1).Result === 'Success');
});

test('a scheduled run that failed is tried again by itself', async () => {
  await world.edit(
    job,
    `<ScheduleEnabled>true</ScheduleEnabled><JobScheduleOptions><Standart>
      <RetryOptions><RetryTimes>1</RetryTimes><RetryTimeout>10</RetryTimeout><RetrySpecified>true</RetrySpecified></RetryOptions>
    </Standart></JobScheduleOptions>`,
  );
  await world.control('POST', '/outcomes', { result: 'Failed', times: 1 });
  await world.pass(DAY);
  await until(sessions, (all) => all[0]?.Result === 'Failed');
  await world.pass(601);
  const all = await until(sessions, (listed) => listed[1]?.Result === 'Success');
  expect(all.map(({ IsRetry }) => IsRetry)).toEqual(['false', 'true']);
});

test('a machine that is gone fails its run, and one that cannot be reached is waited for', async () => {
  await world.control('POST', '/settings', { backupSeconds: 0.5 });
  await world.vcenter('POST', '/_simulator/faults', {
    path: '/morefs/',
    when: 'before',
    times: 3,
    action: { status: 503 },
  });
  expect((await world.run(job)).Result).toBe('Success');
  await world.vcenter('DELETE', '/vms/a1');
  expect((await world.run(job)).Result).toBe('Failed');
  expect((await tasks())[1].Reason).toBe('Object "web-1" was not found.');
});

test('retention by number lets the oldest go at the end of a run, and the chain keeps a full backup', async () => {
  await retain('<RetainCycles>2</RetainCycles><RetainLimitType>Cycles</RetainLimitType>');
  for (let runs = 0; runs < 3; runs += 1) await world.run(job);
  const left = await points();
  expect(left.map(({ PointType }) => PointType)).toEqual(['Full', 'Increment']);
  expect(await world.entities('BackupFile')).toHaveLength(2);
  expect(await world.entities('Backup')).toHaveLength(1);
});

test('retention by days lets go what is older, but never the newest', async () => {
  await retain('<RetainDaysToKeep>3</RetainDaysToKeep><RetainLimitType>Days</RetainLimitType>');
  await world.run(job);
  await world.pass(2 * DAY);
  await world.run(job);
  expect(await points()).toHaveLength(2);
  await world.pass(2 * DAY);
  await world.run(job);
  expect(await points()).toHaveLength(2);
  await world.pass(30 * DAY);
  await world.run(job);
  expect(await points()).toHaveLength(1);
});

test('a run that was interrupted by the death of the server is carried on, once', async () => {
  const path = await slowRun();
  await world.pass(60);
  const [before] = await tasks();
  await world.restartVeeam();
  await world.pass(3600);
  expect((await world.ended(path)).Result).toBe('Success');
  expect((await tasks()).map((task) => task['@UID'])).toEqual([before['@UID']]);
  expect(await points()).toHaveLength(1);
});

test('one machine of a job can be backed up quickly, one without a job cannot', async () => {
  const server = (await world.api('GET', '/backupServers')).xml.Ref[0];
  const path = new URL(server['@Href']).pathname.replace('/api', '');
  const quick = (ref: string) =>
    world.done(
      'POST',
      `${path}?action=quickbackup`,
      `<QuickBackupStartupSpec xmlns="http://www.veeam.com/ent/v1.0"><VmRef>${ref}</VmRef></QuickBackupStartupSpec>`,
    );
  const task = await quick(await world.refOf('web-1'));
  expect((await world.ended(linked(task, 'BackupJobSession'))).Result).toBe('Success');
  await world.deploy('a2', 'web-2');
  expect((await quick(await world.refOf('web-2'))).Result['@Success']).toBe('false');
});

test('everything about a run can be reached by its links', async () => {
  await world.run(job);
  const path = async (from: string, rel: string, type: string) => linked((await world.api('GET', from)).xml, type, rel);
  const list = await path(`/jobs/${job}?format=Entity`, 'Down', 'BackupJobSessionReferenceList');
  const session = (await world.api('GET', list)).xml.Ref[0];
  const tasksPath = linked(session, 'BackupTaskSessionReferenceList', 'Down');
  const task = (await world.api('GET', tasksPath)).xml.Ref[0];
  const point = await path(linked(task, 'BackupTaskSession', 'Alternate'), 'Related', 'VmRestorePoint');
  const file = await path(point, 'Up', 'BackupFileReference');
  const backup = await path(file, 'Up', 'BackupReference');
  const repository = await path(backup, 'Up', 'RepositoryReference');
  expect((await world.api('GET', `${backup}?format=Entity`)).xml['@Name']).toBe('nightly - web-1');
  expect((await world.api('GET', `${repository}/backups`)).xml.Ref).toHaveLength(1);
  expect((await world.api('GET', `${file}/vmRestorePoints`)).xml.Ref).toHaveLength(1);
});

test('a clock that is put back leaves nothing waiting for the time that it showed', async () => {
  await world.control('POST', '/settings', { pointReadySeconds: 1, includeSeconds: 1 });
  await world.pass(DAY);
  await world.deploy('a2', 'web-2');
  await world.include(job, 'web-2');
  await world.ok('POST', `/jobs/${job}?action=start`);
  await world.pass(-DAY);
  await until(sessions, (all) => all[0]?.Result === 'Success');
  const shown = await until(points, (all) => all.every((one) => rels(one, 'BackupFileReference')[0] === 'Up'));
  expect(shown).toHaveLength(2);
  expect((await world.api('GET', `/jobs/${job}/includes`)).xml.ObjectInJob).toHaveLength(2);
});
