/**
 * A VM's job comes into being as a clone of its policy's template: there is no other way to make one. The clone bears
 * the VM's name and marker from its first moment, so that it is found again whatever happens to the answer.
 * @module
 */
import { type CallContext, ExternalSystemError, type NamingContext } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import { type Job, jobById, jobsNamed } from './jobs.ts';
import { linkedId } from './links.ts';
import { description, isMarked } from './names.ts';
import { failure } from './refusal.ts';
import { change } from './tasks.ts';
import type { Veeam } from './veeam.ts';
import { shown } from './waiting.ts';
import { element } from './xml.ts';

/**
 * Whether a clone of that name may still appear: one was begun, and what became of it is not known. Until the settling
 * time is over nobody may believe that there is none.
 */
export async function mayAppear({ config }: Veeam, { namedWrites }: NamingContext, name: string): Promise<boolean> {
  const age = await namedWrites.unsettledFor(name);
  return age !== undefined && age < config.cloneSettlingSeconds * 1_000;
}

/** The error of whoever finds no job of that name while one may still appear. */
export function stillSettling({ rest, config }: Veeam, name: string): ExternalSystemError {
  return failure(
    'FAILED',
    `the backup system ${rest.manager.name} did not answer when it was asked to make the job ${name}; it may still ` +
      `appear, and is looked for again until ${config.cloneSettlingSeconds} s have passed`,
  );
}

/**
 * Clones the template under the VM's name.
 * @param repository its UID.
 * @returns the job, which still has the template's objects.
 * @throws ExternalSystemError; when nobody knows what became of it, `mayAppear` says so from then on.
 */
export async function clonedJob(
  veeam: Veeam,
  context: NamingContext,
  template: Job,
  repository: string,
  vm: { readonly id: string; readonly jobName: string },
): Promise<Job> {
  const { rest, config } = veeam;
  const { namedWrites } = context;
  const name = vm.jobName;
  const purpose = `clone the template ${template.name} as ${name}`;
  const body = element('JobCloneSpec', [
    element('BackupJobCloneInfo', [
      element('JobName', name),
      element('FolderName', name),
      element('RepositoryUid', repository),
      element('Description', description(vm.id, template.name)),
    ]),
  ]);
  const noted: CallContext = {
    ...context,
    // Noted once it is permitted: what is not permitted is not sent.
    beforeWrite: async () => {
      await context.beforeWrite();
      await namedWrites.begin(name);
    },
  };
  let id: string | undefined;
  let why: ExternalSystemError | undefined;
  try {
    const path = `/jobs/${template.id}?action=clone`;
    const end = await change(rest, noted, config.taskTimeoutSeconds, { method: 'POST', path, body, purpose });
    if (end.known) id = end.task && linkedId(end.task, 'Job', 'Related');
    else ({ why } = end);
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    // A clone that was reported as failed has been seen to exist all the same, and a new job shows late.
    const patience = mayHaveCloned(error) ? config.includeTimeoutSeconds : 0;
    const job = await lookAfter(error, () => shown(context, patience, () => markedJob(veeam, context, vm)));
    await namedWrites.settle(name, job === undefined ? 'ABSENT' : 'FOUND');
    if (job === undefined) throw error;
    return job;
  }
  const look = () =>
    shown(context, config.includeTimeoutSeconds, () =>
      id === undefined ? markedJob(veeam, context, vm) : jobById(veeam, context, id),
    );
  const job = await (why === undefined ? look() : lookAfter(why, look));
  if (job === undefined) {
    throw (
      why ?? failure('FAILED', `the backup system ${rest.manager.name} does not show the job ${name} after it was made`)
    );
  }
  await namedWrites.settle(name, 'FOUND');
  return job;
}

/** Whether the server failed at the clone itself: a task that failed, or a fault that is no overload. */
function mayHaveCloned({ kind, status }: ExternalSystemError): boolean {
  return kind === 'FAILED' && (status === undefined || status === 500);
}

async function markedJob(
  veeam: Veeam,
  context: CallContext,
  vm: { readonly id: string; readonly jobName: string },
): Promise<Job | undefined> {
  const jobs = await jobsNamed(veeam, context, vm.jobName);
  return jobs.find((job) => isMarked(job.description, vm.id));
}
