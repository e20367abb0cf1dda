/**
 * `/api/v1/virtualcenters`: what the vCenter holds, and machines that become clients.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import { Contact } from './client-dto.ts';
import { clientView, needClient } from './client-view.ts';
import { clientsByEntity, entity, entityIdOf, find, found, tree } from './entities.ts';
import type { AvamarEnv, Server } from './env.ts';
import { bodyOf, chosenFields, notFound, page, vendorEnum } from './spring.ts';
import { type TaskRecord, isMachine, morefOf } from './state.ts';
import { taskView } from './tasks.ts';
import { VCenterUnavailable } from '../hypervisor/vcenter-link.ts';

const NewClients = z.object({
  domain: z.string().startsWith('/'),
  entityIds: z.array(z.string().min(1)).min(1),
  cbtEnabled: z.boolean().default(true),
  contact: Contact.optional(),
  containerInclusionType: vendorEnum(['DYNAMIC', 'STATIC']).optional(),
  recursiveProtection: z.boolean().optional(),
  viewType: vendorEnum(['Host_cluster', 'Vm_template', 'Datastore', 'Unknown']).optional(),
});

export function virtualCenters(server: Server): Hono<AvamarEnv> {
  const { state, clock, link } = server;
  const routes = new Hono<AvamarEnv>();
  const need = (cid: string): void => {
    if (cid !== state.vcenter().cid) throw notFound('Virtual center', cid);
  };
  const vcenterView = async () => {
    try {
      const { instanceUuid, version } = await link.about();
      state.rememberVCenter({ uuid: instanceUuid, version });
    } catch (error) {
      // A vCenter that is away is still registered; what was last seen of it is shown.
      if (!(error instanceof VCenterUnavailable)) throw error;
    }
    const { cid, name, domain, uuid, version } = state.vcenter();
    const shown = { cid, name, domain, uuid, version, build: '0', port: 443, username: 'administrator@simulated' };
    return { ...shown, cbtEnabled: true, ruleEnabled: false, esxHost: false };
  };

  routes.get('/', async (c) => c.json(page(c, [await vcenterView()])));
  routes.post('/clients/:cid/sync', (c) => {
    const client = needClient(server, c.req.param('cid'));
    return c.json({ name: client.name, success: true });
  });
  routes.use('/:cid/*', async (c, next) => {
    need(c.req.param('cid'));
    await next();
  });
  routes.get('/:cid', async (c) => c.json(chosenFields(c, await vcenterView())));
  routes.get('/:cid/entities', async (c) => {
    const { path = '/', search = '', recursive, hostView } = c.req.query();
    const root = find(tree(server, await link.machines(), hostView === 'true'), path.endsWith('/') ? path : `${path}/`);
    if (root === undefined) throw notFound('Inventory path', path);
    const children = search === '' ? root.children : root.children.flatMap((child) => found(child, search));
    const shown = recursive === 'true' ? children : children.map((child) => ({ ...child, children: [] }));
    return c.json(chosenFields(c, { ...root, children: shown }));
  });
  routes.get('/:cid/entities/:id', async (c) => {
    const machine = await link.machine(morefOf(c.req.param('id')));
    if (machine === undefined) throw notFound('Entity', c.req.param('id'));
    return c.json(chosenFields(c, entity(server, machine, clientsByEntity(state).get(entityIdOf(machine)))));
  });
  routes.post('/:cid/sync', async (c) => {
    await link.machines();
    return c.json({ name: state.vcenter().name, success: true });
  });
  routes.get('/:cid/clients', (c) => {
    const clients = state.clients.values().filter((client) => isMachine(client) && !client.retired);
    return c.json(
      page(
        c,
        clients.map((client) => clientView(server, client)),
      ),
    );
  });
  routes.post('/:cid/clients', async (c) => {
    const { domain, entityIds, cbtEnabled } = await bodyOf(c, NewClients);
    const task: TaskRecord = {
      id: randomUUID(),
      createdAt: clock.now(),
      cancelled: false,
      request: { domain, entityIds, cbtEnabled },
    };
    state.tasks.put(task.id, task);
    return c.json(taskView(task, clock.now()), 202);
  });
  routes.get('/:cid/clients/:id', async (c) => {
    const client = needClient(server, c.req.param('id'));
    const machine = await link.machine(morefOf(client.entityId));
    if (machine !== undefined) return c.json(chosenFields(c, entity(server, machine, client)));
    // The server remembers the entity of a client whose machine is gone.
    return c.json(
      chosenFields(c, {
        id: client.entityId,
        cid: client.id,
        name: client.vmName,
        type: 'VirtualMachine',
        ref: morefOf(client.entityId),
        instanceUuid: client.instanceUuid,
        vcCid: state.vcenter().cid,
        deleted: true,
        disks: [],
      }),
    );
  });
  // Only deployments of proxies run as vCenter tasks (swagger, VCenterTask.taskType), and this server deploys none.
  routes.get('/:cid/tasks', (c) => c.json(page(c, [])));
  return routes;
}
