/**
 * Changes are tasks of the session that begins them: `Running`, then `OperationFinished` while the Enterprise Manager
 * collects the result, then `Finished`. A task is followed by the clock until it is finished; one that is lost says
 * nothing, and whoever began it looks at its effect.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type CallContext, ExternalSystemError, VENDOR_CALL_LIMIT_MS } from '../../calls.ts';
import { Document, type Session } from './login.ts';
import { failure, isLost } from './refusal.ts';
import type { VeeamRest, Write } from './rest.ts';
import { attribute, child, textOf, type XmlElement } from './xml.ts';

/** A task is looked at ever more rarely, between these. Milliseconds. */
const FIRST_POLL_MS = 50;
const LONGEST_POLL_MS = 2_000;

/** How a change ended. */
export type ChangeEnd =
  /** It was made; `task` is what tells of it, where there was one. */
  | { readonly known: true; readonly task: XmlElement | undefined }
  /** Nobody can tell; `why` is the error to end with when its effect does not show. */
  | { readonly known: false; readonly why: ExternalSystemError };

/**
 * Makes a change and follows its task, also for a while after the signal to stop: nobody else would know what became of it.
 * @param timeoutSeconds how long the task is followed.
 * @throws ExternalSystemError when it was refused or failed: `FAILED` with the vendor's words for a task that failed,
 * since nobody says whether it would fail again.
 */
export async function change(
  rest: VeeamRest,
  context: CallContext,
  timeoutSeconds: number,
  write: Write,
): Promise<ChangeEnd> {
  let begun: Awaited<ReturnType<VeeamRest['write']>>;
  try {
    begun = await rest.write(context, write);
  } catch (error) {
    if (isLost(error) && error instanceof ExternalSystemError) return { known: false, why: error };
    throw error;
  }
  const task = Document.safeParse(begun.answer.body).data;
  if (task?.name !== 'Task') return { known: true, task: undefined };
  return followed(rest, context, timeoutSeconds, write, begun.session, task);
}

async function followed(
  rest: VeeamRest,
  context: CallContext,
  timeoutSeconds: number,
  { purpose }: Write,
  session: Session,
  first: XmlElement,
): Promise<ChangeEnd> {
  const called = `the backup system ${rest.manager.name}`;
  const id = textOf(first, 'TaskId') ?? /tasks\/([^/?]+)/.exec(attribute(first, 'Href') ?? '')?.[1];
  if (id === undefined) {
    return { known: false, why: failure('NO_ANSWER', `${called} began a task without an id to ${purpose}`) };
  }
  const path = `/tasks/${encodeURIComponent(id)}`;
  const patient: CallContext = { ...context, signal: new AbortController().signal };
  let deadline = performance.now() + timeoutSeconds * 1_000;
  let task: XmlElement | undefined = first;
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(2 * pause, LONGEST_POLL_MS)) {
    if (task !== undefined && textOf(task, 'State')?.toLowerCase() === 'finished') break;
    // One that shall stop waits no longer than for a call: its process may be about to end.
    if (context.signal.aborted) deadline = Math.min(deadline, performance.now() + VENDOR_CALL_LIMIT_MS);
    if (performance.now() >= deadline) {
      return {
        known: false,
        why: failure('NO_ANSWER', `${called} was still at work to ${purpose} when the time was over`),
      };
    }
    await sleep(pause);
    try {
      task = (await rest.readIn(session, patient, path, purpose)).body;
    } catch (error) {
      if (!(error instanceof ExternalSystemError)) throw error;
      if (isTaskGone(error)) {
        const why = failure('NO_ANSWER', `${called} lost the task that it began to ${purpose}: ${error.message}`);
        return { known: false, why };
      }
      // Overloaded or out of reach for a moment: the task goes on meanwhile.
      task = undefined;
    }
  }
  await rest.forget(session, patient, path);
  const result = child(task, 'Result');
  if (attribute(result, 'Success')?.toLowerCase() === 'false') {
    const words = textOf(result, 'Message') ?? 'no reason given';
    throw failure('FAILED', `${called} failed to ${purpose}: ${words}`, words);
  }
  return { known: true, task };
}

/** The session has ended, or is another than the task's: the vendor then says 500 and that there is no such task. */
function isTaskGone(error: ExternalSystemError): boolean {
  if (error.status === 401 || error.status === 404) return true;
  return error.status === 500 && /task/i.test(error.vendorMessage ?? '');
}
