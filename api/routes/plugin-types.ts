/**
 * What the kinds of backup systems and hypervisors can do.
 * @module
 */
import { createRoute } from '@hono/zod-openapi';
import { z } from 'zod';
import { BACKUP_PLUGIN_TYPES, HYPERVISOR_PLUGIN_TYPES } from '../../domain/plugin-types.ts';
import { BACKUP_TYPES, SUBTYPES } from '../../domain/policies.ts';
import { newRoutes } from '../context.ts';
import { BEARER, json } from '../fields.ts';
import { problems } from '../problems.ts';

const Constraint = z.enum(['MANDATORY', 'OPTIONAL', 'NOT_APPLICABLE']);

const BackupPlugin = z
  .object({
    type: z.string(),
    name: z.string(),
    versions: z.array(z.string()).readonly(),
    operations: z.object({
      configureOnDeploy: z.boolean(),
      configureOnReconfigure: z.boolean(),
      deconfigureOnUndeploy: z.boolean(),
      onDemandBackup: z.boolean(),
      restore: z.boolean(),
      listResults: z.boolean(),
      checkExpired: z.boolean(),
      cancel: z.boolean(),
      replication: z.boolean(),
    }),
    constraints: z.object({
      endpoint: Constraint,
      credentials: Constraint,
      types: z.array(z.enum(BACKUP_TYPES)).readonly(),
      subtypes: z.array(z.enum(SUBTYPES)).readonly(),
      diskSelection: z.boolean(),
      maxPoliciesPerVm: z.int().nullable(),
      maxBackupsPerPolicy: z.int().nullable(),
      restoreNeedsPowerOff: z.boolean(),
      restoresAsNewMachine: z.boolean(),
    }),
  })
  .meta({ id: 'BackupPluginType' });

const HypervisorPlugin = z
  .object({
    type: z.string(),
    name: z.string(),
    constraints: z.object({ endpoint: Constraint, credentials: Constraint }),
  })
  .meta({ id: 'HypervisorPluginType' });

const PluginTypes = z
  .object({ backupSystems: z.array(BackupPlugin).readonly(), hypervisors: z.array(HypervisorPlugin).readonly() })
  .meta({ id: 'PluginTypes' });

const list = createRoute({
  method: 'get',
  path: '/v1/plugin-types',
  operationId: 'listPluginTypes',
  tags: ['Plugin types'],
  summary: 'The kinds of backup systems and hypervisors, and what each can do',
  security: BEARER,
  responses: { 200: json(PluginTypes, 'All kinds.'), ...problems() },
});

/** The routes of plugin types. */
export function pluginTypeRoutes() {
  return newRoutes().openapi(list, (c) =>
    c.json({ backupSystems: BACKUP_PLUGIN_TYPES, hypervisors: HYPERVISOR_PLUGIN_TYPES }, 200),
  );
}
