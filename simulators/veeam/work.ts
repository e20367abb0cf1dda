/**
 * What tasks do on the backup server when their time has come.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { VCenterUnavailable } from '../hypervisor/vcenter-link.ts';
import type { Server } from './env.ts';
import {
  GFS_RETENTION,
  type GfsRetention,
  SCHEDULE,
  SIMPLE_RETENTION,
  type ScheduleOptions,
  type SimpleRetention,
  newGfsRetention,
  newRetention,
} from './job-shape.ts';
import { jobSessionName } from './names.ts';
import { edited } from './shape.ts';
import { type Job, type JobSession, type Related, type Work, sameRef } from './state.ts';

type Done = { success: boolean; message: string; related: Related[] };

const ok = (message = 'Ok', related: Related[] = []): Done => ({ success: true, message, related });
const failed = (message: string): Done => ({ success: false, message, related: [] });
const sessionLink = ({ id }: JobSession): Related => ({
  type: 'BackupJobSession',
  path: `/backupSessions/${id}?format=Entity`,
});

function clone({ state }: Server, template: Job, work: Extract<Work, { kind: 'clone' }>): Done {
  const { name, newId, repositoryId, description } = work;
  const isTaken = state.jobs.values().some((job) => job.name.toLowerCase() === name.toLowerCase());
  if (isTaken) return failed(`Job with the name "${name}" already exists.`);
  const { retry: _retry, ...copied } = template;
  state.jobs.put(newId, {
    ...copied,
    id: newId,
    name,
    description,
    repositoryId,
    includes: template.includes.map((include) => ({ ...include, id: randomUUID() })),
    gfs: newGfsRetention(),
    retention: newRetention(),
  });
  return ok('Ok', [{ type: 'Job', path: `/jobs/${newId}?format=Entity`, name }]);
}

function edit({ state }: Server, job: Job, { edit: change }: Extract<Work, { kind: 'edit' }>): Done {
  state.jobs.put(job.id, {
    ...job,
    description: change.Description ?? job.description,
    scheduleConfigured: change.ScheduleConfigured ?? job.scheduleConfigured,
    scheduleEnabled: change.ScheduleEnabled ?? job.scheduleEnabled,
    schedule: edited(SCHEDULE, job.schedule, change.schedule) as ScheduleOptions,
    gfs: edited(GFS_RETENTION, job.gfs, change.GfsRetentionPolicy) as GfsRetention,
    retention: edited(SIMPLE_RETENTION, job.retention, change.SimpleRetentionPolicy) as SimpleRetention,
  });
  return ok();
}

async function addInclude(server: Server, work: Extract<Work, { kind: 'addInclude' }>): Promise<Done> {
  const { state, clock, settings } = server;
  const machine = await server.inventory.find(work.ref);
  if (machine === undefined) return failed(`Object "${work.name}" was not found.`);
  const job = state.jobs.get(work.jobId);
  if (job === undefined) return failed('The job was not found.');
  if (job.includes.some(({ ref }) => sameRef(ref, machine.ref))) {
    return failed(`Object "${machine.name}" is already in the job.`);
  }
  const include = {
    id: work.includeId,
    ref: machine.ref,
    name: machine.name,
    order: work.order ?? job.includes.length,
    addedAt: clock.now(),
    visibleAt: clock.now() + settings().includeSeconds * 1000,
  };
  state.jobs.put(job.id, { ...job, includes: [...job.includes, include] });
  return ok();
}

function removeInclude({ state }: Server, job: Job, includeId: string): Done {
  const rest = job.includes.filter(({ id }) => id !== includeId);
  if (rest.length === job.includes.length) return failed('The object is not in the job.');
  if (rest.length === 0) return failed('The last object of a job cannot be removed.');
  state.jobs.put(job.id, { ...job, includes: rest });
  return ok();
}

/** The failed machines of the last run. */
function retry({ state, runs }: Server, job: Job): Done {
  const last = state.jobSessions
    .values()
    .filter(({ jobId }) => jobId === job.id)
    .at(-1);
  if (last?.ended?.result !== 'Failed') return failed(`Job "${job.name}" has nothing to retry.`);
  const refs = runs
    .tasksOf(last.id)
    .filter(({ ended }) => ended?.result === 'Failed')
    .map(({ ref }) => ref);
  const started = runs.start(job, { attempt: last.attempt + 1, refs });
  return started === undefined
    ? failed(`Job "${job.name}" is already running.`)
    : ok(`Job "${job.name}" triggered to retry.`);
}

function workOnJob(server: Server, job: Job, work: Extract<Work, { jobId: string }>): Done {
  const { state, runs } = server;
  switch (work.kind) {
    case 'clone':
      return clone(server, job, work);
    case 'edit':
      return edit(server, job, work);
    case 'toggle':
      state.jobs.put(job.id, { ...job, scheduleEnabled: !job.scheduleEnabled });
      return ok();
    case 'removeInclude':
      return removeInclude(server, job, work.includeId);
    case 'deleteJob':
      if (runs.runningOf(job.id) !== undefined) return failed(`Job "${job.name}" is running and cannot be deleted.`);
      state.jobs.delete(job.id);
      return ok();
    case 'start': {
      const started = runs.start(job);
      return started === undefined
        ? failed(`Job "${job.name}" is already running.`)
        : ok(`Job "${job.name}" triggered to start.`, [sessionLink(started)]);
    }
    case 'retry':
      return retry(server, job);
    case 'stop': {
      const running = runs.runningOf(job.id);
      if (running === undefined) return failed(`Job "${job.name}" is not running.`);
      runs.stop(running);
      return ok(`Job "${job.name}" triggered to stop.`);
    }
    case 'addInclude':
      return failed('The job was not found.');
  }
}

async function workOf(server: Server, work: Work): Promise<Done> {
  const { state, runs, restores } = server;
  switch (work.kind) {
    case 'addInclude':
      return addInclude(server, work);
    case 'collect':
      return ok('Data collection started. To view results, go to Sessions.');
    case 'stopSession': {
      const session = state.jobSessions.get(work.sessionId);
      if (session === undefined || !runs.stop(session)) return failed('The session is not running.');
      return ok(`Job Session "${jobSessionName(session)}" triggered to stop.`);
    }
    case 'quickBackup': {
      const job = state.jobs.values().find(({ includes }) => includes.some(({ ref }) => sameRef(ref, work.ref)));
      if (job === undefined) return failed('The virtual machine is in no backup job.');
      const started = runs.start(job, { refs: [work.ref] });
      return started === undefined ? failed(`Job "${job.name}" is already running.`) : ok('Ok', [sessionLink(started)]);
    }
    case 'restore': {
      const point = state.points.get(work.pointId);
      if (point === undefined) return failed('The restore point was not found.');
      const { id } = restores.start(point, work);
      return ok('Ok', [{ type: 'RestoreSession', path: `/restoreSessions/${id}?format=Entity` }]);
    }
    case 'clone':
    case 'edit':
    case 'toggle':
    case 'removeInclude':
    case 'deleteJob':
    case 'start':
    case 'retry':
    case 'stop': {
      const job = state.jobs.get(work.jobId);
      return job === undefined ? failed('The job was not found.') : workOnJob(server, job, work);
    }
  }
}

/** Does the work; a vCenter that is away fails it. */
export async function carryOut(server: Server, work: Work): Promise<Done> {
  try {
    return await workOf(server, work);
  } catch (error) {
    if (error instanceof VCenterUnavailable) return failed(error.message);
    throw error;
  }
}
