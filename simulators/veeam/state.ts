/**
 * What the simulated server keeps on disk. Ids are plain GUIDs, times epoch milliseconds of the simulated clock. What
 * something looks like now follows from its times and the clock, so a restart changes nothing.
 * @module
 */
import { randomUUID } from 'node:crypto';
import type { Collection, Store } from '../kit/store.ts';
import type { GfsRetention, JobEdit, ScheduleOptions, SimpleRetention } from './job-shape.ts';

/** A machine as the vCenter calls it, and the hierarchy it is in. */
export type MachineRef = { rootId: string; moref: string };

export type Include = {
  id: string;
  ref: MachineRef;
  name: string;
  order: number;
  addedAt: number;
  /** From when on it is listed. */
  visibleAt: number;
};
export type Job = {
  id: string;
  name: string;
  description: string;
  scheduleConfigured: boolean;
  scheduleEnabled: boolean;
  schedule: ScheduleOptions;
  gfs: GfsRetention;
  retention: SimpleRetention;
  repositoryId: string;
  includes: Include[];
  /** The next automatic retry of a run that failed. */
  retry?: { at: number; attempt: number; refs: MachineRef[] } | undefined;
};

export type Result = 'Success' | 'Warning' | 'Failed';
export type Ending = { at: number; result: Result; reason: string };
export type Outcome = { result: Result; reason: string; originalRemoved: boolean };

/** One run of a job. */
export type JobSession = {
  id: string;
  jobId: string;
  jobName: string;
  createdAt: number;
  /** When it leaves `Starting`; its task sessions appear then. */
  workAt: number;
  endAt: number;
  /** 0 for the run itself, then the number of the retry. */
  attempt: number;
  isScheduled: boolean;
  /** A retry or a quick backup processes these alone. */
  refs?: MachineRef[];
  hasBegun: boolean;
  stopAskedAt?: number;
  ended?: Ending;
};
/** One machine in one run. */
export type TaskSession = {
  id: string;
  jobSessionId: string;
  vmName: string;
  ref: MachineRef;
  createdAt: number;
  pointId?: string;
  totalSize: number;
  outcome?: Outcome;
  ended?: Ending;
};

export type Configuration = {
  name: string;
  cpu: number;
  memoryMiB: number;
  annotation?: string;
  disks: { label: string; sizeGiB: number; content: string }[];
};
/** What a run keeps of a machine: its restore point, with the file and the point of the chain that hold it. */
export type Point = {
  id: string;
  restorePointId: string;
  fileId: string;
  backupId: string;
  jobId: string;
  jobSessionId: string;
  vmName: string;
  ref: MachineRef;
  createdAt: number;
  /** Absent while the run that makes it works. */
  readyAt?: number;
  isFull: boolean;
  sizeBytes: number;
  configuration: Configuration;
};
/** The chain of a machine's points that one job has made; it outlives the job. */
export type Backup = {
  id: string;
  jobId: string;
  jobName: string;
  vmName: string;
  ref: MachineRef;
  repositoryId: string;
};

export type RestoreSession = {
  id: string;
  pointId: string;
  pointName: string;
  vmName: string;
  ref: MachineRef;
  createdAt: number;
  workAt: number;
  endAt: number;
  quickRollback: boolean;
  keepOriginal: boolean;
  powerOn: boolean;
  outcome?: Outcome;
  /** The machine that was there has been dealt with. */
  originalGone: boolean;
  restoredMoref?: string;
  ended?: Ending;
};

/** What a task does; kept until it is done, so that what was accepted happens also after a restart. */
export type Work =
  | { kind: 'clone'; jobId: string; newId: string; name: string; repositoryId: string; description: string }
  | { kind: 'edit'; jobId: string; edit: JobEdit }
  | { kind: 'toggle'; jobId: string }
  | { kind: 'addInclude'; jobId: string; includeId: string; ref: MachineRef; name: string; order: number | null }
  | { kind: 'removeInclude'; jobId: string; includeId: string }
  | { kind: 'deleteJob'; jobId: string }
  | { kind: 'start'; jobId: string }
  | { kind: 'retry'; jobId: string }
  | { kind: 'stop'; jobId: string }
  | { kind: 'stopSession'; sessionId: string }
  | { kind: 'quickBackup'; ref: MachineRef }
  | { kind: 'collect' }
  | { kind: 'restore'; pointId: string; quickRollback: boolean; keepOriginal: boolean; powerOn: boolean };
export type Related = { type: string; path: string; name?: string };
export type Task = {
  /** `<session id>/task-<n>`. */
  key: string;
  taskId: string;
  sessionId: string;
  operation: string;
  work: Work;
  createdAt: number;
  dueAt: number;
  done?: { at: number; success: boolean; message: string; related: Related[] };
  /** A look has seen `OperationFinished`. */
  wasSeenFinished: boolean;
};

export type Identity = {
  backupServerId: string;
  repositoryId: string;
  /** The vCenter that holds real machines. */
  rootId: string;
  /** Shown in the place of `rootId` by a server with the defect of v12. */
  defectRootId: string;
  /** Where the machines of the template jobs are: nobody's. */
  templateRootId: string;
  uniqueId: string;
};

export type State = {
  identity(): Identity;
  rememberVCenter(uniqueId: string): void;
  jobs: Collection<Job>;
  jobSessions: Collection<JobSession>;
  taskSessions: Collection<TaskSession>;
  points: Collection<Point>;
  backups: Collection<Backup>;
  restoreSessions: Collection<RestoreSession>;
  tasks: Collection<Task>;
  /** When a machine was first asked for, by MoRef. */
  seen: Collection<{ at: number }>;
  scheduler: Collection<{ checkedUntil: number }>;
};

export const sameRef = (a: MachineRef, b: MachineRef): boolean =>
  a.moref.toLowerCase() === b.moref.toLowerCase() && a.rootId.toLowerCase() === b.rootId.toLowerCase();

/** `urn:VMware:Vm:<root>.<moref>`, as this server spells it. */
export const refText = ({ rootId, moref }: MachineRef): string => `urn:VMware:Vm:${rootId}.${moref}`;

/** Reads a reference in any case. */
export function refOf(text: string): MachineRef | undefined {
  const match = /^urn:VMware:Vm:([0-9a-f-]{36})\.(.+)$/i.exec(text.trim());
  return match === null ? undefined : { rootId: (match[1] as string).toLowerCase(), moref: match[2] as string };
}

/** Opens the server's state; a new one gets an identity that stays. */
export function openState(store: Store): State {
  const identities = store.collection<Identity>('identity');
  if (identities.get('self') === undefined) {
    identities.put('self', {
      backupServerId: randomUUID(),
      repositoryId: randomUUID(),
      rootId: randomUUID(),
      defectRootId: randomUUID(),
      templateRootId: randomUUID(),
      uniqueId: '',
    });
  }
  const identity = () => identities.get('self') as Identity;
  return {
    identity,
    rememberVCenter(uniqueId) {
      if (identity().uniqueId !== uniqueId) identities.put('self', { ...identity(), uniqueId });
    },
    jobs: store.collection('jobs'),
    jobSessions: store.collection('job-sessions'),
    taskSessions: store.collection('task-sessions'),
    points: store.collection('points'),
    backups: store.collection('backups'),
    restoreSessions: store.collection('restore-sessions'),
    tasks: store.collection('tasks'),
    seen: store.collection('seen'),
    scheduler: store.collection('scheduler'),
  };
}
