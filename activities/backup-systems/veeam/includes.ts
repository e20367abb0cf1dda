/**
 * The objects of a VM's job: the VM and nothing else. The VM goes in before the template's own objects go out, since the
 * last object of a job cannot be removed.
 * @module
 */
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import type { Job } from './jobs.ts';
import { failure, isAbsent } from './refusal.ts';
import { change } from './tasks.ts';
import { sameUrn } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { shown } from './waiting.ts';
import { descendants, element, textOf } from './xml.ts';

export interface JobObject {
  readonly id: string;
  /** What it is in the inventory; a VM, a folder, a tag. */
  readonly reference: string | undefined;
  readonly name: string | undefined;
}

/** What the job backs up. */
export async function objectsOf({ rest }: Veeam, context: CallContext, jobId: string): Promise<JobObject[]> {
  const { body } = await rest.read(context, `/jobs/${jobId}/includes`, 'list the objects of the job');
  return [...descendants(body, 'ObjectInJob')].flatMap((object) => {
    const id = textOf(object, 'ObjectInJobId');
    return id === undefined
      ? []
      : [
          {
            id,
            reference: textOf(object, 'HierarchyObjRef'),
            name: textOf(object, 'DisplayName') ?? textOf(object, 'Name'),
          },
        ];
  });
}

/** Whether the job backs up that VM alone. */
export function isOnly(objects: readonly JobObject[], vmRef: string): boolean {
  return objects.length === 1 && sameUrn(objects[0]?.reference, vmRef);
}

/**
 * Makes the VM the only object of the job.
 * @param objects what the job has now.
 * @throws ExternalSystemError when the VM does not show in time, or another object does not go.
 */
export async function makeOnly(
  veeam: Veeam,
  context: CallContext,
  job: Job,
  objects: readonly JobObject[],
  vm: { readonly reference: string; readonly name: string },
): Promise<void> {
  const has = (list: readonly JobObject[]) => list.some(({ reference }) => sameUrn(reference, vm.reference));
  const now = has(objects) ? objects : await add(veeam, context, job, vm, has);
  let isKept = false;
  let why: unknown;
  for (const object of now) {
    // The VM itself may be there twice after an answer was lost; one of it stays.
    if (sameUrn(object.reference, vm.reference) && !isKept) isKept = true;
    else why = (await remove(veeam, context, job, object)) ?? why;
  }
  const look = () =>
    shown(context, veeam.config.includeTimeoutSeconds, async () => {
      const list = await objectsOf(veeam, context, job.id);
      return isOnly(list, vm.reference) ? list : undefined;
    });
  const left = await (why === undefined ? look() : lookAfter(why, look));
  if (left !== undefined) return;
  const called = `the backup system ${veeam.rest.manager.name}`;
  throw why ?? failure('FAILED', `${called} still shows other objects in the job ${job.name}`);
}

async function add(
  veeam: Veeam,
  context: CallContext,
  job: Job,
  vm: { readonly reference: string; readonly name: string },
  has: (list: readonly JobObject[]) => boolean,
): Promise<JobObject[]> {
  const { rest, config } = veeam;
  const purpose = `add ${vm.name} to the job ${job.name}`;
  const body = element('CreateObjectInJobSpec', [
    element('HierarchyObjRef', vm.reference),
    element('HierarchyObjName', vm.name),
  ]);
  const look = async (): Promise<JobObject[] | undefined> => {
    const list = await objectsOf(veeam, context, job.id);
    return has(list) ? list : undefined;
  };
  let why: unknown;
  try {
    const write = { method: 'POST', path: `/jobs/${job.id}/includes`, body, purpose } as const;
    const end = await change(rest, context, config.taskTimeoutSeconds, write);
    if (!end.known) ({ why } = end);
  } catch (error) {
    // Refused perhaps because an earlier attempt of ours has added it meanwhile.
    const list = error instanceof ExternalSystemError ? await lookAfter(error, look) : undefined;
    if (list === undefined) throw error;
    return list;
  }
  const wait = () => shown(context, config.includeTimeoutSeconds, look);
  const list = await (why === undefined ? wait() : lookAfter(why, wait));
  if (list !== undefined) return list;
  const called = `the backup system ${rest.manager.name}`;
  const waited = `${config.includeTimeoutSeconds} s`;
  throw (
    why ?? failure('FAILED', `${called} does not show ${vm.name} in the job ${job.name} ${waited} after it was added`)
  );
}

/** @returns the error to end with when the list still shows it; `undefined` when it is gone. */
async function remove(
  { rest, config }: Veeam,
  context: CallContext,
  job: Job,
  object: JobObject,
): Promise<ExternalSystemError | undefined> {
  const path = `/jobs/${job.id}/includes/${encodeURIComponent(object.id)}`;
  const purpose = `remove ${object.name ?? object.id} from the job ${job.name}`;
  try {
    const end = await change(rest, context, config.taskTimeoutSeconds, { method: 'DELETE', path, purpose });
    return end.known ? undefined : end.why;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
