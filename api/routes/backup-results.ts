/**
 * Backup results, and restores from them.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { listRestores, listResults, resultView } from '../../db/result-list.ts';
import { vmView } from '../../db/virtual-machine-list.ts';
import { ACCEPTED, accepted, IDEMPOTENCY_HEADERS, idempotencyOf } from '../accepted.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { BackupResult, Restore, ResultStatusFilter, toRestore, toResult } from '../documents/backup-result.ts';
import { BEARER, ID_PATH, Id, json, optionalBody } from '../fields.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { LIST_PROBLEMS, OPERATION_PROBLEMS, problems } from '../problems.ts';

const TAGS = ['Backups and restores'];
const SEES = requires('VAPP_MANAGE_BACKUP', 'VAPP_RESTORE_BACKUP');

const list = createRoute({
  method: 'get',
  path: '/v1/virtual-machines/{id}/backup-results',
  operationId: 'listBackupResults',
  tags: TAGS,
  summary: 'The backups of a virtual machine, failed ones too',
  security: BEARER,
  middleware: SEES,
  request: { params: ID_PATH, query: z.object({ ...PAGE_QUERY, status: ResultStatusFilter }) },
  responses: {
    200: json(pageOf(BackupResult, 'BackupResultPage'), 'A page.'),
    ...problems('NOT_FOUND', ...LIST_PROBLEMS),
  },
});

const read = createRoute({
  method: 'get',
  path: '/v1/backup-results/{id}',
  operationId: 'readBackupResult',
  tags: TAGS,
  summary: 'One backup with its copies',
  security: BEARER,
  middleware: SEES,
  request: { params: ID_PATH },
  responses: { 200: json(BackupResult, 'The backup.'), ...problems('BACKUP_RESTORE_NOT_FOUND', 'NOT_FOUND') },
});

const restores = createRoute({
  method: 'get',
  path: '/v1/backup-results/{id}/restores',
  operationId: 'listRestores',
  tags: TAGS,
  summary: 'The restores of a backup',
  security: BEARER,
  middleware: SEES,
  request: { params: ID_PATH, query: z.object(PAGE_QUERY) },
  responses: { 200: json(pageOf(Restore, 'RestorePage'), 'A page.'), ...problems('NOT_FOUND', ...LIST_PROBLEMS) },
});

const RestoreOptions = z
  .strictObject({
    copyId: Id.optional().describe(
      'May be left out: a copy that is listed is chosen, one that the last look showed before others, the local one first.',
    ),
  })
  .meta({ id: 'RestoreOptions' });

const restore = createRoute({
  method: 'post',
  path: '/v1/backup-results/{id}/restores',
  operationId: 'restoreBackup',
  tags: TAGS,
  summary: 'Restore a backup over its virtual machine',
  description: 'Overwrites the virtual machine. Where the backup system needs it, the virtual machine must be off.',
  security: BEARER,
  middleware: requires('VAPP_RESTORE_BACKUP'),
  request: { params: ID_PATH, headers: IDEMPOTENCY_HEADERS, body: optionalBody(RestoreOptions) },
  responses: {
    202: ACCEPTED,
    ...problems(
      ...OPERATION_PROBLEMS,
      'BACKUP_RESTORE_NOT_FOUND',
      'BACKUP_STATUS_FOR_RESTORE',
      'BACKUP_RESTORE_VM_MUST_BE_DEPLOYED',
      'BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF',
    ),
  },
});

/** The routes of backup results and restores. */
export function backupResultRoutes(dependencies: ApiDependencies) {
  const { db, operations } = dependencies;
  return newRoutes()
    .openapi(list, async (c) => {
      const tenant = c.get('principal').enterpriseId;
      const { id: vmId } = c.req.valid('param');
      const { limit, cursor, status } = c.req.valid('query');
      const page = pageRequest(c, { limit, cursor }, { status });
      if ((await vmView(db, tenant, vmId)) === undefined) throw notFound('virtual machine', vmId);
      return c.json(pageAnswer(c, await listResults(db, tenant, { vmId, status }, page), toResult, { status }), 200);
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await resultView(db, c.get('principal').enterpriseId, id);
      if (row === undefined) throw notFound('backup result', id);
      return c.json(toResult(row), 200);
    })
    .openapi(restores, async (c) => {
      const tenant = c.get('principal').enterpriseId;
      const { id } = c.req.valid('param');
      const page = pageRequest(c, c.req.valid('query'));
      if ((await resultView(db, tenant, id)) === undefined) throw notFound('backup result', id);
      return c.json(pageAnswer(c, await listRestores(db, tenant, id, page), toRestore), 200);
    })
    .openapi(restore, async (c) => {
      const body = c.req.valid('json');
      const route = `POST ${restore.path}`;
      const requested = await operations.restore({
        principal: c.get('principal'),
        resultId: c.req.valid('param').id,
        body,
        idempotency: idempotencyOf(c, c.req.valid('header')['idempotency-key'], route, body),
      });
      return await accepted(c, dependencies, requested);
    });
}
