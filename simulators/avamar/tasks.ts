/**
 * `/api/v1/tasks`, and the one asynchronous task there is: making clients of virtual machines.
 * @module
 */
import { Hono } from 'hono';
import { clientView } from './client-view.ts';
import { clientsByEntity, entityIdOf } from './entities.ts';
import type { AvamarEnv, Server } from './env.ts';
import { chosenFields, dateTime, notFound } from './spring.ts';
import type { TaskRecord } from './state.ts';
import type { Machine } from '../hypervisor/vcenter-link.ts';

/** `Task«List«RequestResult»»`. */
export function taskView(task: TaskRecord, now: number) {
  return {
    id: task.id,
    done: task.completedAt !== undefined,
    cancelled: task.cancelled,
    completedExceptionally: task.error !== undefined,
    createdTime: dateTime(task.createdAt),
    elapsedTime: Math.floor(((task.completedAt ?? now) - task.createdAt) / 1000),
    ...(task.completedAt === undefined ? {} : { completedTime: dateTime(task.completedAt) }),
    ...(task.error === undefined ? {} : { error: task.error }),
    ...(task.result === undefined ? {} : { result: task.result }),
  };
}

/** The suffix that makes the names of VM clients unique on a live server; derived from the machine here. */
function clientName(machine: Machine): string {
  const suffix = Buffer.from(machine.instanceUuid.replaceAll('-', ''), 'hex')
    .toString('base64url')
    .replace(/[-_]/g, 'X');
  return `${machine.name}_${suffix}`;
}

/** Makes clients of entities, each for itself: a list of `RequestResult` in which some may have failed. */
function addClients(server: Server, machines: Machine[], { domain, entityIds, cbtEnabled }: TaskRecord['request']) {
  const { state, clock } = server;
  const clients = clientsByEntity(state);
  const failure = (name: string, message: string, exception: string) => ({
    name,
    success: false,
    error: { code: 400, exception, message },
  });
  return entityIds.map((entityId) => {
    const machine = machines.find((candidate) => entityIdOf(candidate) === entityId);
    if (machine === undefined)
      return failure(entityId, `Entity ${entityId} was not found on the vCenter.`, 'EntityNotFoundException');
    if (!`${domain}/`.startsWith(`${state.vcenter().domain}/`)) {
      return failure(
        machine.name,
        `Domain ${domain} is not below ${state.vcenter().domain}.`,
        'InvalidDomainException',
      );
    }
    const existing = clients.get(entityId);
    if (existing !== undefined) {
      return failure(machine.name, `Client ${existing.name} already exists.`, 'ClientAlreadyExistsException');
    }
    const client = {
      id: state.newCid(),
      name: clientName(machine),
      domainFqdn: domain,
      vmName: machine.name,
      entityId,
    };
    const more = { instanceUuid: machine.instanceUuid, cbtEnabled, enabled: true, retired: false };
    const added = { ...client, ...more, registeredAt: clock.now(), lastLabelNumber: 0 };
    clients.set(entityId, state.clients.put(client.id, added));
    return { name: machine.name, success: true, data: clientView(server, added) };
  });
}

/** Carries out the tasks whose time has come; called with every beat of the server. */
export async function advanceTasks(server: Server): Promise<void> {
  const { state, clock } = server;
  const waiting = server.settings().taskSeconds;
  for (const task of state.tasks.values()) {
    if (task.completedAt !== undefined || clock.now() < task.createdAt + waiting * 1000) continue;
    let outcome: Pick<TaskRecord, 'result' | 'error'>;
    try {
      const machines = await server.link.machines();
      if (state.tasks.get(task.id)?.cancelled === true) continue;
      outcome = { result: addClients(server, machines, task.request) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      outcome = { error: { code: 503, exception: 'VCenterConnectionException', message } };
    }
    state.tasks.put(task.id, { ...task, ...outcome, completedAt: clock.now() });
  }
}

export function tasks({ state, clock }: Server): Hono<AvamarEnv> {
  const need = (id: string): TaskRecord => {
    const task = state.tasks.get(id);
    if (task === undefined) throw notFound('Task', id);
    return task;
  };
  return new Hono<AvamarEnv>()
    .get('/:id', (c) => c.json(chosenFields(c, taskView(need(c.req.param('id')), clock.now()))))
    .delete('/:id', (c) => {
      const task = need(c.req.param('id'));
      const ended =
        task.completedAt === undefined
          ? state.tasks.put(task.id, { ...task, cancelled: true, completedAt: clock.now() })
          : task;
      return c.json(taskView(ended, clock.now()));
    });
}
