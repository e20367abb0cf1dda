/**
 * The task that makes a VM of a vCenter a client: the one thing that Avamar does not do while it is asked.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type CallContext, ExternalSystemError, type FailureKind } from '../../calls.ts';
import type { AvamarConfig } from './config.ts';
import { isAbsent } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

/** A task is looked at ever more rarely, between these. Milliseconds. */
const FIRST_POLL_MS = 100;
const LONGEST_POLL_MS = 2_000;

const TaskError = z.object({ message: z.string().nullish() });
/** `Task«List«RequestResult»»`: each VM may have failed for itself. */
const Task = z.object({
  id: z.string(),
  done: z.boolean(),
  cancelled: z.boolean().nullish(),
  completedExceptionally: z.boolean().nullish(),
  error: TaskError.nullish(),
  result: z.array(z.object({ success: z.boolean(), error: TaskError.nullish() })).nullish(),
});
type Task = z.infer<typeof Task>;

/** A VM to become a client, and where. */
export interface NewClient {
  readonly name: string;
  readonly entityId: string;
  readonly vcenterCid: string;
  readonly domain: string;
}

/**
 * Asks for the client and follows the task to its end. Whether there is a client then is for the caller to see: the task
 * may say less than it did, and more.
 * @throws ExternalSystemError `REFUSED` with Avamar's words when it will not have this VM; `FAILED` when the task as a
 * whole failed; `NO_ANSWER` when its end is not known.
 */
export async function makeClient(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  client: NewClient,
): Promise<void> {
  const purpose = `make ${client.name} a client`;
  const { domain, entityId } = client;
  const json = { domain, entityIds: [entityId], cbtEnabled: true, viewType: 'VM_TEMPLATE' };
  const path = `/virtualcenters/${encodeURIComponent(client.vcenterCid)}/clients`;
  const { body: begun } = await rest.write(context, { method: 'POST', path, json, purpose, answer: Task });
  const task = await followed(rest, config, context, begun, purpose);
  const one = task.result?.find(({ success }) => !success);
  // The task as a whole fails when its vCenter is away; one VM in it fails for a reason of its own.
  if (task.error != null) throw ended('FAILED', 'failed', task.error.message);
  if (one !== undefined) throw ended('REFUSED', 'refused', one.error?.message);
  if (task.cancelled === true) throw ended('FAILED', 'was kept by somebody', 'the task was cancelled');
  if (task.completedExceptionally === true) throw ended('FAILED', 'failed', undefined);

  function ended(kind: FailureKind, verb: string, words: string | null | undefined): ExternalSystemError {
    const vendorMessage = words ?? 'no reason given';
    const message = `the backup system ${rest.manager.name} ${verb} to ${purpose}: ${vendorMessage}`;
    return new ExternalSystemError({ kind, system: 'BACKUP_SYSTEM', message, vendorMessage });
  }
}

async function followed(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  begun: Task,
  purpose: string,
): Promise<Task> {
  const { clientTaskSeconds } = config;
  const deadline = performance.now() + clientTaskSeconds * 1_000;
  const poll = { method: 'GET', path: `/tasks/${encodeURIComponent(begun.id)}`, purpose, answer: Task } as const;
  let task = begun;
  for (let pause = FIRST_POLL_MS; !task.done; pause = Math.min(2 * pause, LONGEST_POLL_MS)) {
    if (performance.now() > deadline)
      throw unknownEnd(rest, `is still at work after ${clientTaskSeconds} s to ${purpose}`);
    await sleep(pause, undefined, { signal: context.signal }).catch(() => context.signal.throwIfAborted());
    try {
      task = (await rest.read(context, poll)).body;
    } catch (error) {
      if (!isAbsent(error)) throw error;
      throw unknownEnd(rest, `no longer knows the task that was to ${purpose}`);
    }
  }
  return task;
}

/** What became of it is not known: it is looked at by its effect, and asked for again. */
export function unknownEnd(rest: AvamarRest, what: string): ExternalSystemError {
  const message = `the backup system ${rest.manager.name} ${what}`;
  return new ExternalSystemError({ kind: 'NO_ANSWER', system: 'BACKUP_SYSTEM', message });
}
