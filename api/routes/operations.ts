/**
 * Operations: what was asked for, how far it is, how it ended.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { listOperations, operationView } from '../../db/operation-list.ts';
import { OPEN_STATES, OPERATION_KINDS, TERMINAL_STATES } from '../../domain/operations.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { Operation, OperationSummary, toOperation, toOperationSummary } from '../documents/operation.ts';
import { BEARER, ID_PATH, Id, json } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { LIST_PROBLEMS, problems } from '../problems.ts';

const TAGS = ['Operations'];

const Query = z.object({
  ...PAGE_QUERY,
  vmId: Id.optional(),
  kind: z.enum(OPERATION_KINDS).optional(),
  state: z
    .enum(['open', ...OPEN_STATES, ...TERMINAL_STATES])
    .optional()
    .describe('open: in any state that is not the end.'),
  enterpriseId: Id.optional(),
  datacenterId: Id.optional(),
  needsAttention: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
});

const list = createRoute({
  method: 'get',
  path: '/v1/operations',
  operationId: 'listOperations',
  tags: TAGS,
  summary: 'Operations, newest first, without their steps',
  security: BEARER,
  request: { query: Query },
  responses: { 200: json(pageOf(OperationSummary, 'OperationPage'), 'A page.'), ...problems(...LIST_PROBLEMS) },
});

const read = createRoute({
  method: 'get',
  path: '/v1/operations/{id}',
  operationId: 'readOperation',
  tags: TAGS,
  summary: 'One operation with its steps, its compensation and its residue',
  security: BEARER,
  request: { params: ID_PATH },
  responses: { 200: json(Operation, 'The operation.'), ...problems('NOT_FOUND') },
});

/** The routes of operations. */
export function operationRoutes({ db, config }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const page = pageRequest(c, { limit, cursor }, filter);
      const found = await listOperations(db, c.get('principal').enterpriseId, filter, page);
      return c.json(
        pageAnswer(c, found, (row) => toOperationSummary(row, config.temporal), filter),
        200,
      );
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await operationView(db, c.get('principal').enterpriseId, id);
      if (row === undefined) throw notFound('operation', id);
      return c.json(toOperation(row, config.temporal), 200);
    });
}
