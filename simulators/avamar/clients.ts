/**
 * `/api/v1/clients`: the machines under protection, their groups, on-demand backups and retirement.
 * @module
 */
import { Hono } from 'hono';
import { z } from 'zod';
import { backups } from './backups.ts';
import { nextRun } from './calendar.ts';
import { clientView, needClient } from './client-view.ts';
import { ClientChange, OnDemandBackup, Retirement } from './client-dto.ts';
import { copiesOf, deleteCopy, putCopy } from './copies.ts';
import { diskFile } from './entities.ts';
import type { AvamarEnv, Server } from './env.ts';
import { groupView } from './groups.ts';
import { includedIn } from './members.ts';
import { pluginOf } from './plugins.ts';
import { clientsOf } from './replication-choice.ts';
import { AvamarError, bodyOf, chosenFields, dateTime, inAskedDomain, notFound, page } from './spring.ts';
import { type Client, type Group, morefOf } from './state.ts';

const RETIRED_DOMAIN = '/MC_RETIRED';

const GroupIds = z.array(z.string());

// Targets that name disk files of the machine choose these disks; anything else, such as a dataset's target, means all.
function chosenDisks(
  client: Client,
  targets: z.infer<typeof OnDemandBackup>['targets'],
  labels: string[],
): string[] | undefined {
  const files = new Set(targets.flatMap(({ name, disks = [] }) => [name, ...disks.map(({ diskPath }) => diskPath)]));
  const chosen = labels.filter((label) => files.has(diskFile(client.vmName, label)));
  return chosen.length === 0 ? undefined : chosen;
}

export function clients(server: Server): Hono<AvamarEnv> {
  const { state, engine, clock, link } = server;
  const need = (cid: string) => needClient(server, cid);
  const isMember = (group: Group, cid: string): boolean => includedIn(state, group).includes(cid);
  const able = (client: Client): Client => {
    if (client.retired || !client.enabled) throw new AvamarError(400, `Client ${client.name} is disabled or retired.`);
    return client;
  };
  const needGroups = (ids: string[]): Group[] =>
    ids.map((id) => {
      const group = state.groups.get(id);
      if (group === undefined) throw notFound('Group', id);
      return group;
    });
  const leave = (client: Client, groups: Group[]): void => {
    for (const group of groups) {
      if (!group.members.some(({ cid }) => cid === client.id)) continue;
      state.groups.put(group.id, { ...group, members: group.members.filter(({ cid }) => cid !== client.id) });
    }
  };
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const asked = state.clients.values().filter(({ domainFqdn }) => inAskedDomain(c, domainFqdn));
    return c.json(
      page(
        c,
        asked.map((client) => clientView(server, client)),
      ),
    );
  });
  routes.get('/:cid', (c) => c.json(chosenFields(c, clientView(server, need(c.req.param('cid'))))));
  routes.put('/:cid', async (c) => {
    const client = need(c.req.param('cid'));
    const { name, enabled, cbtEnabled, retentionId } = await bodyOf(c, ClientChange);
    const changed: Client = {
      ...client,
      name: name ?? client.name,
      enabled: enabled ?? client.enabled,
      cbtEnabled: cbtEnabled ?? client.cbtEnabled,
      ...(retentionId === undefined ? {} : { retentionId }),
    };
    return c.json(clientView(server, state.clients.put(client.id, changed)));
  });
  routes.delete('/:cid', (c) => {
    const client = need(c.req.param('cid'));
    leave(client, state.groups.values());
    for (const backup of state.backups.values()) {
      if (backup.cid === client.id) state.backups.delete(`${client.id}/${backup.labelNumber}`);
    }
    for (const copy of copiesOf(state, client.id, clock.now())) deleteCopy(state, copy);
    state.clients.delete(client.id);
    return c.body(null, 204);
  });

  routes.get('/:cid/groups', (c) => {
    const client = need(c.req.param('cid'));
    const groups = state.groups.values().filter((group) => isMember(group, client.id));
    return c.json(
      page(
        c,
        groups.map((group) => groupView(server, group)),
      ),
    );
  });
  routes.post('/:cid/groups/add', async (c) => {
    const client = able(need(c.req.param('cid')));
    for (const group of needGroups(await bodyOf(c, GroupIds))) {
      if (isMember(group, client.id)) continue;
      const others = group.members.filter(({ cid }) => cid !== client.id);
      state.groups.put(group.id, { ...group, members: [...others, { cid: client.id, joinType: 'INCLUDED_BY_USER' }] });
    }
    return c.body(null, 204);
  });
  routes.post('/:cid/groups/remove', async (c) => {
    const client = need(c.req.param('cid'));
    leave(client, needGroups(await bodyOf(c, GroupIds)));
    return c.body(null, 204);
  });

  routes.post('/:cid/backup', async (c) => {
    const client = able(need(c.req.param('cid')));
    const { targets, expireTime } = await bodyOf(c, OnDemandBackup);
    const machine = await link.machine(morefOf(client.entityId));
    const disks = chosenDisks(client, targets, machine?.disks.map(({ label }) => label) ?? []);
    const activity = engine.backup(client, {
      user: c.var.caller.userName,
      pluginNumber: targets[0]?.pluginNumber ?? 0,
      ...(expireTime === undefined ? {} : { expireTime }),
      ...(disks === undefined ? {} : { disks }),
    });
    return c.json([activity.id]);
  });
  routes.post('/:cid/groups/:groupId/backup', (c) => {
    const client = able(need(c.req.param('cid')));
    const [group] = needGroups([c.req.param('groupId')]) as [Group];
    if (!isMember(group, client.id)) throw new AvamarError(400, `${client.name} is not a member of ${group.name}.`);
    const how = { user: c.var.caller.userName, pluginNumber: pluginOf(group, state), group };
    return c.json([engine.backup(client, how).id]);
  });
  routes.get('/:cid/activity-is-running', (c) =>
    c.body(null, engine.isRunning(need(c.req.param('cid')).id) ? 200 : 204),
  );
  routes.get('/:cid/member-of-replication-group', (c) => {
    const client = need(c.req.param('cid'));
    const isMember = state.replicationGroups.values().some((group) => clientsOf(state, group).includes(client));
    return c.body(null, isMember ? 200 : 204);
  });
  routes.get('/:cid/backup-statistics', (c) => {
    const client = need(c.req.param('cid'));
    const groups = state.groups.values().filter((group) => group.enabled && isMember(group, client.id));
    const runs = groups
      .map((group) => state.schedules.get(group.scheduleId))
      .map((schedule) => (schedule === undefined ? undefined : nextRun(schedule, clock.now())))
      .filter((at) => at !== undefined);
    const own = state.activities.values().filter(({ cid, kind }) => cid === client.id && kind === 'backup');
    const newest = state.backups.get(`${client.id}/${client.lastLabelNumber}`);
    return c.json({
      cid: client.id,
      backupPolicies: groups.length,
      jobs: own.length,
      totalBackups: client.lastLabelNumber,
      backupCount: client.lastLabelNumber,
      failedBackupCount: own.filter(({ finished, labelNumber }) => finished !== undefined && labelNumber === undefined)
        .length,
      ...(newest === undefined
        ? {}
        : { lastBackupTime: dateTime(newest.creationTime), lastProtectedSize: newest.sizeBytes }),
      ...(runs.length === 0 ? {} : { nextBackupTime: dateTime(Math.min(...runs)) }),
    });
  });
  routes.post('/:cid/retire', async (c) => {
    const client = need(c.req.param('cid'));
    const { localBackupExpirationTime, remoteBackupExpirationTime } = await bodyOf(c, Retirement);
    leave(client, state.groups.values());
    state.clients.put(client.id, { ...client, retired: true, enabled: false, domainFqdn: RETIRED_DOMAIN });
    if (localBackupExpirationTime !== undefined) {
      for (const backup of state.backups.values()) {
        if (backup.cid !== client.id) continue;
        const expirationTime = Date.parse(localBackupExpirationTime);
        state.backups.put(`${client.id}/${backup.labelNumber}`, { ...backup, expirationTime });
      }
    }
    if (remoteBackupExpirationTime !== undefined) {
      const expirationTime = Date.parse(remoteBackupExpirationTime);
      for (const copy of copiesOf(state, client.id, clock.now())) putCopy(state, { ...copy, expirationTime });
    }
    return c.body(null, 200);
  });
  routes.route('/:cid/backups', backups(server));
  return routes;
}
