/**
 * How runs and restores look.
 * @module
 */
import { isWaitOver } from '../kit/clock.ts';
import { text } from './element.ts';
import type { Infrastructure } from './infrastructure.ts';
import { type Kind, uid, up } from './kind.ts';
import { jobSessionName, restorePointName, restoreSessionName, taskSessionName } from './names.ts';
import type { RunEngine } from './run-engine.ts';
import type { Settings } from './settings.ts';
import {
  type Ending,
  type Job,
  type JobSession,
  type Point,
  type RestoreSession,
  type State,
  type TaskSession,
  refText,
} from './state.ts';
import { type View, down } from './view.ts';

const RESTORE_SESSIONS_KEPT_MS = 30 * 86_400_000;

const ending = (ended: Ending | undefined, view: View) =>
  ended === undefined ? [] : [text('EndTimeUTC', view.time(ended.at))];
const endField = (ended: Ending | undefined) => (ended === undefined ? undefined : new Date(ended.at));

function progress({ workAt, endAt, ended }: JobSession | RestoreSession, now: number): number {
  if (ended !== undefined) return ended.result === 'Failed' ? 0 : 100;
  return Math.round(Math.min(99, Math.max(0, (100 * (now - workAt)) / Math.max(1, endAt - workAt))));
}

function jobSessionState({ ended, stopAskedAt, hasBegun }: JobSession): string {
  if (ended !== undefined) return 'Stopped';
  if (stopAskedAt !== undefined) return 'Stopping';
  return hasBegun ? 'Working' : 'Starting';
}

function restoreState({ ended, createdAt, workAt }: RestoreSession, now: number): string {
  if (ended !== undefined) return 'Stopped';
  return isWaitOver(now, createdAt, workAt) ? 'Working' : 'Starting';
}

export function createJobSessionKind(
  state: State,
  runs: RunEngine,
  { backupServers, server }: Infrastructure,
  jobs: Kind<Job>,
): Kind<JobSession> {
  const job = ({ jobId, jobName }: JobSession) => ({ ...state.jobs.get(jobId), id: jobId, name: jobName }) as Job;
  return {
    type: 'BackupJobSession',
    listName: 'BackupJobSessions',
    path: '/backupSessions',
    all: () => state.jobSessions.values(),
    find: (id) => state.jobSessions.get(id),
    id: ({ id }) => id,
    name: jobSessionName,
    before: (session, view) => [up(backupServers, server, view), up(jobs, job(session), view)],
    after(session, view, form) {
      const path = `/backupSessions/${session.id}`;
      const tasks = down(view, `${path}/taskSessions`, 'BackupTaskSessionReferenceList');
      if (form === 'reference') return [tasks];
      const points = runs.tasksOf(session.id).flatMap(({ pointId }) => state.points.get(pointId ?? '') ?? []);
      return [
        tasks,
        { rel: 'Stop', href: view.href(`${path}?action=stop`) },
        ...points.map((point) => ({
          rel: 'Related',
          type: 'RestorePointReference',
          href: view.href(`/restorePoints/${point.restorePointId}`),
          name: restorePointName(point),
        })),
      ];
    },
    body: (session, view) => [
      text('JobUid', uid('Job', session.jobId)),
      text('JobName', session.jobName),
      text('JobType', 'Backup'),
      text('CreationTimeUTC', view.time(session.createdAt)),
      ...ending(session.ended, view),
      text('State', jobSessionState(session)),
      text('Result', session.ended?.result ?? 'None'),
      text('Progress', progress(session, view.now)),
      text('IsRetry', session.attempt > 0),
    ],
    fields: (session) => ({
      Name: jobSessionName(session),
      JobUid: uid('Job', session.jobId),
      JobName: session.jobName,
      JobType: 'Backup',
      CreationTime: new Date(session.createdAt),
      EndTime: endField(session.ended),
      State: jobSessionState(session),
      Result: session.ended?.result ?? 'None',
      IsRetry: session.attempt > 0,
    }),
  };
}

export function createTaskSessionKind(
  state: State,
  { backupServers, server }: Infrastructure,
  jobSessions: Kind<JobSession>,
  vmPoints: () => Kind<Point>,
): Kind<TaskSession> {
  const stateOf = ({ ended }: TaskSession): string => (ended === undefined ? 'InProgress' : 'Completed');
  return {
    type: 'BackupTaskSession',
    listName: 'BackupTaskSessions',
    path: '/backupTaskSessions',
    all: () => state.taskSessions.values(),
    find: (id) => state.taskSessions.get(id),
    id: ({ id }) => id,
    name: taskSessionName,
    more: ({ vmName }) => ({ VmDisplayName: vmName }),
    before: ({ jobSessionId }, view) => [
      up(backupServers, server, view),
      up(jobSessions, state.jobSessions.get(jobSessionId) as JobSession, view),
    ],
    after({ pointId }, view, form) {
      const point = state.points.get(pointId ?? '');
      if (point === undefined || form === 'reference') return [];
      const href = view.href(`/vmRestorePoints/${point.id}?format=Entity`);
      return [{ rel: 'Related', type: 'VmRestorePoint', href, name: vmPoints().name(point) }];
    },
    body: (task, view) => [
      text('JobSessionUid', uid('BackupJobSession', task.jobSessionId)),
      text('CreationTimeUTC', view.time(task.createdAt)),
      ...ending(task.ended, view),
      text('State', stateOf(task)),
      text('Result', task.ended?.result ?? 'None'),
      text('Reason', task.ended?.reason ?? ''),
      text('TotalSize', task.totalSize),
      text('VmUid', refText(task.ref)),
    ],
    fields: (task) => ({
      Name: taskSessionName(task),
      VmDisplayName: task.vmName,
      VmUid: refText(task.ref),
      JobSessionUid: uid('BackupJobSession', task.jobSessionId),
      CreationTime: new Date(task.createdAt),
      EndTime: endField(task.ended),
      State: stateOf(task),
      Result: task.ended?.result ?? 'None',
      TotalSize: task.totalSize,
    }),
  };
}

export function createRestoreSessionKind(
  state: State,
  now: () => number,
  settings: () => Settings,
  { backupServers, server }: Infrastructure,
): Kind<RestoreSession> {
  // Older ones are no longer told about, though what they restored is still there.
  const isKept = ({ createdAt }: RestoreSession): boolean => createdAt > now() - RESTORE_SESSIONS_KEPT_MS;
  const restored = ({ restoredMoref, ref }: RestoreSession): string | undefined =>
    restoredMoref === undefined || !settings().restoredObjRef ? undefined : refText({ ...ref, moref: restoredMoref });
  return {
    type: 'RestoreSession',
    listName: 'RestoreSessions',
    path: '/restoreSessions',
    all: () => state.restoreSessions.values().filter(isKept),
    find(id) {
      const session = state.restoreSessions.get(id);
      return session !== undefined && isKept(session) ? session : undefined;
    },
    id: ({ id }) => id,
    name: restoreSessionName,
    more: ({ vmName }) => ({ VmDisplayName: vmName }),
    before: (_, view) => [up(backupServers, server, view)],
    after: ({ pointId, pointName }, view) =>
      settings().restoreSessionPoint
        ? [
            {
              rel: 'Related',
              type: 'VmRestorePointReference',
              href: view.href(`/vmRestorePoints/${pointId}`),
              name: pointName,
            },
          ]
        : [],
    body(session, view) {
      const ref = restored(session);
      return [
        text('JobType', 'RestoreVm'),
        text('CreationTimeUTC', view.time(session.createdAt)),
        ...ending(session.ended, view),
        text('State', restoreState(session, view.now)),
        text('Result', session.ended?.result ?? 'None'),
        text('Progress', progress(session, view.now)),
        ...(ref === undefined ? [] : [text('RestoredObjRef', ref)]),
      ];
    },
    fields: (session) => ({
      Name: restoreSessionName(session),
      VmDisplayName: session.vmName,
      JobType: 'RestoreVm',
      CreationTime: new Date(session.createdAt),
      EndTime: endField(session.ended),
      State: restoreState(session, now()),
      Result: session.ended?.result ?? 'None',
      RestoredObjRef: restored(session),
    }),
  };
}
