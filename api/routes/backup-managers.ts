/**
 * Backup managers. Saving one never contacts the backup system; `check` does.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import {
  deleteManager,
  insertManager,
  listManagers,
  managerById,
  managerForUpdate,
  newManagerId,
  updateManager,
} from '../../db/backup-managers.ts';
import { datacenterById } from '../../db/datacenters.ts';
import { HoldfastError } from '../../domain/errors.ts';
import { requires } from '../auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import {
  BackupManager,
  ChangedBackupManager,
  ManagerCheck,
  managerEvent,
  managerProblems,
  NewBackupManager,
  sealedCredentials,
  toManager,
} from '../documents/backup-manager.ts';
import { BEARER, ID_PATH, json, requiredBody } from '../fields.ts';
import { recordEvent } from '../../db/events.ts';
import { notFound } from '../not-found.ts';
import { PAGE_QUERY, pageAnswer, pageOf, pageRequest } from '../pages.ts';
import { BODY_PROBLEMS, LIST_PROBLEMS, problems } from '../problems.ts';
import { fieldProblem, invalidRequest, refuseProblems } from '../validation.ts';

const TAGS = ['Backup managers'];
const PRIVILEGE = requires('PHYS_DC_ALLOW_BACKUP_CONFIG');

const list = createRoute({
  method: 'get',
  path: '/v1/datacenters/{id}/backup-managers',
  operationId: 'listBackupManagers',
  tags: TAGS,
  summary: 'The backup managers of a datacenter',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH, query: z.object(PAGE_QUERY) },
  responses: {
    200: json(pageOf(BackupManager, 'BackupManagerPage'), 'A page.'),
    ...problems('NOT_FOUND', ...LIST_PROBLEMS),
  },
});

const create = createRoute({
  method: 'post',
  path: '/v1/datacenters/{id}/backup-managers',
  operationId: 'createBackupManager',
  tags: TAGS,
  summary: 'Create a backup manager',
  description: 'The backup system is not contacted: a wrong endpoint is accepted. Ask for a check afterwards.',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH, body: requiredBody(NewBackupManager) },
  responses: {
    201: json(BackupManager, 'Created.'),
    ...problems(...BODY_PROBLEMS, 'NOT_FOUND', 'BACKUP_MANAGER_ALREADY_EXISTS'),
  },
});

const read = createRoute({
  method: 'get',
  path: '/v1/backup-managers/{id}',
  operationId: 'readBackupManager',
  tags: TAGS,
  summary: 'One backup manager, without its credentials',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH },
  responses: { 200: json(BackupManager, 'The backup manager.'), ...problems('NOT_FOUND') },
});

const update = createRoute({
  method: 'put',
  path: '/v1/backup-managers/{id}',
  operationId: 'updateBackupManager',
  tags: TAGS,
  summary: 'Change a backup manager',
  description:
    'Replaces the document. Credentials that are left out stay as they are; null removes them where the plugin can do ' +
    'without. The type cannot change. Calls that begin from now on use the new values, also those of operations under way.',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH, body: requiredBody(ChangedBackupManager) },
  responses: {
    200: json(BackupManager, 'Changed.'),
    ...problems(...BODY_PROBLEMS, 'NOT_FOUND', 'BACKUP_MANAGER_TYPE_IMMUTABLE', 'BACKUP_MANAGER_ALREADY_EXISTS'),
  },
});

const remove = createRoute({
  method: 'delete',
  path: '/v1/backup-managers/{id}',
  operationId: 'deleteBackupManager',
  tags: TAGS,
  summary: 'Delete a backup manager that nothing belongs to',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH },
  responses: { 204: { description: 'Deleted.' }, ...problems('NOT_FOUND', 'BACKUP_MANAGER_IN_USE') },
});

const check = createRoute({
  method: 'post',
  path: '/v1/backup-managers/{id}/check',
  operationId: 'checkBackupManager',
  tags: TAGS,
  summary: 'Ask the backup system whether it can be used',
  description: 'Waits up to 10 s for the answer, which is stored as lastCheck. Changes nothing in the backup system.',
  security: BEARER,
  middleware: PRIVILEGE,
  request: { params: ID_PATH },
  responses: {
    200: json(ManagerCheck, 'What was found; reachable may be false.'),
    ...problems('NOT_FOUND', 'CHECK_TIMED_OUT', 'TEMPORAL_UNAVAILABLE'),
  },
});

/** The routes of backup managers. */
export function backupManagerRoutes({ db, operations, sealing }: ApiDependencies) {
  return newRoutes()
    .openapi(list, async (c) => {
      const { id } = c.req.valid('param');
      const page = pageRequest(c, c.req.valid('query'));
      if ((await datacenterById(db, id)) === undefined) throw notFound('datacenter', id);
      return c.json(pageAnswer(c, await listManagers(db, id, page), toManager), 200);
    })
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const { id: datacenterId } = c.req.valid('param');
      const body = c.req.valid('json');
      refuseProblems(managerProblems(body.type, body.endpoint, body.credentials != null));
      const row = await db.transaction().execute(async (trx) => {
        const datacenter = await datacenterById(trx, datacenterId);
        if (datacenter === undefined) throw notFound('datacenter', datacenterId);
        const id = await newManagerId(trx);
        const inserted = await insertManager(trx, {
          id,
          datacenter_id: datacenterId,
          type: body.type,
          name: body.name,
          endpoint: body.endpoint ?? null,
          tls: JSON.stringify(body.tls),
          max_concurrent_writes: body.maxConcurrentWrites,
          ...(body.credentials == null ? {} : sealedCredentials(sealing, id, body.credentials)),
        });
        await recordEvent(trx, managerEvent('CREATE', inserted, principal));
        return inserted;
      });
      return c.json(toManager(row), 201, { Location: `/v1/backup-managers/${row.id}` });
    })
    .openapi(read, async (c) => {
      const { id } = c.req.valid('param');
      const row = await managerById(db, id);
      if (row === undefined) throw notFound('backup manager', id);
      return c.json(toManager(row), 200);
    })
    .openapi(update, async (c) => {
      const principal = c.get('principal');
      const { id } = c.req.valid('param');
      const body = c.req.valid('json');
      const row = await db.transaction().execute(async (trx) => {
        const current = await managerForUpdate(trx, id);
        if (current === undefined) throw notFound('backup manager', id);
        if (body.type !== undefined && body.type !== current.type) throw typeImmutable(current.type);
        const kept = body.credentials === undefined && current.credentials_sealed !== null;
        if (kept && originOf(body.endpoint) !== originOf(current.endpoint)) throw credentialsWanted();
        refuseProblems(managerProblems(current.type, body.endpoint, kept || body.credentials != null));
        const changed = await updateManager(trx, id, {
          name: body.name,
          endpoint: body.endpoint ?? null,
          tls: JSON.stringify(body.tls),
          max_concurrent_writes: body.maxConcurrentWrites,
          ...(body.credentials === undefined ? {} : sealedCredentials(sealing, id, body.credentials)),
        });
        await recordEvent(trx, managerEvent('MODIFY', changed, principal));
        return changed;
      });
      return c.json(toManager(row), 200);
    })
    .openapi(remove, async (c) => {
      const principal = c.get('principal');
      const { id } = c.req.valid('param');
      await db.transaction().execute(async (trx) => {
        const current = await managerForUpdate(trx, id);
        if (current === undefined) throw notFound('backup manager', id);
        await deleteManager(trx, id);
        await recordEvent(trx, managerEvent('DELETE', current, principal));
      });
      return c.body(null, 204);
    })
    .openapi(check, async (c) => {
      const { id } = c.req.valid('param');
      if ((await managerById(db, id)) === undefined) throw notFound('backup manager', id);
      return c.json(await operations.checkManager(id), 200);
    });
}

/** Where credentials would be sent to. */
function originOf(endpoint: string | null | undefined): string | null {
  return endpoint == null ? null : (URL.parse(endpoint)?.origin ?? null);
}

/** Credentials are write-only: pointing the manager at another host must not send the stored ones there. */
function credentialsWanted(): HoldfastError {
  return invalidRequest([
    fieldProblem('/credentials', 'the endpoint is on another host: give the credentials for it again'),
  ]);
}

function typeImmutable(type: string): HoldfastError {
  const detail = `stays ${type}; create another backup manager for another type`;
  return new HoldfastError('BACKUP_MANAGER_TYPE_IMMUTABLE', `The type of a backup manager ${detail}.`, {}, [
    { pointer: '/type', detail, code: 'BACKUP_MANAGER_TYPE_IMMUTABLE' },
  ]);
}
