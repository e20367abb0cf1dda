/**
 * A VM's schedule in Avamar: for each backup of each policy a schedule, a retention, a dataset when disks are chosen,
 * and a group that joins them with the VM's client.
 * @module
 */
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import type { CallContext } from '../../calls.ts';
import type { ProtectedVm } from '../backup-system.ts';
import type { AvamarConfig } from './config.ts';
import {
  DATASETS,
  type Dataset,
  GROUPS,
  type Group,
  RETENTIONS,
  type Retention,
  SCHEDULES,
  type Schedule,
  wantedDataset,
  wantedGroup,
  wantedRetention,
  wantedSchedule,
} from './kinds.ts';
import { namePrefix } from './names.ts';
import { ensureThing, isThere, removeThing, thingsNamed } from './named-things.ts';
import { refused } from './refusal.ts';
import type { AvamarRest } from './rest.ts';
import { plannedBackups } from './schedule-mapping.ts';
import { diskFiles, vmClient, vmEntity } from './vm-client.ts';

/** What was made for one backup of a policy. */
const MadeGroup = z.object({
  groupId: z.string(),
  scheduleId: z.string(),
  retentionId: z.string(),
  /** `null`: the built-in dataset of all disks. */
  datasetId: z.string().nullable(),
  name: z.string(),
});
type MadeGroup = z.infer<typeof MadeGroup>;

/** Clients that a group lists and does not back up (swagger, `BackupGroupMemberDTO.joinType`). */
const NOT_MEMBERS: ReadonlySet<string> = new Set(['EXCLUDED', 'NOT_SELECTED']);

const Member = z.object({ cid: z.string(), memberJoinType: z.string().nullish() });

/**
 * Makes what Avamar holds for the VM be this schedule. The group, which makes it take effect, comes last for each
 * backup; what is no longer wanted goes after that.
 */
export async function applySchedule(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  schedule: BackupSchedule,
): Promise<ScheduleRef> {
  const plans = plannedBackups(config, vm.id, schedule);
  await refuseUnknownZones(rest, context, schedule);
  const entity = await vmEntity(rest, config, context, vm);
  // Refused before the first write: a disk that is not there must not roll a deploy back half-way.
  const files = new Map(plans.map((plan) => [plan, plan.disks === null ? undefined : diskFiles(entity, plan.disks)]));
  const client = await vmClient(rest, config, context, vm, entity);
  const prefix = namePrefix(config.marker, vm.id);
  const found = await everythingNamed(rest, context, prefix);
  const groups: MadeGroup[] = [];
  for (const [plan, chosenFiles] of files) {
    const times = wantedSchedule(config, plan);
    const { id: scheduleId } = await ensureThing(rest, context, SCHEDULES, found.schedules, times.json, times.same);
    const kept = wantedRetention(config, plan);
    const { id: retentionId } = await ensureThing(rest, context, RETENTIONS, found.retentions, kept.json, kept.same);
    let datasetId: string | null = null;
    if (chosenFiles !== undefined) {
      const chosen = wantedDataset(config, plan, client.pluginNumber, chosenFiles);
      ({ id: datasetId } = await ensureThing(rest, context, DATASETS, found.datasets, chosen.json, chosen.same));
    }
    const parts = { scheduleId, retentionId, datasetId: datasetId ?? config.imageDatasetId };
    const joined = wantedGroup(config, plan, parts, client.cid);
    const { id: groupId } = await ensureThing(
      rest,
      context,
      GROUPS,
      found.groups,
      joined.json,
      async (group) => joined.same(group) && isOnly(await membersOf(rest, context, group.id), client.cid),
    );
    await removeOtherMembers(rest, context, groupId, client.cid);
    groups.push({ groupId, scheduleId, retentionId, datasetId, name: plan.name });
  }
  await removeAll(rest, context, found, (id) => groups.some((made) => Object.values(made).includes(id)));
  return { vmRef: client.cid, groups };
}

/**
 * Removes what carries the marker and this VM's id. The client stays: its backups must remain restorable.
 * @throws ExternalSystemError `REFUSED` when a group of the reference is there under another name: it would go on
 * making backups, and without the marker it is not Holdfast's to remove.
 */
export async function removeSchedule(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  ref: ScheduleRef | undefined,
): Promise<void> {
  const found = await everythingNamed(rest, context, namePrefix(config.marker, vm.id));
  await removeAll(rest, context, found, () => false);
  const made = z.array(MadeGroup).safeParse(ref?.['groups']).data ?? [];
  for (const { groupId, name } of made) {
    if (found.groups.some((group) => group.id === groupId)) continue;
    if (await isThere(rest, context, GROUPS, groupId)) {
      throw refused(
        `the group ${name} of ${vm.name} was renamed in the backup system ${rest.manager.name} (its id is ${groupId}); ` +
          'give it its name back or remove it there',
      );
    }
  }
}

/** What is there under the VM's prefix. */
interface Found {
  readonly groups: readonly Group[];
  readonly schedules: readonly Schedule[];
  readonly retentions: readonly Retention[];
  readonly datasets: readonly Dataset[];
}

async function everythingNamed(rest: AvamarRest, context: CallContext, prefix: string): Promise<Found> {
  const [groups, schedules, retentions, datasets] = await Promise.all([
    thingsNamed(rest, context, GROUPS, prefix),
    thingsNamed(rest, context, SCHEDULES, prefix),
    thingsNamed(rest, context, RETENTIONS, prefix),
    thingsNamed(rest, context, DATASETS, prefix),
  ]);
  return { groups, schedules, retentions, datasets };
}

/** Groups go first: what they use cannot be removed before them. */
async function removeAll(
  rest: AvamarRest,
  context: CallContext,
  found: Found,
  isWanted: (id: string) => boolean,
): Promise<void> {
  for (const group of found.groups) if (!isWanted(group.id)) await removeThing(rest, context, GROUPS, group);
  for (const one of found.schedules) if (!isWanted(one.id)) await removeThing(rest, context, SCHEDULES, one);
  for (const one of found.retentions) if (!isWanted(one.id)) await removeThing(rest, context, RETENTIONS, one);
  for (const one of found.datasets) if (!isWanted(one.id)) await removeThing(rest, context, DATASETS, one);
}

async function membersOf(rest: AvamarRest, context: CallContext, groupId: string): Promise<string[]> {
  const members = new Set<string>();
  const path = `/groups/${encodeURIComponent(groupId)}/members`;
  for await (const { cid, memberJoinType } of rest.items(context, {
    path,
    purpose: 'list the members',
    item: Member,
  })) {
    if (!NOT_MEMBERS.has(memberJoinType?.toUpperCase() ?? '')) members.add(cid);
  }
  return [...members];
}

const isOnly = (members: readonly string[], cid: string): boolean => members.length === 1 && members[0] === cid;

/** An edit of a group names its members; whether it also drops those that it does not name is not documented. */
async function removeOtherMembers(rest: AvamarRest, context: CallContext, groupId: string, cid: string): Promise<void> {
  for (const other of await membersOf(rest, context, groupId)) {
    if (other === cid) continue;
    const path = `/clients/${encodeURIComponent(other)}/groups/remove`;
    const purpose = 'remove a client from the group';
    await rest.write(context, { method: 'POST', path, json: [groupId], purpose, answer: z.unknown() });
  }
}

async function refuseUnknownZones(rest: AvamarRest, context: CallContext, schedule: BackupSchedule): Promise<void> {
  const call = { method: 'GET', path: '/schedules/timezone-ids', purpose: 'list its time zones' } as const;
  const zones = new Set((await rest.read(context, { ...call, answer: z.array(z.string()) })).body);
  for (const { code, timeZone } of schedule.policies) {
    if (zones.has(timeZone)) continue;
    throw refused(`policy ${code}: the backup system ${rest.manager.name} does not know the timeZone ${timeZone}`);
  }
}
