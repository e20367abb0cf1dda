/**
 * The elements of the server's answers and their order, compared with samples: the vendor's where they are present, else
 * our own, which say the same in short.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type VeeamWorld, linked, startVeeamWorld, xmlBody } from './veeam-simulated-world.ts';

const VENDOR = join(import.meta.dirname, '../../../../shared/specs/veeam-em/examples');

/** An element of a sample: its name, its attributes, and what is in it. */
type Shown = { name: string; attributes: string[]; children: Shown[] };

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  ignoreDeclaration: true,
});

function shownOf(text: string): Shown {
  const read = (node: any): Shown => {
    const tag = Object.keys(node).find((key) => key !== ':@') ?? '';
    const attributes: Record<string, string> = node[':@'] ?? {};
    const children = (node[tag] as any[]).filter((child) => !('#text' in child)).map(read);
    // Links are told apart by what they lead to.
    const name = tag === 'Link' ? `${attributes['Rel']} ${attributes['Type'] ?? ''}` : tag;
    return { name, attributes: Object.keys(attributes).filter((key) => !key.startsWith('xmlns')), children };
  };
  return read(parser.parse(text).find((node: any) => !('#text' in node)));
}

/** Without repetitions: a list is as good as its first entry. */
const distinct = (children: readonly Shown[]): Shown[] =>
  children.filter((child, index) => children.findIndex(({ name }) => name === child.name) === index);

/** Everything that the sample has and the answer has not, or has at another place. `skip`: what this server has no use for. */
function differences(sample: Shown, answer: Shown, skip: readonly string[], path = sample.name): string[] {
  const missing = sample.attributes
    .filter((name) => !answer.attributes.includes(name))
    .map((name) => `${path}@${name}`);
  const wanted = distinct(sample.children).filter(({ name }) => !skip.includes(name));
  const has = distinct(answer.children);
  const order = has.map(({ name }) => name).filter((name) => wanted.some((one) => one.name === name));
  const names = wanted.map(({ name }) => name).filter((name) => order.includes(name));
  const problems = names.join() === order.join() ? [] : [`${path}: ${order.join()} instead of ${names.join()}`];
  const inside = wanted.flatMap((one) => {
    const found = has.find(({ name }) => name === one.name);
    if (found !== undefined) return differences(one, found, skip, `${path}/${one.name}`);
    // A server has the links to what it has; only their order is the vendor's.
    return path.endsWith('/Links') ? [] : [`${path}/${one.name}`];
  });
  return [...missing, ...problems, ...inside];
}

const DAYS = '<Schedule><Day Name="Sunday">1</Day></Schedule>';
const JOB = `<Job Type="" Href="" Name="" UID=""><Links /><JobType /><Platform /><Description /><ScheduleConfigured />
  <ScheduleEnabled /><NextRun /><JobScheduleOptions><Standart>
  <RetryOptions><RetryTimes /><RetryTimeout /><RetrySpecified /></RetryOptions><WaitForBackupCompletion />
  <BackupCompetitionWaitingPeriodMin /><OptionsDaily Enabled=""><Kind /><Days /><Time /><TimeOffsetUtc /></OptionsDaily>
  <OptionsMonthly Enabled=""><Time /><TimeOffsetUtc /><DayNumberInMonth /><DayOfWeek /><Months /><DayOfMonth /></OptionsMonthly>
  <OptionsPeriodically Enabled=""><Kind /><FullPeriod />${DAYS}</OptionsPeriodically>
  <OptionsContinuous Enabled="">${DAYS}</OptionsContinuous><OptionsBackupWindow Enabled=""><TimePeriods /></OptionsBackupWindow>
  <OptionsDaisyChaining Enabled=""><PreviousJobUid /></OptionsDaisyChaining></Standart></JobScheduleOptions>
  <JobInfo><BackupJobInfo><Includes><ObjectInJob Type="" Href=""><ObjectInJobId /><HierarchyObjRef /><Name /><DisplayName />
  </ObjectInJob></Includes><GuestProcessingOptions /><AdvancedStorageOptions /><GfsRetentionPolicy Enabled=""><Weekly /><Monthly />
  <Yearly /></GfsRetentionPolicy><SimpleRetentionPolicy><RetainCycles /><RetainDaysToKeep /><RetainLimitType />
  </SimpleRetentionPolicy></BackupJobInfo></JobInfo></Job>`;
const entity = (type: string, more: string, children: readonly string[]): string =>
  `<${type} Type="" Href="" Name="" UID="" ${more}><Links />${children.map((name) => `<${name} />`).join('')}</${type}>`;
const RUN = ['CreationTimeUTC', 'EndTimeUTC', 'State', 'Result'];

/** What is compared: the vendor's sample, our own short one, and where the server's answer is. */
const CONTRACTS: Record<string, { vendor: string; own: string; path: () => Promise<string>; skip?: string[] }> = {
  job: {
    vendor: 'jobs_id.1.xml',
    own: JOB,
    path: async () => `/jobs/${job}?format=Entity`,
    // Of processing inside of guests this server shows the switches alone.
    skip: ['UsePersistentGuestAgent', 'Path'],
  },
  run: {
    vendor: 'backupsessions_id.1.xml',
    own: entity('BackupJobSession', '', ['JobUid', 'JobName', 'JobType', ...RUN, 'Progress', 'IsRetry']),
    path: () => first('BackupJobSession', '/backupSessions'),
  },
  'task session': {
    vendor: 'backuptasksessions_id.1.xml',
    own: entity('BackupTaskSession', 'VmDisplayName=""', ['JobSessionUid', ...RUN, 'Reason', 'TotalSize']),
    path: () => first('BackupTaskSession', '/backupTaskSessions'),
  },
  'restore session': {
    vendor: 'restoresessions_id.1.xml',
    own: entity('RestoreSession', 'VmDisplayName=""', ['JobType', ...RUN, 'Progress']),
    path: () => first('RestoreSession', '/restoreSessions'),
  },
  'restore point of a machine': {
    vendor: 'vmrestorepoints_id.1.xml',
    own: entity('VmRestorePoint', '', ['CreationTimeUTC', 'Algorithm', 'PointType', 'HierarchyObjRef']),
    path: () => first('VmRestorePoint', '/vmRestorePoints'),
  },
  'restore point': {
    vendor: 'restorepoints_id.1.xml',
    own: entity('RestorePoint', '', ['BackupDateUTC']),
    path: () => first('RestorePoint', '/restorePoints'),
  },
  file: {
    vendor: 'backupfiles_id.1.xml',
    own: entity('BackupFile', '', [
      'FilePath',
      'BackupSize',
      'DataSize',
      'DeduplicationRatio',
      'CompressRatio',
      'CreationTimeUtc',
      'FileType',
    ]),
    path: () => first('BackupFile', '/backupFiles'),
  },
  repository: {
    vendor: 'repositories_id.1.xml',
    own: entity('Repository', '', ['Capacity', 'FreeSpace', 'Kind']),
    path: () => first('Repository', '/repositories'),
  },
  'hierarchy root': {
    vendor: 'hierarchyroots_id.1.xml',
    own: entity('HierarchyRoot', '', ['HierarchyRootId', 'UniqueId', 'HostType']),
    path: () => first('HierarchyRoot', '/hierarchyRoots'),
  },
  'managed server': {
    vendor: 'managedservers_id.1.xml',
    own: entity('ManagedServer', '', ['Description', 'ManagedServerType']),
    path: () => first('ManagedServer', '/managedServers'),
  },
  'backup server': {
    vendor: 'backupservers_id.1.xml',
    own: entity('BackupServer', '', ['Description', 'Port', 'Version']),
    path: () => first('BackupServer', '/backupServers'),
  },
  references: {
    vendor: 'scenario_starting_a_job.1.xml',
    own: '<EntityReferences><Ref Type="" Href="" Name="" UID=""><Links /></Ref></EntityReferences>',
    path: async () => '/jobs',
  },
  lookup: {
    vendor: 'lookup_query.1.xml',
    own: '<HierarchyItems><HierarchyItem Type=""><ObjectRef /><ObjectType /><ObjectName /></HierarchyItem></HierarchyItems>',
    path: async () => `/lookup?hierarchyRef=${encodeURIComponent(await world.refOf('web-1'))}`,
  },
  'finished task': {
    vendor: 'post_jobs_id_actionclone.6.xml',
    own: '<Task Type="" Href=""><Links /><TaskId /><State /><Operation /><Result Success=""><Message /></Result></Task>',
    path: async () => {
      const task = await world.ok('POST', `/jobs/${job}?action=toggleScheduleEnabled`);
      return `/tasks/${task.TaskId}`;
    },
  },
};

let world: VeeamWorld;
let job: string;
const first = async (type: string, path: string): Promise<string> => {
  const [one] = await world.entities(type);
  return `${path}/${one['@UID'].split(':').at(-1)}?format=Entity`;
};

beforeAll(async () => {
  world = await startVeeamWorld();
  job = await world.makeJob('nightly');
  await world.edit(job, '<ScheduleEnabled>true</ScheduleEnabled>');
  await world.run(job);
  const path = (await first('VmRestorePoint', '/vmRestorePoints')).replace('?format=Entity', '');
  await world.ended(linked(await world.ok('POST', `${path}?action=restore`), 'RestoreSession'));
});
afterAll(() => world.close());

test.each(Object.keys(CONTRACTS))('shows the elements of a %s in the vendor’s order', async (name) => {
  const { vendor, own, path, skip = [] } = CONTRACTS[name] as (typeof CONTRACTS)[string];
  const file = join(VENDOR, vendor);
  // The vendor's samples of lists end in dots, which are no markup.
  const samples = existsSync(file) ? [own, readFileSync(file, 'utf8')] : [own];
  const answer = shownOf((await world.api('GET', await path())).text);
  for (const sample of samples) expect(differences(shownOf(sample), answer, skip)).toEqual([]);
});

/** Requests as the vendor writes them where that is present, and in our own short form. */
const REQUESTS: Record<string, { vendor: string; own: string; ask: (body: string) => Promise<{ status: number }> }> = {
  'partial edit': {
    vendor: 'put_jobs_id_actionedit.27.xml',
    own: xmlBody(
      'Job',
      '<JobScheduleOptions><Standart><RetryOptions><RetryTimes>5</RetryTimes></RetryOptions></Standart></JobScheduleOptions>',
    ),
    ask: (body) => world.api('PUT', `/jobs/${job}?action=edit`, body),
  },
  clone: {
    vendor: 'post_jobs_id_actionclone.4.xml',
    own: xmlBody(
      'JobCloneSpec',
      '<BackupJobCloneInfo><JobName>a</JobName><FolderName>a</FolderName><RepositoryUid>urn:veeam:Repository:</RepositoryUid></BackupJobCloneInfo>',
    ),
    async ask(body) {
      const { xml } = await world.api('GET', '/repositories');
      const known = body.replace(/urn:veeam:Repository:[0-9a-f-]*/, xml.Ref[0]['@UID']);
      return world.api('POST', `/jobs/${job}?action=clone`, known);
    },
  },
  'new object': {
    vendor: 'post_jobs_id_includes.12.xml',
    own: xmlBody(
      'CreateObjectInJobSpec',
      '<HierarchyObjRef>urn:VMware:VM:00000000-0000-0000-0000-000000000000.vm-1</HierarchyObjRef><HierarchyObjName>a</HierarchyObjName><GuestProcessingOptions />',
    ),
    ask: (body) => world.api('POST', `/jobs/${job}/includes`, body),
  },
  restore: {
    vendor: 'post_vmrestorepoints_id_actionrestore.4.xml',
    own: xmlBody(
      'RestoreSpec',
      '<VmRestoreSpec><PowerOnAfterRestore>false</PowerOnAfterRestore><QuickRollback>false</QuickRollback></VmRestoreSpec>',
    ),
    async ask(body) {
      const path = (await first('VmRestorePoint', '/vmRestorePoints')).replace('?format=Entity', '?action=restore');
      return world.api('POST', path, body);
    },
  },
  'restore with parameters': {
    vendor: 'post_vmrestorepoints_id_actionrestore.2.xml',
    own: xmlBody('RestoreSpec', '<VmRestoreSpec><VmRestoreParameters /></VmRestoreSpec>'),
    async ask(body) {
      const path = (await first('VmRestorePoint', '/vmRestorePoints')).replace('?format=Entity', '?action=restore');
      return world.api('POST', path, body);
    },
  },
};

test.each(Object.keys(REQUESTS))('understands the vendor’s %s', async (name) => {
  const { vendor, own, ask } = REQUESTS[name] as (typeof REQUESTS)[string];
  const file = join(VENDOR, vendor);
  for (const body of existsSync(file) ? [own, readFileSync(file, 'utf8')] : [own]) {
    expect((await ask(body)).status).toBe(202);
  }
});
