/**
 * Tokens of an enterprise.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { enterpriseById } from '../../db/enterprises.ts';
import { recordEvent } from '../../db/events.ts';
import { createToken, listTokens, revokeToken, type TokenRow } from '../../db/tokens.ts';
import { ROLES } from '../../domain/privileges.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { BEARER, ID_PATH, Id, iso, json, Moment, Name, requiredBody } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { BODY_PROBLEMS, LIST_PROBLEMS, problems } from '../problems.ts';

const Token = z
  .object({
    id: Id,
    name: z.string(),
    role: z.enum(ROLES),
    enterpriseId: Id.nullable(),
    createdAt: Moment,
    revokedAt: Moment.nullable(),
  })
  .meta({ id: 'Token' });

const CreatedToken = z
  .object({ ...Token.shape, token: z.string().describe('The token itself. It is shown this once.') })
  .meta({ id: 'CreatedToken' });

const NewToken = z.strictObject({ name: Name, role: z.enum(['ENTERPRISE_ADMIN', 'USER']) }).meta({ id: 'NewToken' });

const TAGS = ['Tokens'];
const PRIVILEGE = requires('ENTERPRISE_MANAGE');

const list = createRoute({
  method: 'get',
  path: '/v1/enterprises/{id}/tokens',
  operationId: 'listTokens',
  tags: TAGS,
  summary: 'The tokens of an enterprise, revoked ones too, without the tokens themselves',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH, query: z.object(PAGE_QUERY) },
  responses: { 200: json(pageOf(Token, 'TokenPage'), 'A page.'), ...problems('NOT_FOUND', ...LIST_PROBLEMS) },
});

const create = createRoute({
  method: 'post',
  path: '/v1/enterprises/{id}/tokens',
  operationId: 'createToken',
  tags: TAGS,
  summary: 'Create a token for an enterprise',
  description:
    'The token is in this answer and nowhere else. CLOUD_ADMIN and PLATFORM tokens are made at the command line.',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH, body: requiredBody(NewToken) },
  responses: { 201: json(CreatedToken, 'Created.'), ...problems(...BODY_PROBLEMS, 'NOT_FOUND') },
});

const revoke = createRoute({
  method: 'delete',
  path: '/v1/enterprises/{id}/tokens/{tokenId}',
  operationId: 'revokeToken',
  tags: TAGS,
  summary: 'Revoke a token, at once and for good',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: z.object({ id: Id, tokenId: Id }) },
  responses: { 204: { description: 'Revoked.' }, ...problems('NOT_FOUND') },
});

/** The routes of tokens. */
export function tokenRoutes({ db }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const { id } = c.req.valid('param');
      const page = pageRequest(c, c.req.valid('query'));
      if ((await enterpriseById(db, c.get('principal').enterpriseId, id)) === undefined)
        throw notFound('enterprise', id);
      return c.json(pageAnswer(c, await listTokens(db, id, page), toToken), 200);
    })
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const { id } = c.req.valid('param');
      const { name, role } = c.req.valid('json');
      const created = await db.transaction().execute(async (trx) => {
        const enterprise = await enterpriseById(trx, principal.enterpriseId, id);
        if (enterprise === undefined) throw notFound('enterprise', id);
        const inserted = await createToken(trx, { name, role, enterpriseId: id });
        await recordEvent(trx, {
          entity: 'TOKEN',
          action: 'CREATE',
          severity: 'INFO',
          message: `Token ${name} (${role}) of ${enterprise.name} was created by ${principal.name}.`,
          enterpriseId: id,
          entityId: inserted.row.id,
          principal: principal.name,
        });
        return inserted;
      });
      return c.json({ ...toToken(created.row), token: created.token }, 201);
    })
    .openapi(revoke, async (c) => {
      const principal = c.get('principal');
      const { id, tokenId } = c.req.valid('param');
      await db.transaction().execute(async (trx) => {
        const enterprise = await enterpriseById(trx, principal.enterpriseId, id);
        const revoked = enterprise === undefined ? undefined : await revokeToken(trx, tokenId, id);
        if (enterprise === undefined || revoked === undefined) throw notFound('valid token', tokenId);
        await recordEvent(trx, {
          entity: 'TOKEN',
          action: 'REVOKE',
          severity: 'INFO',
          message: `Token ${revoked.name} (${revoked.role}) of ${enterprise.name} was revoked by ${principal.name}.`,
          enterpriseId: id,
          entityId: tokenId,
          principal: principal.name,
        });
      });
      return c.body(null, 204);
    });
}

function toToken(row: TokenRow): z.infer<typeof Token> {
  return {
    id: row.id,
    name: row.name,
    role: row.role,
    enterpriseId: row.enterprise_id,
    createdAt: iso(row.created_at),
    revokedAt: iso(row.revoked_at),
  };
}
