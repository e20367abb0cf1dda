/**
 * `/_simulator/<kind>/…`: what an administrator does at the product's own console, behind its API clients' backs. There
 * nothing is refused and nothing audited.
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { BadBody, checkedBody } from '../kit/checked-body.ts';
import type { Collection } from '../kit/store.ts';
import { copyAt, deleteCopy } from './copies.ts';
import type { AvamarEnv, Server } from './env.ts';
import { includedIn } from './members.ts';
import { pluginOf } from './plugins.ts';

const name = z.string().min(1).optional();
const enabled = z.boolean().optional();
const text = z.string().optional();

function needed<T>(object: T | undefined): T {
  if (object === undefined) throw new BadBody('There is no such object.');
  return object;
}

export function administration({ state, engine }: Server): Hono<AvamarEnv> {
  const user = 'console';
  const routes = new Hono<AvamarEnv>();

  /** A kind of object that can be looked at, changed and deleted; links to a deleted one stay as they are. */
  const kind = <T extends object>(path: string, objects: Collection<T>, change: z.ZodType<object>): void => {
    routes.get(path, (c) => c.json({ objects: objects.values() }));
    routes.patch(`${path}/:id`, async (c) => {
      const id = c.req.param('id');
      const known = needed(objects.get(id));
      const given = Object.entries(await checkedBody(c, change)).filter(([, value]) => value !== undefined);
      return c.json(objects.put(id, { ...known, ...Object.fromEntries(given) }));
    });
    routes.delete(`${path}/:id`, (c) => {
      objects.delete(c.req.param('id'));
      return c.body(null, 204);
    });
  };
  kind('/clients', state.clients, z.strictObject({ name, enabled, domainFqdn: text }));
  kind('/schedules', state.schedules, z.strictObject({ name, startTime: text, timeZoneId: text }));
  kind('/retentions', state.retentions, z.strictObject({ name, duration: z.number().int().positive().optional() }));
  kind('/datasets', state.datasets, z.strictObject({ name }));
  kind('/groups', state.groups, z.strictObject({ name, enabled, scheduleId: text, retentionId: text }));
  kind('/rules', state.rules, z.strictObject({ name }));
  kind('/destinations', state.destinations, z.strictObject({ name, host: text }));
  kind('/replication-groups', state.replicationGroups, z.strictObject({ name, enabled, scheduleId: text }));

  routes.patch('/backups/:cid/:number', async (c) => {
    const backup = needed(state.backups.get(`${c.req.param('cid')}/${c.req.param('number')}`));
    const change = await checkedBody(c, z.strictObject({ expirationTime: z.number().int().nonnegative() }));
    return c.json(state.backups.put(`${backup.cid}/${backup.labelNumber}`, { ...backup, ...change }));
  });
  routes.delete('/backups/:cid/:number', (c) => {
    state.backups.delete(`${c.req.param('cid')}/${c.req.param('number')}`);
    return c.body(null, 204);
  });
  routes.delete('/copies/:cid/:destId/:number', (c) => {
    const { cid, destId, number } = c.req.param();
    deleteCopy(state, needed(copyAt(state, cid, destId, number)));
    return c.body(null, 204);
  });

  routes.post('/groups/:id/start', (c) => {
    const group = needed(state.groups.get(c.req.param('id')));
    const clients = includedIn(state, group).map((cid) => state.clients.get(cid));
    const able = clients.filter((client) => client !== undefined && !client.retired && client.enabled);
    const how = { user, pluginNumber: pluginOf(group, state), group };
    return c.json({ ids: able.map((client) => engine.backup(needed(client), how).id) }, 201);
  });
  routes.post('/replication-groups/:id/start', (c) => {
    const group = needed(state.replicationGroups.get(c.req.param('id')));
    const run = engine.replicate(group, { user });
    if (run === undefined) throw new BadBody('The group is running.');
    return c.json({ id: run.id }, 201);
  });
  return routes;
}
