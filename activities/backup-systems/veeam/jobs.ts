/**
 * Jobs: found, read, changed and removed. A job is addressed by its id; its name only finds it.
 * @module
 */
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import { isAbsent, refused } from './refusal.ts';
import { condition, entities } from './query.ts';
import { readIfThere } from './rest.ts';
import { change } from './tasks.ts';
import { guidOf, urnKey } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { attribute, textOf, type XmlElement } from './xml.ts';

export interface Job {
  readonly id: string;
  readonly uid: string;
  readonly name: string;
  readonly description: string | undefined;
  /** Whether it runs by its schedule. */
  readonly enabled: boolean;
  readonly configured: boolean;
  readonly entity: XmlElement;
  /** The server's clock when it was read. */
  readonly readAt: Date;
}

const isTrue = (text: string | undefined): boolean => text?.toLowerCase() === 'true';

/** The job of that id; `undefined` when it is not there. */
export async function jobById({ rest }: Veeam, context: CallContext, id: string): Promise<Job | undefined> {
  const answer = await readIfThere(rest, context, `/jobs/${id}?format=Entity`, 'read the job');
  if (answer === undefined) return undefined;
  const { body: entity, date } = answer;
  return {
    id,
    uid: attribute(entity, 'UID') ?? `urn:veeam:Job:${id}`,
    name: attribute(entity, 'Name') ?? '',
    description: textOf(entity, 'Description'),
    enabled: isTrue(textOf(entity, 'ScheduleEnabled')),
    configured: isTrue(textOf(entity, 'ScheduleConfigured')),
    entity,
    readAt: date ?? rest.now(),
  };
}

/** The jobs of that name, in any case. */
export async function jobsNamed(veeam: Veeam, context: CallContext, name: string): Promise<Job[]> {
  const purpose = `look for the job ${name}`;
  const ids: string[] = [];
  for await (const entity of entities(veeam.rest, context, {
    type: 'Job',
    filter: condition('Name', '==', name),
    purpose,
  })) {
    // The filter is the server's; what has the name is decided here.
    if (attribute(entity, 'Name')?.toLowerCase() !== name.toLowerCase()) continue;
    const id = guidOf(attribute(entity, 'UID'));
    if (id !== undefined) ids.push(id);
  }
  const jobs = await Promise.all(ids.map((id) => jobById(veeam, context, id)));
  return jobs.filter((job) => job !== undefined);
}

/** The names and ids of all jobs. */
async function allJobs(veeam: Veeam, context: CallContext): Promise<{ name: string; id: string }[]> {
  const found: { name: string; id: string }[] = [];
  for await (const entity of entities(veeam.rest, context, { type: 'Job', purpose: 'list its jobs' })) {
    const id = guidOf(attribute(entity, 'UID'));
    if (id !== undefined) found.push({ name: attribute(entity, 'Name') ?? '', id });
  }
  return found;
}

/**
 * The template of a policy: the job that has the policy's code as its name, exactly or, where only one has, in another
 * case.
 * @throws ExternalSystemError `REFUSED` that names the code, when there is none or it is no backup job for VMware.
 */
export async function templateJob(veeam: Veeam, context: CallContext, code: string): Promise<Job> {
  const at = `the backup system ${veeam.rest.manager.name}`;
  let candidates = await jobsNamed(veeam, context, code);
  if (candidates.length === 0) {
    // The server may compare names exactly, and a name with quotes cannot be asked for.
    const alike = (await allJobs(veeam, context)).filter(({ name }) => name.toLowerCase() === code.toLowerCase());
    const jobs = await Promise.all(alike.map(({ id }) => jobById(veeam, context, id)));
    candidates = jobs.filter((job) => job !== undefined);
  }
  const exact = candidates.filter(({ name }) => name === code);
  const [template, ...others] = exact.length > 0 ? exact : candidates;
  if (template === undefined) {
    throw refused(`${at} has no job ${code}: the template of the policy ${code} is a job of that name`);
  }
  if (others.length > 0) throw refused(`${at} has several jobs ${code}: the template of a policy must be one`);
  const problem = templateProblem(template);
  if (problem !== undefined) throw refused(`${at}: the job ${template.name} ${problem}`);
  return template;
}

/** Why a job cannot be a template, to follow its name; `undefined` when it can. */
function templateProblem({ entity }: Job): string | undefined {
  const type = textOf(entity, 'JobType');
  const platform = textOf(entity, 'Platform');
  if (type?.toLowerCase() !== 'backup') return `is of type ${type ?? 'unknown'}; a template is a Backup job`;
  if (platform?.toLowerCase() !== 'vmware') return `is for ${platform ?? 'no platform'}; a template is for VMware`;
  return undefined;
}

/**
 * Sends an edit of a job.
 * @returns the error to end with when the edit does not show; `undefined` when it was accepted.
 */
export async function editJob(
  { rest, config }: Veeam,
  context: CallContext,
  job: Job,
  body: XmlElement,
  purpose: string,
): Promise<ExternalSystemError | undefined> {
  const path = `/jobs/${job.id}?action=edit`;
  const end = await change(rest, context, config.taskTimeoutSeconds, { method: 'PUT', path, body, purpose });
  return end.known ? undefined : end.why;
}

/** Removes a job; absent is success. Its backups stay. Veeam may refuse while the job runs, which is not forced. */
export async function removeJob(veeam: Veeam, context: CallContext, job: Job): Promise<void> {
  const { rest, config, memory } = veeam;
  const purpose = `remove the job ${job.name}`;
  let why: unknown;
  try {
    const write = { method: 'DELETE', path: `/jobs/${job.id}`, purpose } as const;
    const end = await change(rest, context, config.taskTimeoutSeconds, write);
    if (!end.known) ({ why } = end);
  } catch (error) {
    const mayBeGone = isAbsent(error) || (error instanceof ExternalSystemError && error.kind === 'FAILED');
    if (!mayBeGone) throw error;
    why = error;
  }
  // Words of absence may be about something else, and a lost answer says nothing: what is there now does.
  if (why !== undefined && (await lookAfter(why, () => jobById(veeam, context, job.id))) !== undefined) throw why;
  memory.jobVms.delete(urnKey(job.uid));
}
