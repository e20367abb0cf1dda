/**
 * How jobs and their objects look.
 * @module
 */
import { isWaitOver } from '../kit/clock.ts';
import { type Element, group, list, links, text } from './element.ts';
import type { Infrastructure } from './infrastructure.ts';
import { GFS_RETENTION, SCHEDULE, SIMPLE_RETENTION } from './job-shape.ts';
import { type Kind, up } from './kind.ts';
import type { Scheduler } from './scheduler.ts';
import type { Settings } from './settings.ts';
import { elementsOf } from './shape.ts';
import { type Include, type Job, type State, refText } from './state.ts';
import { type View, down, resource } from './view.ts';

const indexing = (name: string): Element =>
  group(name, [
    text('FileSystemIndexingMode', 'Disabled'),
    list('IncludedIndexingFolders', []),
    list('ExcludedIndexingFolders', []),
  ]);

/** What happens inside of guests: nothing, here. */
const guestProcessing = (): Element =>
  group('GuestProcessingOptions', [
    group('VssSnapshotOptions', [text('VssSnapshotMode', 'Disabled'), text('IsCopyOnly', false)]),
    indexing('WindowsGuestFSIndexingOptions'),
    indexing('LinuxGuestFSIndexingOptions'),
    group('SqlBackupOptions', [
      text('TransactionLogsProcessing', 'OnlyOnSuccessJob'),
      text('BackupLogsFrequencyMin', 15),
      text('UseDbBackupRetention', true),
      text('RetainDays', 15),
    ]),
    text('WindowsCredentialsId', ''),
    text('LinuxCredentialsId', ''),
  ]);

/** One object of a job. */
export function includeElement(jobId: string, include: Include, view: View): Element {
  const href = view.href(`/jobs/${jobId}/includes/${include.id}`);
  return resource('ObjectInJob', href, [
    links([
      { rel: 'Up', type: 'JobReference', href: view.href(`/jobs/${jobId}`) },
      { rel: 'Delete', type: 'ObjectInJob', href },
    ]),
    text('ObjectInJobId', include.id),
    text('HierarchyObjRef', refText(include.ref)),
    text('Name', include.name),
    text('DisplayName', include.name),
    text('Order', include.order),
    guestProcessing(),
  ]);
}

/** The objects that are listed by now. */
export const visibleIncludes = (job: Job, now: number): Include[] =>
  job.includes.filter(({ addedAt, visibleAt }) => isWaitOver(now, addedAt, visibleAt));

export function createJobKind(
  state: State,
  { backupServers, server }: Infrastructure,
  scheduler: Scheduler,
  settings: () => Settings,
): Kind<Job> {
  const scheduleOf = ({ schedule }: Job): Element => {
    const children = elementsOf('Standart', SCHEDULE, schedule);
    return group('JobScheduleOptions', settings().standart ? children : (children[0]?.children ?? []));
  };
  return {
    type: 'Job',
    listName: 'Jobs',
    path: '/jobs',
    all: () => state.jobs.values(),
    find: (id) => state.jobs.get(id),
    id: ({ id }) => id,
    name: ({ name }) => name,
    before: (_, view) => [up(backupServers, server, view)],
    after({ id, name }, view, form) {
      const path = `/jobs/${id}`;
      const sessions = down(view, `${path}/backupSessions`, 'BackupJobSessionReferenceList');
      if (form === 'reference') return [sessions];
      const action = (rel: string, verb: string) => ({ rel, href: view.href(`${path}?action=${verb}`) });
      return [
        { rel: 'Edit', type: 'JobReference', href: view.href(path), name },
        action('Clone', 'clone'),
        action('ToggleScheduleEnabled', 'toggleScheduleEnabled'),
        down(view, `${path}/includes`, 'ObjectInJobList'),
        sessions,
        { rel: 'Create', type: 'ObjectInJob', href: view.href(`${path}/includes`) },
        action('Start', 'start'),
        action('Stop', 'stop'),
        action('Retry', 'retry'),
      ];
    },
    body(job, view) {
      const nextRun = scheduler.nextRunOf(job);
      const includes = visibleIncludes(job, view.now).map((include) => includeElement(job.id, include, view));
      return [
        text('JobType', 'Backup'),
        text('Platform', 'VMware'),
        text('Description', job.description),
        text('ScheduleConfigured', job.scheduleConfigured),
        text('ScheduleEnabled', job.scheduleEnabled),
        ...(nextRun === undefined ? [] : [text('NextRun', view.time(nextRun))]),
        scheduleOf(job),
        group('JobInfo', [
          group('BackupJobInfo', [
            list('Includes', includes, 'ObjectInJobs'),
            guestProcessing(),
            group('AdvancedStorageOptions', [text('PasswordKeyId', '')]),
            ...elementsOf('GfsRetentionPolicy', GFS_RETENTION, job.gfs),
            ...elementsOf('SimpleRetentionPolicy', SIMPLE_RETENTION, job.retention),
          ]),
        ]),
      ];
    },
    fields: (job) => ({
      Name: job.name,
      Description: job.description,
      JobType: 'Backup',
      Platform: 'VMware',
      ScheduleConfigured: job.scheduleConfigured,
      ScheduleEnabled: job.scheduleEnabled,
      BackupServerUid: `urn:veeam:BackupServer:${server.id}`,
    }),
  };
}
