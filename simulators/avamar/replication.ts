/**
 * `/api/v1/replication`: what is copied to other servers, and when (swagger, `ReplicationGroupDTO`, `ReplicationGroup`).
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { destinations } from './destinations.ts';
import type { AvamarEnv, Server } from './env.ts';
import { SnapFlagDTO } from './flags.ts';
import { refuseDuplicate } from './named-objects.ts';
import { pluginName, REPLICATE } from './plugins.ts';
import { bodyOf, chosenFields, notFound, page, vendorEnum } from './spring.ts';
import type { ReplicationGroup } from './replication-state.ts';

const Unit = vendorEnum(['DAYS', 'WEEKS', 'MONTHS', 'YEARS']);
const Time = z.iso.datetime({ offset: true });
const Duration = z.number().int().positive();
const ReplicateBackupFilter = z.object({
  dateRestriction: vendorEnum(['NONE', 'WITHIN', 'RANGE']).optional(),
  within: Duration.optional(),
  durationUnit: Unit.optional(),
  after: Time.optional(),
  before: Time.optional(),
  maxBackupsPerClient: z.number().int().nonnegative().optional(),
  noTag: z.boolean().optional(),
  dailyTag: z.boolean().optional(),
  weeklyTag: z.boolean().optional(),
  monthlyTag: z.boolean().optional(),
  yearlyTag: z.boolean().optional(),
});
const ReplicationRetentionDTO = z.object({
  override: z.boolean().default(false),
  noTag: Duration.optional(),
  noTagUnit: Unit.optional(),
  dailyTag: Duration.optional(),
  dailyTagUnit: Unit.optional(),
  weeklyTag: Duration.optional(),
  weeklyTagUnit: Unit.optional(),
  monthlyTag: Duration.optional(),
  monthlyTagUnit: Unit.optional(),
  yearlyTag: Duration.optional(),
  yearlyTagUnit: Unit.optional(),
});
const ReplicationGroupDTO = z.object({
  name: z.string().min(1),
  destinationServerId: z.string(),
  scheduleId: z.string(),
  enabled: z.boolean().default(false),
  members: z.array(z.string()).optional(),
  allClients: z.boolean().default(false),
  allBackups: z.boolean().default(false),
  backupFilter: ReplicateBackupFilter.optional(),
  retention: ReplicationRetentionDTO.optional(),
  encryption: vendorEnum(['HIGH', 'MEDIUM', 'NONE']).default('HIGH'),
  orderingCriterion: vendorEnum(['OLDEST_TO_NEWEST', 'NEWEST_TO_OLDEST']).default('OLDEST_TO_NEWEST'),
  optimizeVsr: z.boolean().default(false),
  usePoolBased: z.boolean().default(false),
  replFlags: z.array(SnapFlagDTO).optional(),
  freeFlags: z.array(SnapFlagDTO).optional(),
});
type ReplicationGroupDTO = z.infer<typeof ReplicationGroupDTO>;

function replicationGroups({ state, engine }: Server): Hono<AvamarEnv> {
  const need = (id: string): ReplicationGroup => {
    const group = state.replicationGroups.get(id);
    if (group === undefined) throw notFound('Replication group', id);
    return group;
  };
  // An edit without members leaves them as they are, as with backup groups; without a retention, copies live as their backups.
  const put = (dto: ReplicationGroupDTO, id: string): ReplicationGroup => {
    const { retention, replFlags: _replFlags, freeFlags: _freeFlags, members, ...shown } = dto;
    if (state.destinations.get(dto.destinationServerId) === undefined) {
      throw notFound('Destination server', dto.destinationServerId);
    }
    if (state.schedules.get(dto.scheduleId) === undefined) throw notFound('Schedule', dto.scheduleId);
    for (const member of members ?? []) {
      const isKnown = state.clients.get(member) !== undefined || member === state.vcenter().cid;
      if (!isKnown) throw notFound('Member', member);
    }
    const known = state.replicationGroups.get(id);
    const retentionId = known?.retentionId ?? (retention === undefined ? undefined : `RP${state.nextNumber()}`);
    if (retentionId !== undefined) {
      state.retentions.put(retentionId, {
        override: false,
        ...retention,
        id: retentionId,
        name: `${dto.name} (replication)`,
        domainFqdn: '/',
        basicRetentionType: 'NO_EXPIRATION',
        policyType: 'REPLICATION',
        readOnly: true,
      });
    }
    return state.replicationGroups.put(id, { ...shown, id, members: members ?? known?.members ?? [], retentionId });
  };
  const view = (group: ReplicationGroup) => ({
    ...group,
    scheduleName: state.schedules.get(group.scheduleId)?.name,
  });
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => c.json(page(c, state.replicationGroups.values().map(view))));
  routes.post('/', async (c) => {
    const dto = await bodyOf(c, ReplicationGroupDTO);
    refuseDuplicate('Replication group', state.replicationGroups.values(), dto.name, '/');
    return c.json(view(put(dto, `${state.nextNumber()}:GID`)), 201);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, view(need(c.req.param('id'))))));
  routes.put('/:id', async (c) => {
    const { id } = need(c.req.param('id'));
    const dto = await bodyOf(c, ReplicationGroupDTO);
    refuseDuplicate('Replication group', state.replicationGroups.values(), dto.name, '/', id);
    return c.json(view(put(dto, id)));
  });
  routes.delete('/:id', (c) => {
    const { id, retentionId } = need(c.req.param('id'));
    state.replicationGroups.delete(id);
    if (retentionId !== undefined) state.retentions.delete(retentionId);
    return c.body(null, 204);
  });
  // One result for the group. It names no activity: clients of live servers look for it by plugin and group.
  routes.post('/:id/run', (c) => {
    const group = need(c.req.param('id'));
    if (engine.replicate(group, { user: c.var.caller.userName }) !== undefined) {
      return c.json([{ name: group.name, success: true }]);
    }
    const message = `Replication group ${group.name} is running.`;
    const error = { code: 400, exception: 'ReplicationRunningException', message };
    return c.json([{ name: group.name, success: false, error }]);
  });
  return routes;
}

export function replication(server: Server): Hono<AvamarEnv> {
  return new Hono<AvamarEnv>()
    .get('/plugins', (c) => c.json({ [REPLICATE]: pluginName(REPLICATE) }))
    .route('/destinations', destinations(server))
    .route('/groups', replicationGroups(server));
}
