/**
 * Every write answers with a task. A task is known to the logon session alone that created it.
 * @module
 */
import { type Context, Hono } from 'hono';
import { isWaitOver } from '../kit/clock.ts';
import { answer } from './answers.ts';
import { type Element, list, links, text } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError } from './errors.ts';
import type { Row } from './kind.ts';
import type { LogonSession } from './logon.ts';
import type { Task, Work } from './state.ts';
import { type View, resource, viewOf } from './view.ts';
import { carryOut } from './work.ts';

const OPERATIONS: Record<Work['kind'], string> = {
  clone: 'CloneJob',
  edit: 'EditJob',
  toggle: 'UpdateJob',
  addInclude: 'UpdateJob',
  removeInclude: 'UpdateJob',
  deleteJob: 'DeleteJob',
  start: 'StartJob',
  retry: 'RetryJob',
  stop: 'StopJob',
  stopSession: 'StopJobSession',
  quickBackup: 'QuickBackup',
  collect: 'CollectingBackupServer',
  restore: 'StartVMRestore',
};

const keyOf = ({ id }: LogonSession, taskId: string): string => `${id}/${taskId}`;

type Stage = 'Running' | 'OperationFinished' | 'Finished';

function stageOf({ settings, clock }: Server, { done, wasSeenFinished }: Task): Stage {
  if (done === undefined) return 'Running';
  const isCollected = wasSeenFinished && isWaitOver(clock.now(), done.at, done.at + settings().collectSeconds * 1000);
  return isCollected || settings().immediateTasks ? 'Finished' : 'OperationFinished';
}

/** `Task`: the message and the links are there only when it is finished. */
function taskElement(task: Task, stage: Stage, view: View): Element {
  const href = view.href(`/tasks/${task.taskId}`);
  const related = stage === 'Finished' ? (task.done?.related ?? []) : [];
  const success = task.done?.success ?? false;
  const result = (message: string, isSuccess: boolean): Element => ({
    name: 'Result',
    attributes: { Success: isSuccess },
    children: [text('Message', message)],
  });
  return resource('Task', href, [
    links([
      { rel: 'Delete', type: 'Task', href },
      ...related.map(({ type, path, name }) => ({ rel: 'Related', type, href: view.href(path), name })),
    ]),
    text('TaskId', task.taskId),
    text('State', stage),
    text('Operation', task.operation),
    ...(stage === 'OperationFinished' ? [result('OperationFinished', true)] : []),
    ...(stage === 'Finished' ? [result(task.done?.message ?? '', success)] : []),
  ]);
}

/** Accepts a write: 202 with its task. What was accepted happens, whoever asks about it and whatever becomes of us. */
export async function accepted(c: Context<VeeamEnv>, server: Server, work: Work): Promise<Response> {
  const { state, clock, settings } = server;
  const session = c.get('session');
  session.lastTask += 1;
  const taskId = `task-${session.lastTask}`;
  const { immediateTasks, taskSeconds } = settings();
  const task = state.tasks.put(keyOf(session, taskId), {
    key: keyOf(session, taskId),
    taskId,
    sessionId: session.id,
    operation: OPERATIONS[work.kind],
    work,
    createdAt: clock.now(),
    dueAt: clock.now() + (immediateTasks ? 0 : taskSeconds * 1000),
    wasSeenFinished: false,
  });
  if (immediateTasks) await server.beat();
  const current = state.tasks.get(task.key) ?? task;
  return answer(c, server, taskElement(current, stageOf(server, current), viewOf(c, server)), 202);
}

/** Does the work of the tasks whose time has come, in the order in which they were accepted. */
export async function advanceTasks(server: Server): Promise<void> {
  const { state, clock, sessions } = server;
  for (const task of state.tasks.values()) {
    if (task.done !== undefined) {
      // Nobody can ask about the tasks of a session that is over.
      if (sessions.byId(task.sessionId) === undefined) state.tasks.delete(task.key);
    } else if (isWaitOver(clock.now(), task.createdAt, task.dueAt)) {
      const done = await carryOut(server, task.work);
      const current = state.tasks.get(task.key) ?? task;
      state.tasks.put(task.key, { ...current, done: { ...done, at: clock.now() } });
    }
  }
}

/** `/api/tasks`. */
export function tasks(server: Server): Hono<VeeamEnv> {
  const { state } = server;
  const need = (session: LogonSession, id: string): Task => {
    const task = state.tasks.get(keyOf(session, id));
    if (task === undefined) {
      throw new EmError(500, `There is no any running or finished task with id [${id}] in current rest session`);
    }
    return task;
  };
  return new Hono<VeeamEnv>()
    .get('/', (c) => {
      const view = viewOf(c, server);
      const own = state.tasks.values().filter(({ sessionId }) => sessionId === c.get('session').id);
      const shown = own.map((task) => taskElement(task, stageOf(server, task), view));
      return answer(c, server, list('Tasks', shown, 'Tasks'));
    })
    .get('/:id', (c) => {
      const task = need(c.get('session'), c.req.param('id'));
      const stage = stageOf(server, task);
      if (stage === 'OperationFinished') state.tasks.put(task.key, { ...task, wasSeenFinished: true });
      return answer(c, server, taskElement(task, stage, viewOf(c, server)));
    })
    .delete('/:id', (c) => {
      const task = need(c.get('session'), c.req.param('id'));
      // The work of a task that runs goes on.
      if (task.done !== undefined) state.tasks.delete(task.key);
      return c.body(null, 204);
    });
}

/** The tasks of a session as a query finds them. */
export const taskRows = (server: Server, session: LogonSession, view: View): Row[] =>
  server.state.tasks
    .values()
    .filter(({ sessionId }) => sessionId === session.id)
    .map((task) => ({
      fields: { TaskId: task.taskId, Operation: task.operation, State: stageOf(server, task) },
      entity: () => taskElement(task, stageOf(server, task), view),
    }));
