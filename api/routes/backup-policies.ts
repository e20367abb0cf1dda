/**
 * Backup policies of a datacenter.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { managerOfDatacenter } from '../../db/backup-managers.ts';
import {
  deletePolicy,
  insertPolicy,
  listPolicies,
  policyById,
  policyForUpdate,
  policyOfCode,
  policyInUse,
  updatePolicy,
} from '../../db/backup-policies.ts';
import type { Queryable } from '../../db/connect.ts';
import { type DatacenterRow, datacenterById } from '../../db/datacenters.ts';
import { recordEvent } from '../../db/events.ts';
import { HoldfastError } from '../../domain/errors.ts';
import { backupPluginType } from '../../domain/plugin-types.ts';
import { policyProblems } from '../../domain/policy-rules.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import {
  BackupPolicy,
  NewBackupPolicy,
  policyColumns,
  policyEvent,
  scheduledChanges,
  toPolicy,
} from '../documents/backup-policy.ts';
import { BEARER, ID_PATH, json, requiredBody } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { BODY_PROBLEMS, LIST_PROBLEMS, POLICY_PROBLEMS, problems } from '../problems.ts';
import { refuseProblems } from '../validation.ts';

const TAGS = ['Backup policies'];
const MANAGES = requires('PHYS_DC_ALLOW_BACKUP_CONFIG');
const CHOOSES = requires('VAPP_MANAGE_BACKUP', 'PHYS_DC_ALLOW_BACKUP_CONFIG');

const list = createRoute({
  method: 'get',
  path: '/v1/datacenters/{id}/backup-policies',
  operationId: 'listBackupPolicies',
  tags: TAGS,
  summary: 'The backup policies of a datacenter',
  description: 'A tenant sees the policies that are allowed to it.',
  security: BEARER,
  middleware: CHOOSES,
  request: { params: ID_PATH, query: z.object(PAGE_QUERY) },
  responses: {
    200: json(pageOf(BackupPolicy, 'BackupPolicyPage'), 'A page.'),
    ...problems('NOT_FOUND', ...LIST_PROBLEMS),
  },
});

const create = createRoute({
  method: 'post',
  path: '/v1/datacenters/{id}/backup-policies',
  operationId: 'createBackupPolicy',
  tags: TAGS,
  summary: 'Create a backup policy',
  description:
    'What the backup system of its manager can never do is refused here. The new policy is allowed to no enterprise: a ' +
    'token that may create policies belongs to none. Allow it with PUT /v1/enterprises/{id}/backup-policies/{policyId}.',
  security: BEARER,
  middleware: MANAGES,
  request: { params: ID_PATH, body: requiredBody(NewBackupPolicy) },
  responses: {
    201: json(BackupPolicy, 'Created.'),
    ...problems(...BODY_PROBLEMS, ...POLICY_PROBLEMS, 'NOT_FOUND', 'BACKUP_DUPLICATED_CODE'),
  },
});

const read = createRoute({
  method: 'get',
  path: '/v1/backup-policies/{id}',
  operationId: 'readBackupPolicy',
  tags: TAGS,
  summary: 'One backup policy',
  security: BEARER,
  middleware: CHOOSES,
  request: { params: ID_PATH },
  responses: { 200: json(BackupPolicy, 'The policy.'), ...problems('NOT_FOUND') },
});

const update = createRoute({
  method: 'put',
  path: '/v1/backup-policies/{id}',
  operationId: 'updateBackupPolicy',
  tags: TAGS,
  summary: 'Change a backup policy',
  description:
    'Replaces the document. While a virtual machine uses the policy only name and description can change: the rest is ' +
    'what the backup system already does.',
  security: BEARER,
  middleware: MANAGES,
  request: { params: ID_PATH, body: requiredBody(NewBackupPolicy) },
  responses: {
    200: json(BackupPolicy, 'Changed.'),
    ...problems(
      ...BODY_PROBLEMS,
      ...POLICY_PROBLEMS,
      'NOT_FOUND',
      'BACKUP_DUPLICATED_CODE',
      'BACKUP_UPDATE_WITH_VIRTUAL_MACHINES',
    ),
  },
});

const remove = createRoute({
  method: 'delete',
  path: '/v1/backup-policies/{id}',
  operationId: 'deleteBackupPolicy',
  tags: TAGS,
  summary: 'Delete a backup policy that no virtual machine uses',
  security: BEARER,
  middleware: MANAGES,
  request: { params: ID_PATH },
  responses: { 204: { description: 'Deleted.' }, ...problems('NOT_FOUND', 'BACKUP_DELETE_WITH_VIRTUAL_MACHINES') },
});

/** The routes of backup policies. */
export function backupPolicyRoutes({ db }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const { id: datacenterId } = c.req.valid('param');
      const page = pageRequest(c, c.req.valid('query'));
      if ((await datacenterById(db, datacenterId)) === undefined) throw notFound('datacenter', datacenterId);
      const found = await listPolicies(db, { datacenterId, allowedTo: c.get('principal').enterpriseId }, page);
      return c.json(pageAnswer(c, found, toPolicy), 200);
    })
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const { id: datacenterId } = c.req.valid('param');
      const body = c.req.valid('json');
      const row = await db.transaction().execute(async (trx) => {
        const datacenter = await datacenterById(trx, datacenterId);
        if (datacenter === undefined) throw notFound('datacenter', datacenterId);
        await refuseUnservable(trx, datacenter, body);
        await refuseTakenCode(trx, datacenter, body.code);
        const columns = policyColumns(body, datacenter.time_zone);
        const inserted = await insertPolicy(trx, { ...columns, datacenter_id: datacenterId });
        await recordEvent(trx, policyEvent('CREATE', inserted, datacenter.name, principal));
        return inserted;
      });
      return c.json(toPolicy(row), 201, { Location: `/v1/backup-policies/${row.id}` });
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await policyById(db, c.get('principal').enterpriseId, id);
      if (row === undefined) throw notFound('backup policy', id);
      return c.json(toPolicy(row), 200);
    })
    .openapi(update, async (c) => {
      const principal = c.get('principal');
      const { id } = c.req.valid('param');
      const body = c.req.valid('json');
      const row = await db.transaction().execute(async (trx) => {
        const { policy, datacenter } = await lockedPolicy(trx, id);
        await refuseUnservable(trx, datacenter, body);
        const columns = policyColumns(body, datacenter.time_zone);
        const changes = scheduledChanges(policy, columns);
        if (changes.length > 0 && (await policyInUse(trx, id, null))) throw inUse(policy.code, changes);
        if (columns.code.toLowerCase() !== policy.code.toLowerCase())
          await refuseTakenCode(trx, datacenter, columns.code);
        const changed = await updatePolicy(trx, id, columns);
        await recordEvent(trx, policyEvent('MODIFY', changed, datacenter.name, principal));
        return changed;
      });
      return c.json(toPolicy(row), 200);
    })
    .openapi(remove, async (c) => {
      const principal = c.get('principal');
      const { id } = c.req.valid('param');
      await db.transaction().execute(async (trx) => {
        const { policy, datacenter } = await lockedPolicy(trx, id);
        if (await policyInUse(trx, id, null)) {
          throw new HoldfastError(
            'BACKUP_DELETE_WITH_VIRTUAL_MACHINES',
            `Virtual machines use policy ${policy.code}. Take it off them before you delete it.`,
          );
        }
        await deletePolicy(trx, id);
        await recordEvent(trx, policyEvent('DELETE', policy, datacenter.name, principal));
      });
      return c.body(null, 204);
    });
}

async function lockedPolicy(trx: Queryable, id: string) {
  const policy = await policyForUpdate(trx, id);
  const datacenter = policy === undefined ? undefined : await datacenterById(trx, policy.datacenter_id);
  if (policy === undefined || datacenter === undefined) throw notFound('backup policy', id);
  return { policy, datacenter };
}

/** Refuses what the manager of the policy could never do. */
async function refuseUnservable(
  trx: Queryable,
  datacenter: DatacenterRow,
  body: z.infer<typeof NewBackupPolicy>,
): Promise<void> {
  const manager = await managerOfDatacenter(trx, datacenter.id, body.managerId);
  const plugin = manager === undefined ? undefined : backupPluginType(manager.type);
  if (plugin === undefined) {
    const detail = `there is no such backup manager in ${datacenter.name}`;
    refuseProblems([{ pointer: '/managerId', detail, code: 'BACKUP_MANAGER_NOT_FOUND' }]);
    return;
  }
  refuseProblems(policyProblems(body, plugin));
}

/** @throws HoldfastError BACKUP_DUPLICATED_CODE */
async function refuseTakenCode(trx: Queryable, datacenter: DatacenterRow, code: string): Promise<void> {
  const taken = await policyOfCode(trx, datacenter.id, code);
  if (taken === undefined) return;
  throw new HoldfastError(
    'BACKUP_DUPLICATED_CODE',
    `${datacenter.name} has a backup policy with the code ${taken.code}; capital letters make no difference. Choose another one.`,
    {},
    [{ pointer: '/code', detail: 'is taken', code: 'BACKUP_DUPLICATED_CODE' }],
  );
}

function inUse(code: string, fields: readonly string[]): HoldfastError {
  return new HoldfastError(
    'BACKUP_UPDATE_WITH_VIRTUAL_MACHINES',
    `Virtual machines use policy ${code}: ${fields.join(', ')} cannot change. Create another policy and move them to it.`,
    {},
    fields.map((field) => ({
      pointer: `/${field}`,
      detail: 'cannot change while virtual machines use the policy',
      code: 'BACKUP_UPDATE_WITH_VIRTUAL_MACHINES',
    })),
  );
}
