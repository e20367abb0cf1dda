/**
 * Operations: what was asked for, how far it is, how it ended.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { listOperations, operationView } from '../../db/operation-list.ts';
import {
  kindSlug,
  OPEN_STATES,
  OPERATION_KINDS,
  type OperationKind,
  TERMINAL_STATES,
} from '../../domain/operations.ts';
import type { Principal, Privilege } from '../../domain/privileges.ts';
import { ACCEPTED, accepted, IDEMPOTENCY_HEADERS, idempotencyOf } from '../accepted.ts';
import { requirePrivilege, requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { Operation, OperationSummary, toOperation, toOperationSummary } from '../documents/operation.ts';
import { BEARER, ID_PATH, Id, json, NO_OPTIONS, optionalBody, requiredBody } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { BODY_PROBLEMS, LIST_PROBLEMS, OPERATION_PROBLEMS, problems } from '../problems.ts';

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

const CancelAnswer = z
  .object({
    decision: z
      .enum(['PREVENTED', 'ROLLING_BACK', 'TOO_LATE', 'CANCEL_NOT_SUPPORTED'])
      .describe(
        'PREVENTED: it had not begun, and has ended. ROLLING_BACK: what it has done is being undone. TOO_LATE: it goes on, or has ended. CANCEL_NOT_SUPPORTED: this cannot be stopped.',
      ),
    reason: z.string().describe('Why, in a sentence.'),
    operation: Operation,
  })
  .meta({ id: 'CancelAnswer' });

const cancel = createRoute({
  method: 'post',
  path: '/v1/operations/{id}/cancel',
  operationId: 'cancelOperation',
  tags: TAGS,
  summary: 'Cancel an operation where that can be done',
  description:
    'Needs VAPP_MANAGE; for a backup VAPP_MANAGE_BACKUP, for a restore VAPP_RESTORE_BACKUP. Asked again it answers the same. An operation is CANCELLED only when all that it had done was undone.',
  security: BEARER,
  request: { params: ID_PATH, body: optionalBody(NO_OPTIONS) },
  responses: {
    202: json(CancelAnswer, 'What becomes of the operation.'),
    ...problems(...BODY_PROBLEMS, 'NOT_FOUND'),
  },
});

const Settlement = z
  .strictObject({
    outcome: z.enum(['SUCCEEDED', 'FAILED']),
    reason: z
      .string()
      .min(1)
      .max(500)
      .regex(/\S/, 'must say something')
      .describe('What was found out, for those who ask later.'),
  })
  .meta({ id: 'NewSettlement' });

const settle = createRoute({
  method: 'post',
  path: '/v1/operations/{id}/settle',
  operationId: 'settleOperation',
  tags: TAGS,
  summary: 'Decide how an operation ends whose outcome nobody can find out',
  description:
    'For an operation in UNKNOWN_OUTCOME, or one that has been at the same step for over an hour. It ends as soon as nothing that it wrote can still take effect, within a minute.',
  security: BEARER,
  middleware: requires('OPERATION_SETTLE'),
  request: { params: ID_PATH, body: requiredBody(Settlement) },
  responses: {
    202: json(Operation, 'The operation, with its settlement.'),
    ...problems(...BODY_PROBLEMS, 'NOT_FOUND', 'OPERATION_ENDED', 'OPERATION_SETTLED', 'OPERATION_NOT_SETTLEABLE'),
  },
});

const retryCleanup = createRoute({
  method: 'post',
  path: '/v1/operations/{id}/retry-cleanup',
  operationId: 'retryCleanup',
  tags: TAGS,
  summary: 'Clear what an operation has left behind',
  description:
    'Begins an operation of kind CLEANUP. What the virtual machine owns by now, because it was deployed again, is left alone.',
  security: BEARER,
  middleware: requires('VAPP_MANAGE'),
  request: { params: ID_PATH, headers: IDEMPOTENCY_HEADERS, body: optionalBody(NO_OPTIONS) },
  responses: { 202: ACCEPTED, ...problems(...OPERATION_PROBLEMS, 'NOTHING_TO_CLEAN') },
});

/** What a cancel needs: the privilege that the operation itself needed. */
function privilegeToCancel(kind: OperationKind): Privilege {
  if (kind === 'BACKUP' || kind === 'SCHEDULED_BACKUP') return 'VAPP_MANAGE_BACKUP';
  return kind === 'RESTORE' ? 'VAPP_RESTORE_BACKUP' : 'VAPP_MANAGE';
}

/** The routes of operations. */
export function operationRoutes(dependencies: ApiDependencies) {
  const { db, operations, config } = dependencies;
  const found = async (principal: Principal, id: string) => {
    const row = await operationView(db, principal.enterpriseId, id);
    if (row === undefined) throw notFound('operation', id);
    return row;
  };
  return newRoutes()
    .openapi(list, async (c) => {
      const { limit, cursor, ...filter } = c.req.valid('query');
      const page = pageRequest(c, { limit, cursor }, filter);
      const listed = await listOperations(db, c.get('principal').enterpriseId, filter, page);
      return c.json(
        pageAnswer(c, listed, (row) => toOperationSummary(row, config.temporal), filter),
        200,
      );
    })
    .openapi(read, async (c) => {
      const row = await found(c.get('principal'), c.req.valid('param').id);
      return c.json(toOperation(row, config.temporal), 200);
    })
    .openapi(cancel, async (c) => {
      const { id } = c.req.valid('param');
      const principal = c.get('principal');
      const { kind } = await found(principal, id);
      requirePrivilege(principal, privilegeToCancel(kind), `to cancel a ${kindSlug(kind)}`);
      const answer = await operations.cancel({ principal, operationId: id });
      return c.json({ ...answer, operation: toOperation(await found(principal, id), config.temporal) }, 202);
    })
    .openapi(settle, async (c) => {
      const { id } = c.req.valid('param');
      const principal = c.get('principal');
      await operations.settle({ principal, operationId: id, body: c.req.valid('json') });
      return c.json(toOperation(await found(principal, id), config.temporal), 202);
    })
    .openapi(retryCleanup, async (c) => {
      const { id: operationId } = c.req.valid('param');
      const scope = `POST ${retryCleanup.path}`;
      const key = c.req.valid('header')['idempotency-key'];
      const idempotency = idempotencyOf(c, key, scope, c.req.valid('json'));
      const requested = await operations.retryCleanup({ principal: c.get('principal'), operationId, idempotency });
      return await accepted(c, dependencies, requested);
    });
}
