/**
 * `GET /api/lookup`: what the hierarchies call a machine.
 * @module
 */
import { Hono } from 'hono';
import { answer } from './answers.ts';
import { list, links, text } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError } from './errors.ts';
import { idOf } from './kind.ts';
import { refOf, refText, sameRef } from './state.ts';
import { resource, viewOf } from './view.ts';

export function lookup(server: Server): Hono<VeeamEnv> {
  const { state, inventory } = server;
  /** The root whose id was asked for; a server with the defect of v12 knows the id that it shows, too. */
  const rootOf = (host: string): string => {
    const { rootId, defectRootId, templateRootId } = state.identity();
    const id = idOf(host);
    if (id === rootId || id === defectRootId) return rootId;
    if (id === templateRootId) return templateRootId;
    throw new EmError(400, `There is no hierarchy root [${host}].`);
  };
  return new Hono<VeeamEnv>().get('/', async (c) => {
    const { host, name, type, hierarchyRef } = c.req.query();
    const ref = refOf(hierarchyRef ?? '');
    if (hierarchyRef === undefined && (host === undefined || name === undefined)) {
      throw new EmError(400, 'Either hierarchyRef, or host and name are expected.');
    }
    if (type !== undefined && type.toLowerCase() !== 'vm') throw new EmError(400, `Type [${type}] is not supported.`);
    const rootId = host === undefined ? undefined : rootOf(host);
    const known = await inventory.known();
    const found = known.filter((machine) =>
      hierarchyRef === undefined
        ? machine.ref.rootId === rootId && machine.name.toLowerCase() === name?.toLowerCase()
        : ref !== undefined && sameRef(machine.ref, ref),
    );
    const items = found.map((machine) => ({
      name: 'HierarchyItem',
      attributes: { Type: 'HierarchyItem' },
      children: [text('ObjectRef', refText(machine.ref)), text('ObjectType', 'Vm'), text('ObjectName', machine.name)],
    }));
    return answer(c, server, list('HierarchyItems', items, 'HierarchyItems'));
  });
}

/** `GET /api/lookupSvc`: where the service is. */
export function lookupService(server: Server): Hono<VeeamEnv> {
  return new Hono<VeeamEnv>().get('/', (c) => {
    const view = viewOf(c, server);
    const link = { rel: 'Down', type: 'HierarchyItemList', href: view.href('/lookup') };
    return answer(c, server, resource('LookupService', view.href('/lookupSvc'), [links([link])]));
  });
}
