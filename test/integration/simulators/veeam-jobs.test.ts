import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from './simulated-world.ts';
import { type VeeamWorld, linked, startVeeamWorld, xmlBody } from './veeam-simulated-world.ts';

let world: VeeamWorld;
beforeEach(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.close());

const entity = async (job: string) => (await world.api('GET', `/jobs/${job}?format=Entity`)).xml;
const objects = async (job: string): Promise<string[]> =>
  ((await world.api('GET', `/jobs/${job}/includes`)).xml.ObjectInJob ?? []).map((one: any) => one.Name);
const clone = async (name: string) =>
  world.done('POST', `/jobs/${await world.jobId('GOLD')}?action=clone`, await world.cloneBody(name));

test('a task runs, is finished at the backup server for a look at least, and then finished with its result', async () => {
  await world.control('POST', '/settings', { taskSeconds: 0.2 });
  const path = `/jobs/${await world.jobId('GOLD')}?action=clone`;
  const accepted = await world.api('POST', path, await world.cloneBody('staged'));
  expect([accepted.status, accepted.xml.State, accepted.xml.Operation]).toEqual([202, 'Running', 'CloneJob']);
  const states: string[] = [];
  const { xml } = await until(
    async () => {
      const answer = await world.api('GET', `/tasks/${accepted.xml.TaskId}`);
      if (states.at(-1) !== answer.xml.State) states.push(answer.xml.State);
      if (answer.xml.State === 'OperationFinished') {
        expect([answer.xml.Result.Message, answer.xml.Links.Link.length]).toEqual(['OperationFinished', 1]);
      }
      return answer;
    },
    (answer) => answer.xml.State === 'Finished',
  );
  expect(states).toEqual(['Running', 'OperationFinished', 'Finished']);
  expect(xml.Result).toEqual({ '@Success': 'true', Message: 'Ok' });
  expect(linked(xml, 'Job')).toMatch(/^\/jobs\/.*\?format=Entity$/);
  expect((await world.api('DELETE', `/tasks/${accepted.xml.TaskId}`)).status).toBe(204);
  expect((await world.api('GET', `/tasks/${accepted.xml.TaskId}`)).status).toBe(500);
});

test('a task is unknown to every other session, but what it does happens', async () => {
  const mine = await world.logIn();
  const path = `/jobs/${await world.jobId('GOLD')}?action=clone`;
  const { xml } = await world.http('POST', path, await world.cloneBody('orphan'), mine);
  const foreign = await world.http('GET', `/tasks/${xml.TaskId}`, undefined, await world.logIn());
  expect([foreign.status, foreign.xml['@Message']]).toEqual([
    500,
    `There is no any running or finished task with id [${xml.TaskId}] in current rest session`,
  ]);
  await world.control('DELETE', '/sessions');
  await world.logInAgain();
  await until(
    () => world.entities('Job', '&filter=Name==orphan'),
    (jobs) => jobs.length === 1,
  );
});

test('what was accepted is done also when the server dies before', async () => {
  await world.control('POST', '/settings', { taskSeconds: 0.5 });
  await world.api('POST', `/jobs/${await world.jobId('GOLD')}?action=clone`, await world.cloneBody('survivor'));
  await world.restartVeeam();
  await until(
    () => world.entities('Job', '&filter=Name==survivor'),
    (jobs) => jobs.length === 1,
  );
});

test('an answer may carry the finished task already', async () => {
  await world.control('POST', '/settings', { immediateTasks: true });
  const path = `/jobs/${await world.jobId('GOLD')}?action=clone`;
  const { status, xml } = await world.api('POST', path, await world.cloneBody('at-once'));
  expect([status, xml.State, xml.Result['@Success']]).toEqual([202, 'Finished', 'true']);
});

test('a clone has what its template has, but for the retention, and a name of its own of 50 characters at most', async () => {
  const template = await entity(await world.jobId('GOLD'));
  const task = await clone('copy');
  const copy = (await world.api('GET', linked(task, 'Job'))).xml;
  expect([copy['@Name'], copy.Description]).toEqual(['copy', 'ours']);
  expect(copy.JobScheduleOptions).toEqual(template.JobScheduleOptions);
  expect(copy.JobInfo.BackupJobInfo.Includes.ObjectInJob[0].Name).toBe('placeholder-of-GOLD');
  expect(template.JobInfo.BackupJobInfo.SimpleRetentionPolicy.RetainCycles).toBe('30');
  expect(copy.JobInfo.BackupJobInfo.SimpleRetentionPolicy.RetainCycles).toBe('7');

  const again = await clone('COPY');
  expect(again.Result).toMatchObject({ '@Success': 'false', Message: 'Job with the name "COPY" already exists.' });
  const path = `/jobs/${await world.jobId('GOLD')}?action=clone`;
  expect((await world.api('POST', path, await world.cloneBody('n'.repeat(50)))).status).toBe(202);
  expect((await world.api('POST', path, await world.cloneBody('n'.repeat(51)))).status).toBe(400);
  expect((await world.api('POST', '/jobs', await world.cloneBody('made'))).status).toBe(405);
});

test('an added object is listed late, and the last one stays', async () => {
  await world.control('POST', '/settings', { includeSeconds: 60 });
  const job = linked(await clone('late'), 'Job').replace(/^\/jobs\/|\?.*$/g, '');
  await world.include(job, 'web-1');
  expect(await objects(job)).toEqual(['placeholder-of-GOLD']);
  await world.pass(61);
  expect(await objects(job)).toEqual(['placeholder-of-GOLD', 'web-1']);

  const [first, second] = (await world.api('GET', `/jobs/${job}/includes`)).xml.ObjectInJob;
  expect(second.HierarchyObjRef).toMatch(new RegExp(`^urn:VMware:Vm:[0-9a-f-]{36}\\.${world.moref}$`));
  await world.ok('DELETE', `/jobs/${job}/includes/${first.ObjectInJobId}`);
  const last = await world.done('DELETE', `/jobs/${job}/includes/${second.ObjectInJobId}`);
  expect(last.Result['@Success']).toBe('false');
  expect(await objects(job)).toEqual(['web-1']);
});

test('the type in a reference may be written in other case; what is no machine is refused', async () => {
  const job = linked(await clone('cased'), 'Job').replace(/^\/jobs\/|\?.*$/g, '');
  const ref = await world.refOf('web-1');
  const add = (text: string) =>
    xmlBody(
      'CreateObjectInJobSpec',
      `<HierarchyObjRef>${text}</HierarchyObjRef><HierarchyObjName>web-1</HierarchyObjName>`,
    );
  await world.ok('POST', `/jobs/${job}/includes`, add(ref.replace(':Vm:', ':VM:')));
  expect((await world.done('POST', `/jobs/${job}/includes`, add(ref))).Result['@Success']).toBe('false');
  expect((await world.done('POST', `/jobs/${job}/includes`, add(`${ref}99`))).Result['@Success']).toBe('false');
  expect((await world.api('POST', `/jobs/${job}/includes`, add('vm-1'))).status).toBe(400);
});

test('a machine that is new is unknown to the lookup for a while', async () => {
  await world.control('POST', '/settings', { lookupSeconds: 30 });
  const host = (await world.api('GET', '/hierarchyRoots')).xml.Ref[0]['@UID'];
  const found = async (name: string) =>
    ((await world.api('GET', `/lookup?host=${host}&name=${name}&type=Vm`)).xml.HierarchyItem ?? []).length;
  expect(await found('WEB-1')).toBe(1);
  await world.deploy('a2', 'web-2');
  expect(await found('web-2')).toBe(0);
  await world.pass(31);
  expect(await found('web-2')).toBe(1);
  const ref = await world.refOf('web-2');
  const { xml } = await world.api('GET', `/lookup?hierarchyRef=${encodeURIComponent(ref)}`);
  expect(xml.HierarchyItem[0].ObjectName).toBe('web-2');
});

test('the defect of v12 shows another root than the references have', async () => {
  await world.control('POST', '/settings', { hierarchyRootDefect: true });
  const root = (await world.api('GET', '/hierarchyRoots?format=Entity')).xml.HierarchyRoot[0].HierarchyRootId;
  expect(await world.refOf('web-1')).not.toContain(root);
});

test('an edit changes what it names', async () => {
  const job = await world.jobId('GOLD');
  const before = await entity(job);
  await world.edit(
    job,
    `<Description>new</Description><ScheduleEnabled>true</ScheduleEnabled><JobScheduleOptions><Standart>
      <OptionsDaily Enabled="true"><Kind>SelectedDays</Kind><Days>Monday</Days><Days>Friday</Days>
        <Time>03:30:00.0000000+02:00</Time><TimeOffsetUtc>2</TimeOffsetUtc></OptionsDaily>
    </Standart></JobScheduleOptions><JobInfo><BackupJobInfo><SimpleRetentionPolicy>
      <RetainDaysToKeep>14</RetainDaysToKeep><RetainLimitType>Days</RetainLimitType></SimpleRetentionPolicy></BackupJobInfo></JobInfo>`,
  );
  const after = await entity(job);
  expect([after.Description, after.ScheduleEnabled]).toEqual(['new', 'true']);
  const { OptionsDaily, ...rest } = after.JobScheduleOptions.Standart;
  const { OptionsDaily: _, ...restBefore } = before.JobScheduleOptions.Standart;
  expect(OptionsDaily).toMatchObject({
    Kind: 'SelectedDays',
    Days: ['Monday', 'Friday'],
    Time: '03:30:00.0000000+02:00',
  });
  expect(rest).toEqual(restBefore);
  expect(after.JobInfo.BackupJobInfo.SimpleRetentionPolicy).toEqual({
    RetainCycles: '30',
    RetainDaysToKeep: '14',
    RetainLimitType: 'Days',
  });
  // 03:30 at +02:00, on a Monday or a Friday of that zone.
  expect(after.NextRun).toMatch(/T01:30:00/);
  expect([1, 5]).toContain(new Date(Date.parse(after.NextRun) + 2 * 3_600_000).getUTCDay());
});

test('the whole entity can be sent back', async () => {
  const job = await world.jobId('GOLD');
  const { text } = await world.api('GET', `/jobs/${job}?format=Entity`);
  await world.ok('PUT', `/jobs/${job}?action=edit`, text);
  expect((await world.api('GET', `/jobs/${job}?format=Entity`)).text).toBe(text);
});

test.each([
  ['out of order', '<ScheduleEnabled>true</ScheduleEnabled><Description>x</Description>'],
  ['an unknown element', '<Colour>red</Colour>'],
  ['no boolean', '<ScheduleEnabled>perhaps</ScheduleEnabled>'],
  [
    'no kind',
    '<JobScheduleOptions><Standart><OptionsDaily Enabled="true"><Kind>Never</Kind></OptionsDaily></Standart></JobScheduleOptions>',
  ],
  [
    'too many hours',
    '<JobScheduleOptions><Standart><OptionsPeriodically Enabled="true"><Kind>Hours</Kind><FullPeriod>25</FullPeriod></OptionsPeriodically></Standart></JobScheduleOptions>',
  ],
  ['the other nesting', '<JobScheduleOptions><OptionsDaily Enabled="true" /></JobScheduleOptions>'],
  ['markup that does not end', '<Description>'],
])('an edit is refused: %s', async (_, content) => {
  const { status, xml } = await world.api(
    'PUT',
    `/jobs/${await world.jobId('GOLD')}?action=edit`,
    xmlBody('Job', content),
  );
  expect([status, xml['@StatusCode']]).toEqual([400, '400']);
});

test('an older release has the schedule without its wrapper', async () => {
  await world.control('POST', '/settings', { standart: false });
  const job = await world.jobId('GOLD');
  expect(Object.keys((await entity(job)).JobScheduleOptions).slice(0, 3)).toEqual([
    'RetryOptions',
    'WaitForBackupCompletion',
    'BackupCompetitionWaitingPeriodMin',
  ]);
  await world.edit(job, '<JobScheduleOptions><OptionsDaily Enabled="false" /></JobScheduleOptions>');
  expect((await entity(job)).JobScheduleOptions.OptionsDaily['@Enabled']).toBe('false');
});

test('the toggle flips, whoever called it before', async () => {
  const job = await world.jobId('GOLD');
  const states: string[] = [];
  for (let times = 0; times < 2; times += 1) {
    await world.ok('POST', `/jobs/${job}?action=toggleScheduleEnabled`);
    states.push((await entity(job)).ScheduleEnabled);
  }
  expect(states).toEqual(['true', 'false']);
});

test('a deleted job is gone and its backups stay', async () => {
  const job = await world.makeJob('short-lived');
  await world.run(job);
  await world.ok('DELETE', `/jobs/${job}`);
  expect((await world.api('GET', `/jobs/${job}`)).status).toBe(404);
  expect((await world.api('DELETE', `/jobs/${job}`)).status).toBe(404);
  expect(await world.entities('VmRestorePoint')).toHaveLength(1);
  await world.control('POST', '/settings', { missingJobStatus: 400 });
  expect((await world.api('DELETE', `/jobs/${job}`)).status).toBe(400);
});

test('a job can be renamed and deleted from outside, and a template added', async () => {
  const { id } = (await world.control('POST', '/jobs', { name: 'EXTRA' })).body;
  await world.control('PATCH', `/jobs/${id}`, { name: 'RENAMED' });
  expect(await world.jobId('RENAMED')).toBe(id);
  await world.control('DELETE', `/jobs/${id}`);
  expect((await world.api('GET', `/jobs/${id}`)).status).toBe(404);
});
