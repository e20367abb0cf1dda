/**
 * `/api/v1/replication/destinations`: the servers that backups are copied to (swagger, `DestinationServerDTO`).
 * @module
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { z } from 'zod';
import { copiesOf, deleteCopy } from './copies.ts';
import type { AvamarEnv, Server } from './env.ts';
import { SnapFlag } from './flags.ts';
import { refuseDuplicate } from './named-objects.ts';
import { AvamarError, bodyOf, chosenFields, notFound, vendorEnum } from './spring.ts';
import type { Copy, Destination } from './replication-state.ts';

const DestinationServerDTO = z.object({
  name: z.string().min(1),
  encryption: vendorEnum(['HIGH', 'MEDIUM', 'NONE']),
  pluginNumber: z.number().int(),
  configFlags: z.array(SnapFlag),
});

/** The address is the value of the flag `dstaddr`: the swagger's example of a flag. @throws AvamarError without it */
function hostOf({ configFlags }: z.infer<typeof DestinationServerDTO>): string {
  const host = configFlags.find(({ flagId }) => flagId === 'dstaddr')?.value ?? '';
  if (host === '') throw new AvamarError(400, 'configFlags lacks the flag dstaddr, the address of the server.');
  return host;
}

export function destinations({ state, clock }: Server): Hono<AvamarEnv> {
  const need = (id: string): Destination => {
    const destination = state.destinations.get(id);
    if (destination === undefined) throw notFound('Destination server', id);
    return destination;
  };
  const view = (destination: Destination) => ({ ...destination, domain: '/' });
  const copiesAt = (id: string): Copy[] =>
    state.clients
      .values()
      .flatMap((client) => copiesOf(state, client.id, clock.now()).filter(({ destId }) => destId === id));
  const routes = new Hono<AvamarEnv>();

  // An array and no page: seen by a client of live servers.
  routes.get('/', (c) => c.json(state.destinations.values().map((destination) => chosenFields(c, view(destination)))));
  routes.post('/', async (c) => {
    const dto = await bodyOf(c, DestinationServerDTO);
    refuseDuplicate('Destination server', state.destinations.values(), dto.name, '/');
    const id = `DST${state.nextNumber()}`;
    const systemId = `${Math.floor(clock.now() / 1000)}@${randomUUID()}`;
    return c.json(view(state.destinations.put(id, { ...dto, id, host: hostOf(dto), systemId })), 201);
  });
  // Names below .invalid lead nowhere by their definition (RFC 2606): a server there cannot be reached.
  routes.post('/verify', async (c) => {
    const host = hostOf(await bodyOf(c, DestinationServerDTO));
    if (host.endsWith('.invalid'))
      throw new AvamarError(400, `${host} cannot be reached.`, 'DestinationServerException');
    return c.body(null, 200);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.put('/:id', async (c) => {
    const known = need(c.req.param('id'));
    const dto = await bodyOf(c, DestinationServerDTO);
    refuseDuplicate('Destination server', state.destinations.values(), dto.name, '/', known.id);
    return c.json(view(state.destinations.put(known.id, { ...known, ...dto, host: hostOf(dto) })));
  });
  routes.delete('/:id', (c) => {
    const { id, name } = need(c.req.param('id'));
    const inUse = (by: string) => new AvamarError(400, `Destination server ${name} ${by}.`, 'ObjectInUseException');
    const group = state.replicationGroups.values().find(({ destinationServerId }) => destinationServerId === id);
    if (group !== undefined) throw inUse(`is used by replication group ${group.name}`);
    const copies = copiesAt(id);
    if (copies.length > 0 && c.req.query('force') !== 'true') throw inUse(`holds ${copies.length} remote backups`);
    // What a forgotten server holds cannot be reached from here any more.
    for (const copy of copies) deleteCopy(state, copy);
    state.destinations.delete(id);
    return c.body(null, 204);
  });
  return routes;
}
