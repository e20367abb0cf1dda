/**
 * What is made for one VM alone: for each backup of its policies a schedule, a retention, a dataset when disks are
 * chosen, and a group that joins them with the VM's client.
 * @module
 */
import { z } from 'zod';
import type { CallContext } from '../../calls.ts';
import type { AvamarConfig } from './config.ts';
import {
  DATASETS,
  type Dataset,
  GROUPS,
  type Group,
  makesBackups,
  RETENTIONS,
  type Retention,
  SCHEDULES,
  type Schedule,
  wantedDataset,
  wantedGroup,
  wantedRetention,
  wantedSchedule,
} from './kinds.ts';
import { ensureThing, type Named, removeThing, thingsNamed } from './named-things.ts';
import type { AvamarRest } from './rest.ts';
import type { PlannedBackup } from './schedule-mapping.ts';

/** What was made for one backup of a policy. */
export const MadeGroup = z.object({
  groupId: z.string(),
  scheduleId: z.string(),
  retentionId: z.string(),
  /** `null`: the built-in dataset of all disks. */
  datasetId: z.string().nullable(),
  name: z.string(),
});
export type MadeGroup = z.infer<typeof MadeGroup>;

/** Clients that a group lists and does not back up (swagger, `BackupGroupMemberDTO.joinType`). */
const NOT_MEMBERS: ReadonlySet<string> = new Set(['EXCLUDED', 'NOT_SELECTED']);

const Member = z.object({ cid: z.string(), memberJoinType: z.string().nullish() });

/** What is there under the VM's prefix. */
export interface Found {
  readonly groups: readonly Group[];
  readonly schedules: readonly Schedule[];
  readonly retentions: readonly Retention[];
  readonly datasets: readonly Dataset[];
}

export async function everythingNamed(rest: AvamarRest, context: CallContext, prefix: string): Promise<Found> {
  const [groups, schedules, retentions, datasets] = await Promise.all([
    thingsNamed(rest, context, GROUPS, prefix),
    thingsNamed(rest, context, SCHEDULES, prefix),
    thingsNamed(rest, context, RETENTIONS, prefix),
    thingsNamed(rest, context, DATASETS, prefix),
  ]);
  return { groups: groups.filter(makesBackups), schedules, retentions, datasets };
}

/**
 * Makes the backup be as planned. The group, which makes it take effect, comes last.
 * @param files of the chosen disks; `undefined` means all.
 */
export async function ensureGroup(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  plan: PlannedBackup,
  client: { readonly cid: string; readonly pluginNumber: number },
  files: readonly string[] | undefined,
  found: Found,
): Promise<MadeGroup> {
  const times = wantedSchedule(config, plan);
  const { id: scheduleId } = await ensureThing(rest, context, SCHEDULES, found.schedules, times.json, times.same);
  const kept = wantedRetention(config, plan);
  const { id: retentionId } = await ensureThing(rest, context, RETENTIONS, found.retentions, kept.json, kept.same);
  let datasetId: string | null = null;
  if (files !== undefined) {
    const chosen = wantedDataset(config, plan, client.pluginNumber, files);
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
  return { groupId, scheduleId, retentionId, datasetId, name: plan.name };
}

/** Groups go first: what they use cannot be removed before them. */
export async function removeAll(
  rest: AvamarRest,
  context: CallContext,
  found: Found,
  isWanted: (thing: Named) => boolean,
): Promise<void> {
  for (const group of found.groups) if (!isWanted(group)) await removeThing(rest, context, GROUPS, group);
  for (const one of found.schedules) if (!isWanted(one)) await removeThing(rest, context, SCHEDULES, one);
  for (const one of found.retentions) if (!isWanted(one)) await removeThing(rest, context, RETENTIONS, one);
  for (const one of found.datasets) if (!isWanted(one)) await removeThing(rest, context, DATASETS, one);
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
