/**
 * `/api/jobs`: what can be done to a job.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { answer, bodyOf } from './answers.ts';
import { list } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError, notFound } from './errors.ts';
import { type JobEdit, type ScheduleOptions, jobEditShape } from './job-shape.ts';
import { includeElement, visibleIncludes } from './job-view.ts';
import { idOf } from './kind.ts';
import { requireAdministrator } from './logon.ts';
import { ANY, INTEGER, TEXT, sequence } from './shape.ts';
import { type Include, type Job, refOf } from './state.ts';
import { accepted } from './tasks.ts';
import { viewOf } from './view.ts';

const LONGEST_NAME = 50;

const CLONE = sequence({
  BackupJobCloneInfo: sequence({ JobName: TEXT, FolderName: TEXT, RepositoryUid: TEXT, Description: TEXT }),
});
type CloneSpec = {
  BackupJobCloneInfo?: { JobName?: string; FolderName?: string; RepositoryUid?: string; Description?: string };
};
const NEW_OBJECT = sequence({
  HierarchyObjRef: TEXT,
  HierarchyObjName: TEXT,
  Order: INTEGER,
  GuestProcessingOptions: ANY,
});
type NewObject = { HierarchyObjRef?: string; HierarchyObjName?: string; Order?: number };
type ReceivedEdit = Omit<JobEdit, 'schedule'> & {
  JobScheduleOptions?: Partial<ScheduleOptions> & { Standart?: Partial<ScheduleOptions> };
  JobInfo?: { BackupJobInfo?: Pick<JobEdit, 'GfsRetentionPolicy' | 'SimpleRetentionPolicy'> };
};

function editOf(received: ReceivedEdit, isNested: boolean): JobEdit {
  const { JobScheduleOptions: options, JobInfo: info, ...rest } = received;
  const schedule = isNested ? options?.Standart : options;
  const { Kind, FullPeriod } = schedule?.OptionsPeriodically ?? {};
  const most = Kind === 'Minutes' ? 60 : 24;
  if (FullPeriod !== undefined && (FullPeriod < 1 || FullPeriod > most)) {
    throw new EmError(400, `The value '${FullPeriod}' of element 'FullPeriod' is invalid: 1 to ${most}.`);
  }
  const cycles = info?.BackupJobInfo?.SimpleRetentionPolicy;
  if ((cycles?.RetainCycles ?? 1) < 1 || (cycles?.RetainDaysToKeep ?? 1) < 1) {
    throw new EmError(400, 'A retention keeps at least 1.');
  }
  return { ...rest, ...(schedule === undefined ? {} : { schedule }), ...info?.BackupJobInfo };
}

export function jobs(server: Server): Hono<VeeamEnv> {
  const { state, settings } = server;
  const need = (id: string): Job => {
    const job = state.jobs.get(idOf(id));
    if (job === undefined) throw notFound('job', id);
    return job;
  };
  const needInclude = (job: Job, id: string, now: number): Include => {
    const include = visibleIncludes(job, now).find((one) => one.id === id);
    if (include === undefined) throw notFound('object in job', id);
    return include;
  };
  const routes = new Hono<VeeamEnv>();

  routes.use(async (c, next) => {
    if (c.req.method !== 'GET') requireAdministrator(c.get('session'));
    await next();
  });
  // Jobs are made by cloning others.
  routes.post('/', () => {
    throw new EmError(405, 'Method not allowed.');
  });
  routes.put('/:id', async (c) => {
    if (c.req.query('action')?.toLowerCase() !== 'edit') throw new EmError(400, 'The action is not supported.');
    const { id } = need(c.req.param('id'));
    const isNested = settings().standart;
    const received = await bodyOf(c, 'Job', jobEditShape(isNested));
    if (received === undefined) throw new EmError(400, 'The body is empty.');
    return accepted(c, server, { kind: 'edit', jobId: id, edit: editOf(received as ReceivedEdit, isNested) });
  });
  routes.post('/:id', async (c) => {
    const { id: jobId, description } = need(c.req.param('id'));
    switch (c.req.query('action')?.toLowerCase()) {
      case 'start':
        return accepted(c, server, { kind: 'start', jobId });
      case 'stop':
        return accepted(c, server, { kind: 'stop', jobId });
      case 'retry':
        return accepted(c, server, { kind: 'retry', jobId });
      case 'togglescheduleenabled':
        return accepted(c, server, { kind: 'toggle', jobId });
      case 'clone': {
        const spec = ((await bodyOf(c, 'JobCloneSpec', CLONE)) ?? {}) as CloneSpec;
        const { JobName: name = '', RepositoryUid = '', Description } = spec.BackupJobCloneInfo ?? {};
        if (name === '' || name.length > LONGEST_NAME) {
          throw new EmError(400, `The name of a job has 1 to ${LONGEST_NAME} characters.`);
        }
        const repositoryId = idOf(RepositoryUid);
        if (repositoryId !== state.identity().repositoryId)
          throw new EmError(400, `There is no repository [${RepositoryUid}].`);
        const how = { name, repositoryId, description: Description ?? description };
        return accepted(c, server, { kind: 'clone', jobId, newId: randomUUID(), ...how });
      }
      case 'sync':
        throw new EmError(400, 'Only backup copy jobs can be synchronized.');
      default:
        throw new EmError(400, 'The action is not supported.');
    }
  });
  routes.delete('/:id', (c) => {
    const id = c.req.param('id');
    const job = state.jobs.get(idOf(id));
    if (job === undefined) throw new EmError(settings().missingJobStatus, notFound('job', id).message);
    return accepted(c, server, { kind: 'deleteJob', jobId: job.id });
  });

  routes.get('/:id/includes', (c) => {
    const job = need(c.req.param('id'));
    const view = viewOf(c, server);
    const shown = visibleIncludes(job, view.now).map((include) => includeElement(job.id, include, view));
    return answer(c, server, list('ObjectsInJob', shown, 'ObjectInJobs'));
  });
  routes.post('/:id/includes', async (c) => {
    const { id: jobId } = need(c.req.param('id'));
    const received = ((await bodyOf(c, 'CreateObjectInJobSpec', NEW_OBJECT)) ?? {}) as NewObject;
    const ref = refOf(received.HierarchyObjRef ?? '');
    if (ref === undefined) throw new EmError(400, `[${received.HierarchyObjRef}] is no reference of an object.`);
    const { HierarchyObjName: name = '', Order: order = null } = received;
    return accepted(c, server, { kind: 'addInclude', jobId, includeId: randomUUID(), ref, name, order });
  });
  routes.get('/:id/includes/:objectId', (c) => {
    const job = need(c.req.param('id'));
    const view = viewOf(c, server);
    return answer(c, server, includeElement(job.id, needInclude(job, c.req.param('objectId'), view.now), view));
  });
  routes.delete('/:id/includes/:objectId', (c) => {
    const job = need(c.req.param('id'));
    const { id: includeId } = needInclude(job, c.req.param('objectId'), server.clock.now());
    return accepted(c, server, { kind: 'removeInclude', jobId: job.id, includeId });
  });
  return routes;
}
