/**
 * A VM's schedule in Veeam: one job, cloned from the template of its policy, with the VM as its only object.
 * @module
 */
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import type { CallContext, NamingContext } from '../../calls.ts';
import type { ProtectedVm } from '../backup-system.ts';
import { lookAfter } from '../look-after.ts';
import { clonedJob, mayAppear, stillSettling } from './cloning.ts';
import { isOnly, makeOnly, objectsOf } from './includes.ts';
import { type JobChanges, jobEdit, retentionEdit } from './job-edit.ts';
import { scheduleEdit } from './job-schedule.ts';
import { editJob, type Job, jobById, jobsNamed, removeJob, templateJob } from './jobs.ts';
import { description, isMarked, isOfOtherTemplate, jobName } from './names.ts';
import { needsTemplate, type PlannedJob, plannedJob, zonedTime } from './planned-job.ts';
import { failure, refused } from './refusal.ts';
import { repositoryUid } from './repositories.ts';
import { guidOf, jobKey } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { vmReference } from './vm-reference.ts';
import { shown } from './waiting.ts';
import { heldOffset, nextRefresh } from './zone-time.ts';

/** What `applySchedule` returned for the VM. */
const Made = z.object({ jobUid: z.string(), jobName: z.string() });

/**
 * Makes the VM's job be this schedule, and resumes one that was left half made. A job is switched on last, and never
 * while a VM of somebody else is in it. Where nothing differs nothing is written.
 */
export async function applySchedule(
  veeam: Veeam,
  context: NamingContext,
  vm: ProtectedVm,
  schedule: BackupSchedule,
  previous: ScheduleRef | undefined,
): Promise<ScheduleRef> {
  const plan = plannedJob(veeam.config, schedule);
  const reference = await vmReference(veeam, context, vm);
  const own = await ownJobs(veeam, context, vm, previous);
  if (own.foreign !== undefined) throw foreignJob(veeam, own.foreign, vm);
  const [existing, ...extra] = own.jobs;
  const isOther = existing !== undefined && isOfOtherTemplate(existing.description, plan.policyCode);
  // A job that is not on record may be a clone that was left half made: it gets what the template has.
  const isFresh = previous === undefined || existing === undefined || isOther;
  const template = isFresh || needsTemplate(plan) ? await templateJob(veeam, context, plan.policyCode) : undefined;
  // Known before anything is removed: without a repository no job can take the place of the one that is there.
  const repository =
    template !== undefined && (existing === undefined || isOther)
      ? await repositoryUid(veeam, context, plan.policyCode, template)
      : undefined;
  // Of two jobs that lost answers have left, one goes on. Another template means another job: a clone cannot change it.
  for (const one of isOther ? own.jobs : extra) await removeJob(veeam, context, one);
  const name = jobName(veeam.config.jobName, vm.id);
  if (existing !== undefined) await context.namedWrites.settle(name, 'FOUND');
  let job = isOther ? undefined : existing;
  if (job === undefined) {
    if (!isOther && (await mayAppear(veeam, context, name))) throw stillSettling(veeam, name);
    if (template === undefined || repository === undefined) throw new Error('a job is cloned from a template');
    job = await clonedJob(veeam, context, template, repository, { id: vm.id, jobName: name });
  }
  job = await withoutOthers(veeam, context, job, { reference, name: vm.name });
  const wanted = (now: Job): JobChanges => wantedChanges(now, vm, plan, template, isFresh);
  job = await edited(veeam, context, job, wanted, `set the schedule of the job ${job.name}`);
  // As it is written, and when the offset was right: it may change before the job is on.
  const written = job;
  const on = (now: Job): JobChanges => (now.enabled ? {} : { scheduleEnabled: true });
  job = await edited(veeam, context, job, on, `switch the job ${job.name} on`);
  if (isFresh) {
    // What the server showed late may be in it still: looked at again, now that it would be backed up.
    job = await withoutOthers(veeam, context, job, { reference, name: vm.name });
    job = await edited(veeam, context, job, on, `switch the job ${job.name} on`);
  }
  const refreshAt = refreshOf(written, plan, template, isFresh)?.toISOString();
  return {
    vmRef: reference,
    jobUid: job.uid,
    jobName: job.name,
    policies: { [jobKey(job.uid)]: plan.policyId },
    ...(refreshAt === undefined ? {} : { refreshAt }),
  };
}

/**
 * Removes the VM's jobs by the marker; backups stay. A job of the VM's name that bears no marker and is not on record is
 * somebody else's and stays too.
 * @throws ExternalSystemError `REFUSED` when the job on record has lost its marker: it goes on making backups, and is no
 * longer Holdfast's to remove. `FAILED` while a job may still appear.
 */
export async function removeSchedule(
  veeam: Veeam,
  context: NamingContext,
  vm: ProtectedVm,
  ref: ScheduleRef | undefined,
): Promise<void> {
  const { jobs, foreign } = await ownJobs(veeam, context, vm, ref);
  for (const job of jobs) await removeJob(veeam, context, job);
  if (foreign !== undefined && foreign.id === guidOf(Made.safeParse(ref).data?.jobUid)) {
    throw foreignJob(veeam, foreign, vm);
  }
  const name = jobName(veeam.config.jobName, vm.id);
  if (jobs.length > 0) await context.namedWrites.settle(name, 'FOUND');
  else if (await mayAppear(veeam, context, name)) throw stillSettling(veeam, name);
}

interface OwnJobs {
  /** Those that bear the VM's marker, the one on record first. */
  readonly jobs: readonly Job[];
  /** One that is on record or has the VM's name, and bears no marker. */
  readonly foreign: Job | undefined;
}

/** A renamed job is found by its id, one that is not on record by its name. */
async function ownJobs(
  veeam: Veeam,
  context: CallContext,
  vm: ProtectedVm,
  ref: ScheduleRef | undefined,
): Promise<OwnJobs> {
  const made = Made.safeParse(ref).data;
  const id = guidOf(made?.jobUid);
  const known = id === undefined ? undefined : await jobById(veeam, context, id);
  if (known !== undefined && isMarked(known.description, vm.id)) return { jobs: [known], foreign: undefined };
  const names = new Set([jobName(veeam.config.jobName, vm.id), ...(made === undefined ? [] : [made.jobName])]);
  const found = new Map<string, Job>();
  for (const name of names) for (const job of await jobsNamed(veeam, context, name)) found.set(job.id, job);
  const jobs = [...found.values()].filter((job) => isMarked(job.description, vm.id));
  return { jobs, foreign: known ?? [...found.values()].find((job) => !isMarked(job.description, vm.id)) };
}

function foreignJob({ rest }: Veeam, job: Job, vm: ProtectedVm): Error {
  return refused(
    `the job ${job.name} in the backup system ${rest.manager.name} (${job.uid}) has the place of the job of ${vm.name}, and ` +
      `its description does not say that Holdfast made it: give it another name, or put [holdfast vm=${vm.id}] into its ` +
      'description',
  );
}

/** The job with the VM as its only object; switched off before that where it would back up others. */
async function withoutOthers(
  veeam: Veeam,
  context: CallContext,
  job: Job,
  vm: { readonly reference: string; readonly name: string },
): Promise<Job> {
  const objects = await objectsOf(veeam, context, job.id);
  if (isOnly(objects, vm.reference)) return job;
  const off = (now: Job): JobChanges => (now.enabled ? { scheduleEnabled: false } : {});
  const stopped = await edited(veeam, context, job, off, `switch the job ${job.name} off`);
  await makeOnly(veeam, context, stopped, objects, vm);
  return stopped;
}

/** Whether the job keeps the offset from before a change for a while: then nothing but the offset differs. */
function held(job: Job, plan: PlannedJob, template: Job | undefined, isFresh: boolean) {
  const zoned = isFresh ? undefined : zonedTime(plan);
  const found = zoned && heldOffset(zoned.time, zoned.zone, job.readAt);
  const isAsBefore = found && scheduleEdit(job.entity, plan, template?.entity, found.before) === undefined;
  return isAsBefore === true ? found : undefined;
}

/** When the job has to be written again; `undefined`: never. */
function refreshOf(job: Job, plan: PlannedJob, template: Job | undefined, isFresh: boolean): Date | undefined {
  const zoned = zonedTime(plan);
  if (zoned === undefined) return undefined;
  return held(job, plan, template, isFresh)?.until ?? nextRefresh(zoned.time, zoned.zone, job.readAt);
}

/** What of the job has to change. */
function wantedChanges(
  job: Job,
  vm: ProtectedVm,
  plan: PlannedJob,
  template: Job | undefined,
  isFresh: boolean,
): JobChanges {
  const source = isFresh ? template?.entity : undefined;
  return {
    // A server that took no description with the clone is told it now.
    description:
      isMarked(job.description, vm.id) || template === undefined ? undefined : description(vm.id, template.name),
    scheduleConfigured: job.configured ? undefined : true,
    schedule: held(job, plan, template, isFresh)
      ? undefined
      : scheduleEdit(job.entity, plan, template?.entity, job.readAt),
    retention: retentionEdit(job.entity, plan.retention, source),
  };
}

/**
 * Edits the job as far as it differs, and waits until the server shows it.
 * @returns the job as it is then.
 */
async function edited(
  veeam: Veeam,
  context: CallContext,
  job: Job,
  changes: (now: Job) => JobChanges,
  purpose: string,
): Promise<Job> {
  const body = jobEdit(job.entity, changes(job));
  if (body === undefined) return job;
  const why = await editJob(veeam, context, job, body, purpose);
  const look = () =>
    shown(context, veeam.config.includeTimeoutSeconds, async () => {
      const now = await jobById(veeam, context, job.id);
      return now !== undefined && jobEdit(now.entity, changes(now)) === undefined ? now : undefined;
    });
  const after = await (why === undefined ? look() : lookAfter(why, look));
  if (after !== undefined) return after;
  throw (
    why ?? failure('FAILED', `the backup system ${veeam.rest.manager.name} does not show what it did to ${purpose}`)
  );
}
