/**
 * Events: the audit trail.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { type EventRow, eventById, listEvents } from '../../db/event-list.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { BEARER, ID_PATH, Id, iso, json, Moment } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { LIST_PROBLEMS, problems } from '../problems.ts';

const Entity = z.enum([
  'ENTERPRISE',
  'DATACENTER',
  'BACKUP_MANAGER',
  'BACKUP_POLICY',
  'BACKUP_RESULT',
  'VIRTUAL_MACHINE',
  'TOKEN',
]);
const Severity = z.enum(['INFO', 'WARN', 'ERROR']);

const Event = z
  .object({
    id: Id,
    at: Moment,
    entity: z.string(),
    action: z.string(),
    severity: Severity,
    message: z.string(),
    enterpriseId: Id.nullable(),
    datacenterId: Id.nullable(),
    vmId: Id.nullable(),
    entityId: Id.nullable().describe('The id of what the event is about.'),
    operationId: Id.nullable(),
    errorCode: z.string().nullable(),
    principal: z.string().nullable().describe("Who did it: a token's name, or the backup system."),
    details: z.record(z.string(), z.unknown()),
    links: z.object({ self: z.string(), vm: z.string().optional(), operation: z.string().optional() }),
  })
  .meta({ id: 'Event' });

const Query = z.object({
  ...PAGE_QUERY,
  vmId: Id.optional(),
  operationId: Id.optional(),
  entity: Entity.optional(),
  action: z
    .string()
    .regex(/^[A-Z_]{1,60}$/, 'must be the name of an action, for example BACKUP_FINISH')
    .optional(),
  severity: Severity.optional(),
  enterpriseId: Id.optional(),
  datacenterId: Id.optional(),
});

const TAGS = ['Events'];
const SEES = requires('EVENTLOG_VIEW_ENTERPRISE', 'EVENTLOG_VIEW_ALL');

const list = createRoute({
  method: 'get',
  path: '/v1/events',
  operationId: 'listEvents',
  tags: TAGS,
  summary: 'Events, newest first',
  description: 'A tenant sees the events of its own enterprise.',
  security: BEARER,
  middleware: SEES,
  request: { query: Query },
  responses: { 200: json(pageOf(Event, 'EventPage'), 'A page.'), ...problems(...LIST_PROBLEMS) },
});

const read = createRoute({
  method: 'get',
  path: '/v1/events/{id}',
  operationId: 'readEvent',
  tags: TAGS,
  summary: 'One event',
  security: BEARER,
  middleware: SEES,
  request: { params: ID_PATH },
  responses: { 200: json(Event, 'The event.'), ...problems('NOT_FOUND') },
});

/** The routes of events. */
export function eventRoutes({ db }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const page = pageRequest(c, { limit, cursor }, filter);
      return c.json(
        pageAnswer(c, await listEvents(db, c.get('principal').enterpriseId, filter, page), toEvent, filter),
        200,
      );
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await eventById(db, c.get('principal').enterpriseId, id);
      if (row === undefined) throw notFound('event', id);
      return c.json(toEvent(row), 200);
    });
}

function toEvent(row: EventRow): z.infer<typeof Event> {
  return {
    id: row.id,
    at: iso(row.at),
    entity: row.entity,
    action: row.action,
    severity: row.severity,
    message: row.message,
    enterpriseId: row.enterprise_id,
    datacenterId: row.datacenter_id,
    vmId: row.vm_id,
    entityId: row.entity_id,
    operationId: row.operation_id,
    errorCode: row.error_code,
    principal: row.principal,
    details: row.details,
    links: {
      self: `/v1/events/${row.id}`,
      ...(row.vm_id === null ? {} : { vm: `/v1/virtual-machines/${row.vm_id}` }),
      ...(row.operation_id === null ? {} : { operation: `/v1/operations/${row.operation_id}` }),
    },
  };
}
