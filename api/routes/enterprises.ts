/**
 * Enterprises: the tenants.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { type EnterpriseRow, enterpriseById, insertEnterprise, listEnterprises } from '../../db/enterprises.ts';
import { recordEvent } from '../../db/events.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { BEARER, ID_PATH, Id, iso, json, Moment, Name, requiredBody } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { BODY_PROBLEMS, LIST_PROBLEMS, problems } from '../problems.ts';

const Enterprise = z
  .object({
    id: Id,
    name: z.string(),
    createdAt: Moment,
    links: z.object({ self: z.string(), tokens: z.string(), backupPolicies: z.string() }),
  })
  .meta({ id: 'Enterprise' });

const NewEnterprise = z.strictObject({ name: Name }).meta({ id: 'NewEnterprise' });

const TAGS = ['Enterprises'];

const list = createRoute({
  method: 'get',
  path: '/v1/enterprises',
  operationId: 'listEnterprises',
  tags: TAGS,
  summary: 'The enterprises that the token sees',
  description: 'A tenant sees its own enterprise.',
  security: BEARER,
  request: { query: z.object(PAGE_QUERY) },
  responses: { 200: json(pageOf(Enterprise, 'EnterprisePage'), 'A page.'), ...problems(...LIST_PROBLEMS) },
});

const create = createRoute({
  method: 'post',
  path: '/v1/enterprises',
  operationId: 'createEnterprise',
  tags: TAGS,
  summary: 'Create an enterprise',
  security: BEARER,
  middleware: requires('ENTERPRISE_MANAGE'),
  request: { body: requiredBody(NewEnterprise) },
  responses: { 201: json(Enterprise, 'Created.'), ...problems(...BODY_PROBLEMS, 'CONFLICT') },
});

const read = createRoute({
  method: 'get',
  path: '/v1/enterprises/{id}',
  operationId: 'readEnterprise',
  tags: TAGS,
  summary: 'One enterprise',
  security: BEARER,
  request: { params: ID_PATH },
  responses: { 200: json(Enterprise, 'The enterprise.'), ...problems('NOT_FOUND') },
});

/** The routes of enterprises. */
export function enterpriseRoutes({ db }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const page = pageRequest(c, c.req.valid('query'));
      const found = await listEnterprises(db, c.get('principal').enterpriseId, page);
      return c.json(pageAnswer(c, found, toEnterprise), 200);
    })
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const { name } = c.req.valid('json');
      const row = await db.transaction().execute(async (trx) => {
        const inserted = await insertEnterprise(trx, { name });
        await recordEvent(trx, {
          entity: 'ENTERPRISE',
          action: 'CREATE',
          severity: 'INFO',
          message: `Enterprise ${name} was created by ${principal.name}.`,
          enterpriseId: inserted.id,
          entityId: inserted.id,
          principal: principal.name,
        });
        return inserted;
      });
      return c.json(toEnterprise(row), 201, { Location: `/v1/enterprises/${row.id}` });
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await enterpriseById(db, c.get('principal').enterpriseId, id);
      if (row === undefined) throw notFound('enterprise', id);
      return c.json(toEnterprise(row), 200);
    });
}

function toEnterprise(row: EnterpriseRow): z.infer<typeof Enterprise> {
  const self = `/v1/enterprises/${row.id}`;
  return {
    id: row.id,
    name: row.name,
    createdAt: iso(row.created_at),
    links: { self, tokens: `${self}/tokens`, backupPolicies: `${self}/backup-policies` },
  };
}
