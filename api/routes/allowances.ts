/**
 * Which backup policies an enterprise may use.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import {
  type BackupPolicyRow,
  allowPolicy,
  listPolicies,
  policyForUpdate,
  policyInUse,
  restrictPolicy,
} from '../../db/backup-policies.ts';
import type { Queryable } from '../../db/connect.ts';
import { type EnterpriseRow, enterpriseById } from '../../db/enterprises.ts';
import { recordEvent } from '../../db/events.ts';
import { HoldfastError } from '../../domain/errors.ts';
import type { NewEvent } from '../../domain/events.ts';
import type { Principal } from '../../domain/privileges.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { BackupPolicy, toPolicy } from '../documents/backup-policy.ts';
import { BEARER, ID_PATH, Id, json } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { LIST_PROBLEMS, problems } from '../problems.ts';

const TAGS = ['Backup policies'];
const MANAGES = requires('PHYS_DC_ALLOW_BACKUP_CONFIG');

const list = createRoute({
  method: 'get',
  path: '/v1/enterprises/{id}/backup-policies',
  operationId: 'listAllowedBackupPolicies',
  tags: TAGS,
  summary: 'The backup policies that an enterprise may use',
  security: BEARER,
  middleware: requires('VAPP_MANAGE_BACKUP', 'PHYS_DC_ALLOW_BACKUP_CONFIG'),
  request: {
    params: ID_PATH,
    query: z.object({ ...PAGE_QUERY, datacenterId: Id.optional().describe('Only those of this datacenter.') }),
  },
  responses: {
    200: json(pageOf(BackupPolicy, 'AllowedBackupPolicyPage'), 'A page.'),
    ...problems('NOT_FOUND', ...LIST_PROBLEMS),
  },
});

const PATH = z.object({ id: Id, policyId: Id });

const allow = createRoute({
  method: 'put',
  path: '/v1/enterprises/{id}/backup-policies/{policyId}',
  operationId: 'allowBackupPolicy',
  tags: TAGS,
  summary: 'Allow a backup policy to an enterprise',
  security: BEARER,
  middleware: MANAGES,
  request: { params: PATH },
  responses: { 204: { description: 'Allowed, now or before.' }, ...problems('NOT_FOUND') },
});

const restrict = createRoute({
  method: 'delete',
  path: '/v1/enterprises/{id}/backup-policies/{policyId}',
  operationId: 'restrictBackupPolicy',
  tags: TAGS,
  summary: 'Take a backup policy away from an enterprise',
  security: BEARER,
  middleware: MANAGES,
  request: { params: PATH },
  responses: {
    204: { description: 'The enterprise may no longer use it.' },
    ...problems('NOT_FOUND', 'BACKUP_POLICY_CANNOT_BE_RESTRICTED'),
  },
});

/** The routes that allow and restrict policies. */
export function allowanceRoutes({ db }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const { id } = c.req.valid('param');
      const { datacenterId, ...query } = c.req.valid('query');
      const page = pageRequest(c, query, { datacenterId });
      if ((await enterpriseById(db, c.get('principal').enterpriseId, id)) === undefined)
        throw notFound('enterprise', id);
      const found = await listPolicies(db, { datacenterId, allowedTo: id }, page);
      return c.json(pageAnswer(c, found, toPolicy, { datacenterId }), 200);
    })
    .openapi(allow, async (c) => {
      const principal = c.get('principal');
      const path = c.req.valid('param');
      await db.transaction().execute(async (trx) => {
        const { enterprise, policy } = await both(trx, principal, path);
        if (!(await allowPolicy(trx, enterprise.id, policy.id))) return;
        await recordEvent(trx, allowanceEvent('ALLOW', enterprise, policy, principal));
      });
      return c.body(null, 204);
    })
    .openapi(restrict, async (c) => {
      const principal = c.get('principal');
      const path = c.req.valid('param');
      await db.transaction().execute(async (trx) => {
        const { enterprise, policy } = await both(trx, principal, path);
        if (await policyInUse(trx, policy.id, enterprise.id)) {
          throw new HoldfastError(
            'BACKUP_POLICY_CANNOT_BE_RESTRICTED',
            `Virtual machines of ${enterprise.name} use policy ${policy.code}. Take it off them first.`,
          );
        }
        if (!(await restrictPolicy(trx, enterprise.id, policy.id))) throw notFound('allowance of policy', policy.id);
        await recordEvent(trx, allowanceEvent('RESTRICT', enterprise, policy, principal));
      });
      return c.body(null, 204);
    });
}

async function both(trx: Queryable, principal: Principal, path: z.infer<typeof PATH>) {
  const enterprise = await enterpriseById(trx, principal.enterpriseId, path.id);
  if (enterprise === undefined) throw notFound('enterprise', path.id);
  const policy = await policyForUpdate(trx, path.policyId);
  if (policy === undefined) throw notFound('backup policy', path.policyId);
  return { enterprise, policy };
}

function allowanceEvent(
  action: 'ALLOW' | 'RESTRICT',
  enterprise: EnterpriseRow,
  policy: BackupPolicyRow,
  principal: Principal,
): NewEvent {
  const what = action === 'ALLOW' ? 'allowed to' : 'taken away from';
  return {
    entity: 'BACKUP_POLICY',
    action,
    severity: 'INFO',
    message: `Backup policy ${policy.name} (${policy.code}) was ${what} ${enterprise.name} by ${principal.name}.`,
    enterpriseId: enterprise.id,
    datacenterId: policy.datacenter_id,
    entityId: policy.id,
    principal: principal.name,
  };
}
