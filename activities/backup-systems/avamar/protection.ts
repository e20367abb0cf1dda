/**
 * A VM's schedule in Avamar. A policy that leaves everything to Avamar is served by the administrator's group of its
 * code, which the VM's client joins; for each backup of any other a group of the VM's own is made.
 * @module
 */
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import type { CallContext, NamingContext } from '../../calls.ts';
import type { ProtectedVm } from '../backup-system.ts';
import type { AvamarConfig } from './config.ts';
import { GROUPS } from './kinds.ts';
import { joinGroups, leaveGroups, ownMemberships } from './memberships.ts';
import { namePrefix } from './names.ts';
import { thingById } from './named-things.ts';
import { byTime, rememberedOneOffs } from './one-off.ts';
import { ensureGroup, everythingNamed, MadeGroup, removeAll } from './own-groups.ts';
import { refused } from './refusal.ts';
import { applyReplication, madeReplication, removeReplication } from './replication-groups.ts';
import { plannedReplication } from './replication-target.ts';
import type { AvamarRest } from './rest.ts';
import { type PlannedBackup, plannedBackups, refuseOtherTypes } from './schedule-mapping.ts';
import { leavesAll, standingGroup } from './standing-groups.ts';
import { diskFiles, vmClient, vmEntity } from './vm-client.ts';

/**
 * Makes what Avamar holds for the VM be this schedule. What is wanted comes first, each group last of what it uses; what
 * is no longer wanted goes after that.
 */
export async function applySchedule(
  rest: AvamarRest,
  config: AvamarConfig,
  context: NamingContext,
  vm: ProtectedVm,
  schedule: BackupSchedule,
  previous: ScheduleRef | undefined,
): Promise<ScheduleRef> {
  // Refused before the first write: what cannot be must not roll a deploy back half-way.
  const { standing, planned } = await servedBy(rest, config, context, vm, schedule, previous);
  const zoned = await knownZones(rest, context, planned);
  const isCopied = schedule.policies.some(({ replication }) => replication);
  const replication = isCopied ? await plannedReplication(rest, config, context) : undefined;
  const { toCome: plans, beginning } = await byTime(rest, context, vm, zoned, previous);
  const entity = await vmEntity(rest, config, context, vm);
  const files = new Map(plans.map((plan) => [plan, plan.disks === null ? undefined : diskFiles(entity, plan.disks)]));
  const client = await vmClient(rest, config, context, vm, entity);

  const own = await ownMemberships(config, context, vm.id, previous);
  const member = { vmId: vm.id, cid: client.cid, name: vm.name };
  const joined = await joinGroups(rest, config, context, member, standing, own);
  const found = await everythingNamed(rest, context, namePrefix(config.marker, vm.id));
  const groups: MadeGroup[] = [];
  const policies = new Map(standing.map(({ groupId, policyId }) => [groupId, policyId]));
  for (const plan of plans) {
    const made = await ensureGroup(rest, config, context, plan, client, files.get(plan), found);
    groups.push(made);
    policies.set(made.groupId, plan.policyId);
  }

  const left = new Map(beginning.map(({ name, policyId }) => [name, policyId]));
  for (const { id, name } of found.groups) {
    const policyId = left.get(name);
    if (policyId !== undefined) policies.set(id, policyId);
  }
  const used = new Set(groups.flatMap((made) => Object.values(made)));
  await removeAll(rest, context, found, ({ id, name }) => used.has(id) || left.has(name));
  await leaveGroups(rest, config, context, vm.id, own, joined);
  const copied = { id: vm.id, name: vm.name, cid: client.cid };
  return {
    vmRef: client.cid,
    replication: await applyReplication(rest, config, context, copied, replication, madeReplication(previous)),
    groups,
    joined,
    once: rememberedOneOffs(planned, previous),
    policies: Object.fromEntries(policies),
  };
}

/**
 * Removes what carries the marker and this VM's id, and takes the client out of the groups that it was put into. The
 * client stays: its backups must remain restorable.
 * @throws ExternalSystemError `REFUSED` when a group of the reference is there under another name: it would go on
 * making backups, and without the marker it is not Holdfast's to remove.
 */
export async function removeSchedule(
  rest: AvamarRest,
  config: AvamarConfig,
  context: NamingContext,
  vm: ProtectedVm,
  ref: ScheduleRef | undefined,
): Promise<void> {
  const found = await everythingNamed(rest, context, namePrefix(config.marker, vm.id));
  await removeAll(rest, context, found, () => false);
  await leaveGroups(rest, config, context, vm.id, await ownMemberships(config, context, vm.id, ref), []);
  await removeReplication(rest, config, context, vm, madeReplication(ref));
  const made = z.array(MadeGroup).safeParse(ref?.['groups']).data ?? [];
  for (const { groupId, name } of made) {
    if (found.groups.some((group) => group.id === groupId)) continue;
    if ((await thingById(rest, context, GROUPS, groupId)) !== undefined) {
      throw refused(
        `the group ${name} of ${vm.name} was renamed in the backup system ${rest.manager.name} (its id is ${groupId}); ` +
          'give it its name back or remove it there',
      );
    }
  }
}

/** An administrator's group that serves a policy. */
interface Standing {
  readonly policyId: string;
  readonly code: string;
  readonly groupId: string;
}

/** What each policy is served by: an administrator's group, or backups of the VM's own. */
async function servedBy(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  schedule: BackupSchedule,
  previous: ScheduleRef | undefined,
): Promise<{ readonly standing: readonly Standing[]; readonly planned: readonly PlannedBackup[] }> {
  const standing: Standing[] = [];
  const planned: PlannedBackup[] = [];
  for (const policy of schedule.policies) {
    for (const backup of policy.backups) refuseOtherTypes(policy, backup);
    const group = leavesAll(policy) ? await standingGroup(rest, config, context, policy, previous) : undefined;
    if (group === undefined) planned.push(...plannedBackups(config, vm.id, policy));
    else standing.push({ policyId: policy.policyId, code: policy.code, groupId: group.id });
  }
  return { standing, planned };
}

/**
 * The plans with their zones as the server spells them.
 * @throws ExternalSystemError `REFUSED` for a zone that it does not know.
 */
async function knownZones(
  rest: AvamarRest,
  context: CallContext,
  plans: readonly PlannedBackup[],
): Promise<PlannedBackup[]> {
  if (plans.length === 0) return [];
  const call = { method: 'GET', path: '/schedules/timezone-ids', purpose: 'list its time zones' } as const;
  const { body } = await rest.read(context, { ...call, answer: z.array(z.string()) });
  const zones = new Map(body.map((zone) => [zone.toLowerCase(), zone]));
  return plans.map((plan) => {
    const timeZoneId = zones.get(plan.timeZoneId.toLowerCase());
    if (timeZoneId !== undefined) return { ...plan, timeZoneId };
    throw refused(
      `policy ${plan.policyCode}: the backup system ${rest.manager.name} does not know the timeZone ${plan.timeZoneId}`,
    );
  });
}
