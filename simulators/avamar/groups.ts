/**
 * `/api/v1/groups` and `/api/v1/groups/backup-groups`: what the administration calls policies (swagger, `BackupGroupDTO`, `Group`).
 * @module
 */
import { Hono } from 'hono';
import type { z } from 'zod';
import { fqdn } from './activity-engine.ts';
import type { AvamarEnv, Server } from './env.ts';
import { BackupGroupDTO, BackupGroupParam } from './group-dto.ts';
import { includedIn, membersOf } from './members.ts';
import { refuseDuplicate } from './named-objects.ts';
import { pluginOf } from './plugins.ts';
import { bodyOf, chosenFields, inAskedDomain, notFound, page } from './spring.ts';
import type { Group } from './state.ts';

/** `Group` of the swagger. It counts the members and does not list them: they are under `/groups/{id}/members`. */
export function groupView({ state }: Server, group: Group) {
  const { members: _members, ruleId, ...shown } = group;
  const rule = state.rules.get(String(ruleId));
  const dataset = state.datasets.get(group.datasetId);
  const schedule = state.schedules.get(group.scheduleId);
  const retention = state.retentions.get(group.retentionId);
  return {
    ...shown,
    type: 'REGULAR',
    memberType: 'NOT_SPECIFIED',
    memberCount: includedIn(state, group).length,
    reserved: false,
    ...(rule === undefined
      ? {}
      : {
          rule: fqdn(rule.domain, rule.name),
          ruleIdentifier: { lid: rule.id, name: rule.name, domain: rule.domain, fqName: fqdn(rule.domain, rule.name) },
        }),
    vcCid: state.vcenter().cid,
    datasetFqdn: dataset === undefined ? '' : fqdn(dataset.domain, dataset.name),
    scheduleFqdn: schedule === undefined ? '' : fqdn(schedule.domainFqdn, schedule.name),
    retentionFqdn: retention === undefined ? '' : fqdn(retention.domainFqdn, retention.name),
  };
}

export function groups(server: Server): Hono<AvamarEnv> {
  const { state, engine } = server;
  const need = (id: string): Group => {
    const group = state.groups.get(id);
    if (group === undefined) throw notFound('Group', id);
    return group;
  };
  // An edit without members leaves them as they are; with members it replaces them.
  const complete = (
    { domainFqdn, overrideSchedule, members, ...dto }: z.infer<typeof BackupGroupDTO>,
    id: string,
  ): Group => {
    if (state.datasets.get(dto.datasetId) === undefined) throw notFound('Dataset', dto.datasetId);
    if (state.schedules.get(dto.scheduleId) === undefined) throw notFound('Schedule', dto.scheduleId);
    if (state.retentions.get(dto.retentionId) === undefined) throw notFound('Retention', dto.retentionId);
    if (dto.ruleEnabled && state.rules.get(String(dto.ruleId)) === undefined)
      throw notFound('Rule', String(dto.ruleId));
    for (const { cid } of members ?? []) if (state.clients.get(cid) === undefined) throw notFound('Client', cid);
    return {
      ...dto,
      id,
      domain: domainFqdn,
      members: members ?? state.groups.get(id)?.members ?? [],
      skipNext: overrideSchedule === 'skipNext',
      runOnce: overrideSchedule === 'runOnce',
    };
  };
  const routes = new Hono<AvamarEnv>();

  routes.get('/', (c) => {
    const asked = state.groups.values().filter(({ domain }) => inAskedDomain(c, domain));
    return c.json(
      page(
        c,
        asked.map((group) => groupView(server, group)),
      ),
    );
  });
  routes.post('/backup-groups', async (c) => {
    const dto = await bodyOf(c, BackupGroupDTO);
    refuseDuplicate('Group', state.groups.values(), dto.name, dto.domainFqdn);
    const id = `${state.nextNumber()}:GID`;
    return c.json(groupView(server, state.groups.put(id, complete(dto, id))), 201);
  });
  routes.put('/backup-groups/:id', async (c) => {
    const { id } = need(c.req.param('id'));
    const dto = await bodyOf(c, BackupGroupDTO);
    refuseDuplicate('Group', state.groups.values(), dto.name, dto.domainFqdn, id);
    return c.json(groupView(server, state.groups.put(id, complete(dto, id))));
  });
  routes.put('/backup-groups/:id/toggle', (c) => {
    const group = need(c.req.param('id'));
    return c.json(groupView(server, state.groups.put(group.id, { ...group, enabled: !group.enabled })));
  });
  routes.post('/backup-groups/:id/backup', async (c) => {
    const group = need(c.req.param('id'));
    await bodyOf(c, BackupGroupParam);
    const results = includedIn(state, group).map((cid) => {
      const client = state.clients.get(cid);
      if (client === undefined || client.retired || !client.enabled) {
        const error = {
          code: 400,
          exception: 'ClientDisabledException',
          message: 'The client is disabled or retired.',
        };
        return { name: client?.name ?? cid, success: false, error };
      }
      const how = { user: c.var.caller.userName, pluginNumber: pluginOf(group, state), group };
      return { name: client.name, success: true, data: engine.backup(client, how).id };
    });
    return c.json(results);
  });
  routes.get('/:id', (c) => c.json(chosenFields(c, groupView(server, need(c.req.param('id'))))));
  routes.get('/:id/members', (c) => {
    const group = need(c.req.param('id'));
    const members = membersOf(state, group).map(({ cid, datasetId, joinType }) => {
      const client = state.clients.get(cid);
      return {
        cid,
        gid: group.id,
        name: client?.name ?? '',
        domain: client?.domainFqdn ?? '',
        datasetId: datasetId ?? group.datasetId,
        memberType: 'Virtual Machine',
        memberJoinType: joinType,
        plugins: [pluginOf(group, state)],
      };
    });
    return c.json(page(c, members));
  });
  routes.delete('/:id', (c) => {
    state.groups.delete(need(c.req.param('id')).id);
    return c.body(null, 204);
  });
  return routes;
}
