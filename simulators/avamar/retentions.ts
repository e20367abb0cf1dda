/**
 * `/api/v1/retentions` (swagger, `RetentionDTO` and `Retention`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { fqdn } from './activity-engine.ts';
import type { AvamarEnv, Server } from './env.ts';
import { refuseDuplicate, refuseReadOnly, refuseUsed } from './named-objects.ts';
import { bodyOf, chosenFields, inInclusion, notFound, page, vendorEnum } from './spring.ts';
import type { Retention } from './state.ts';

const Unit = vendorEnum(['DAYS', 'WEEKS', 'MONTHS', 'YEARS']);
const Tag = z.number().int().positive();
const RetentionDTO = z
  .object({
    name: z.string().min(1),
    domainFqdn: z.string().startsWith('/'),
    basicRetentionType: vendorEnum(['DURATION', 'EXDATE', 'NO_EXPIRATION']),
    duration: z.number().int().positive().optional(),
    durationUnit: Unit.optional(),
    expireDate: z.iso.datetime({ offset: true }).optional(),
    override: z.boolean().default(false),
    dailyTag: Tag.optional(),
    dailyTagUnit: Unit.optional(),
    weeklyTag: Tag.optional(),
    weeklyTagUnit: Unit.optional(),
    monthlyTag: Tag.optional(),
    monthlyTagUnit: Unit.optional(),
    yearlyTag: Tag.optional(),
    yearlyTagUnit: Unit.optional(),
  })
  .refine(
    ({ basicRetentionType, duration, durationUnit }) =>
      basicRetentionType !== 'DURATION' || (duration !== undefined && durationUnit !== undefined),
    'DURATION needs duration and durationUnit',
  )
  .refine(
    ({ basicRetentionType, expireDate }) => basicRetentionType !== 'EXDATE' || expireDate !== undefined,
    'EXDATE needs expireDate',
  );

export function retentions({ state }: Server): Hono<AvamarEnv> {
  const need = (id: string): Retention => {
    const retention = state.retentions.get(id);
    if (retention === undefined) throw notFound('Retention', id);
    return retention;
  };
  const view = (retention: Retention) => ({
    policyType: 'BACKUP',
    ...retention,
    retentionFqdn: fqdn(retention.domainFqdn, retention.name),
  });
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const asked = state.retentions.values().filter(({ domainFqdn }) => inInclusion(c, domainFqdn));
    return c.json(page(c, asked.map(view)));
  });
  routes.post('/', async (c) => {
    const dto = await bodyOf(c, RetentionDTO);
    refuseDuplicate('Retention', state.retentions.values(), dto.name, dto.domainFqdn);
    // RP and a number of milliseconds: the swagger's example of Retention.id.
    const id = `RP${state.nextNumber()}`;
    return c.json(view(state.retentions.put(id, { ...dto, id, readOnly: false })), 201);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.put('/:id', async (c) => {
    const { id } = refuseReadOnly('Retention', need(c.req.param('id')));
    const dto = await bodyOf(c, RetentionDTO);
    refuseDuplicate('Retention', state.retentions.values(), dto.name, dto.domainFqdn, id);
    return c.json(view(state.retentions.put(id, { ...dto, id, readOnly: false })));
  });
  routes.delete('/:id', (c) => {
    const { id } = refuseReadOnly('Retention', need(c.req.param('id')));
    refuseUsed('Retention', id, state.groups.values(), 'retentionId');
    state.retentions.delete(id);
    return c.body(null, 204);
  });
  return routes;
}
