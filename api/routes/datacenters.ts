/**
 * Datacenters: where virtual machines run.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { type DatacenterRow, datacenterById, insertDatacenter, listDatacenters } from '../../db/datacenters.ts';
import { recordEvent } from '../../db/events.ts';
import { HYPERVISOR_PLUGIN_TYPES } from '../../domain/plugin-types.ts';
import { mayDo, type Principal } from '../../domain/privileges.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { BEARER, Endpoint, ID_PATH, Id, iso, json, Moment, Name, requiredBody, TimeZone } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { BODY_PROBLEMS, LIST_PROBLEMS, problems } from '../problems.ts';

const HypervisorType = z.enum(HYPERVISOR_PLUGIN_TYPES.map((plugin) => plugin.type) as [string, ...string[]]);
const Hypervisor = z.strictObject({ type: HypervisorType, endpoint: Endpoint });

const Datacenter = z
  .object({
    id: Id,
    name: z.string(),
    timeZone: z.string(),
    hypervisor: z
      .object({ type: z.string(), endpoint: z.string() })
      .optional()
      .describe('Only for tokens with PHYS_DC_ALLOW_BACKUP_CONFIG.'),
    taskQueue: z.string().optional().describe('Only for tokens with PHYS_DC_ALLOW_BACKUP_CONFIG.'),
    createdAt: Moment,
    links: z.object({ self: z.string(), backupManagers: z.string(), backupPolicies: z.string() }),
  })
  .meta({ id: 'Datacenter' });

const NewDatacenter = z
  .strictObject({
    name: Name,
    timeZone: TimeZone.describe('The default time zone of its backup policies.'),
    hypervisor: Hypervisor,
    taskQueue: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'must be 1 to 100 letters, digits, dots, dashes or underscores')
      .optional()
      .describe('The Temporal task queue of a worker that stands near the datacenter. Default: holdfast.'),
  })
  .meta({ id: 'NewDatacenter' });

const TAGS = ['Datacenters'];

const list = createRoute({
  method: 'get',
  path: '/v1/datacenters',
  operationId: 'listDatacenters',
  tags: TAGS,
  summary: 'All datacenters',
  security: BEARER,
  request: { query: z.object(PAGE_QUERY) },
  responses: { 200: json(pageOf(Datacenter, 'DatacenterPage'), 'A page.'), ...problems(...LIST_PROBLEMS) },
});

const create = createRoute({
  method: 'post',
  path: '/v1/datacenters',
  operationId: 'createDatacenter',
  tags: TAGS,
  summary: 'Create a datacenter',
  description: 'The hypervisor is not contacted.',
  security: BEARER,
  middleware: requires('PHYS_DC_ALLOW_BACKUP_CONFIG'),
  request: { body: requiredBody(NewDatacenter) },
  responses: { 201: json(Datacenter, 'Created.'), ...problems(...BODY_PROBLEMS, 'CONFLICT') },
});

const read = createRoute({
  method: 'get',
  path: '/v1/datacenters/{id}',
  operationId: 'readDatacenter',
  tags: TAGS,
  summary: 'One datacenter',
  security: BEARER,
  request: { params: ID_PATH },
  responses: { 200: json(Datacenter, 'The datacenter.'), ...problems('NOT_FOUND') },
});

/** The routes of datacenters. */
export function datacenterRoutes({ db }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const found = await listDatacenters(db, pageRequest(c, c.req.valid('query')));
      const principal = c.get('principal');
      return c.json(
        pageAnswer(c, found, (row) => toDatacenter(row, principal)),
        200,
      );
    })
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const { name, timeZone, hypervisor, taskQueue } = c.req.valid('json');
      const row = await db.transaction().execute(async (trx) => {
        const inserted = await insertDatacenter(trx, {
          name,
          time_zone: timeZone,
          hypervisor_type: hypervisor.type,
          hypervisor_endpoint: hypervisor.endpoint,
          ...(taskQueue === undefined ? {} : { task_queue: taskQueue }),
        });
        await recordEvent(trx, {
          entity: 'DATACENTER',
          action: 'CREATE',
          severity: 'INFO',
          message: `Datacenter ${name} was created by ${principal.name}.`,
          datacenterId: inserted.id,
          entityId: inserted.id,
          principal: principal.name,
        });
        return inserted;
      });
      return c.json(toDatacenter(row, principal), 201, { Location: `/v1/datacenters/${row.id}` });
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await datacenterById(db, id);
      if (row === undefined) throw notFound('datacenter', id);
      return c.json(toDatacenter(row, c.get('principal')), 200);
    });
}

function toDatacenter(row: DatacenterRow, principal: Principal): z.infer<typeof Datacenter> {
  const self = `/v1/datacenters/${row.id}`;
  const inside = {
    hypervisor: { type: row.hypervisor_type, endpoint: row.hypervisor_endpoint },
    taskQueue: row.task_queue,
  };
  return {
    id: row.id,
    name: row.name,
    timeZone: row.time_zone,
    ...(mayDo(principal, 'PHYS_DC_ALLOW_BACKUP_CONFIG') ? inside : {}),
    createdAt: iso(row.created_at),
    links: { self, backupManagers: `${self}/backup-managers`, backupPolicies: `${self}/backup-policies` },
  };
}
