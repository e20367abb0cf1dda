/**
 * `/api/v1/datasets` (swagger, `DatasetDTO` and `Dataset`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { fqdn } from './activity-engine.ts';
import type { AvamarEnv, Server } from './env.ts';
import { SnapFlagDTO } from './flags.ts';
import { refuseDuplicate, refuseReadOnly, refuseUsed } from './named-objects.ts';
import { bodyOf, chosenFields, inInclusion, notFound, page } from './spring.ts';
import type { Dataset } from './state.ts';

const Item = z.object({ pluginNumber: z.number().int(), value: z.string() });
const DatasetDTO = z.object({
  name: z.string().min(1),
  domainFqdn: z.string().startsWith('/').default('/'),
  includes: z.array(Item).default([]),
  excludes: z.array(Item).default([]),
  targets: z.array(Item.extend({ recordId: z.string().optional() })).default([]),
  snapupFlags: z.array(SnapFlagDTO).default([]),
  freeFlags: z.array(SnapFlagDTO).default([]),
});

function complete(dto: z.infer<typeof DatasetDTO>, id: string): Dataset {
  return {
    id,
    name: dto.name,
    domain: dto.domainFqdn,
    includes: dto.includes,
    excludes: dto.excludes,
    targets: dto.targets.map(({ recordId, ...item }) => ({ ...item, recordID: recordId })),
    flags: [...dto.snapupFlags, ...dto.freeFlags].map(({ key, pluginNumber, value }) => ({
      flagId: key,
      name: key,
      pluginNumber,
      value,
      type: 'string',
      command: 'BACKUP',
    })),
    allData: dto.includes.length === 0 && dto.targets.length === 0,
    readOnly: false,
  };
}

export function datasets({ state }: Server): Hono<AvamarEnv> {
  const need = (id: string): Dataset => {
    const dataset = state.datasets.get(id);
    if (dataset === undefined) throw notFound('Dataset', id);
    return dataset;
  };
  const view = (dataset: Dataset) => ({ ...dataset, type: 'BACKUP', fqdn: fqdn(dataset.domain, dataset.name) });
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const asked = state.datasets.values().filter(({ domain }) => inInclusion(c, domain));
    return c.json(page(c, asked.map(view)));
  });
  routes.post('/', async (c) => {
    const dto = await bodyOf(c, DatasetDTO);
    refuseDuplicate('Dataset', state.datasets.values(), dto.name, dto.domainFqdn);
    const id = `DS${state.nextNumber()}`;
    return c.json(view(state.datasets.put(id, complete(dto, id))), 201);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.put('/:id', async (c) => {
    const { id } = refuseReadOnly('Dataset', need(c.req.param('id')));
    const dto = await bodyOf(c, DatasetDTO);
    refuseDuplicate('Dataset', state.datasets.values(), dto.name, dto.domainFqdn, id);
    return c.json(view(state.datasets.put(id, complete(dto, id))));
  });
  routes.delete('/:id', (c) => {
    const { id } = refuseReadOnly('Dataset', need(c.req.param('id')));
    refuseUsed('Dataset', id, state.groups.values(), 'datasetId');
    state.datasets.delete(id);
    return c.body(null, 204);
  });
  return routes;
}
