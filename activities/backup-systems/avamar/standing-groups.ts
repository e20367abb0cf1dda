/**
 * Backup groups that an administrator has made. One that bears the code of a policy serves it where the policy leaves
 * everything to Avamar: the VM's client joins it, and the group's own dataset, schedule and retention hold.
 * @module
 */
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import type { ScheduledPolicy } from '../../../domain/schedules.ts';
import type { CallContext } from '../../calls.ts';
import type { AvamarConfig } from './config.ts';
import { type Group, GROUPS, makesBackups } from './kinds.ts';
import { isMade } from './names.ts';
import { thingById, thingsNamed } from './named-things.ts';
import { refused } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

/** A group that the VM's client has joined, or was in already. */
export const JoinedGroup = z.object({
  groupId: z.string(),
  /** The code of the policy that it served when it was joined. */
  code: z.string(),
  /** The client that is in it. */
  cid: z.string(),
  /** Whether the plugin put it there; a membership that somebody else has made is not the plugin's to end. */
  isOurs: z.boolean(),
});
export type JoinedGroup = z.infer<typeof JoinedGroup>;

const Joined = z.object({ joined: z.array(JoinedGroup) });

/** The groups that the reference says the VM is in. */
export const recordedGroups = (ref: ScheduleRef | undefined): readonly JoinedGroup[] =>
  Joined.safeParse(ref).data?.joined ?? [];

/** Whether a policy leaves everything to the backup system; one that fixes any value gets groups of the VM's own. */
export function leavesAll(policy: ScheduledPolicy): boolean {
  return policy.backups.every(({ time, days, disks }) => time === null && days === null && disks === null);
}

/** The administrator's groups of exactly that name, whatever their domain. */
export async function groupsCalled(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  code: string,
): Promise<Group[]> {
  // Not even a code that looks like a name of the plugin's may lead into the group of another VM.
  if (isMade(config.marker, code)) return [];
  return (await thingsNamed(rest, context, GROUPS, code, 'EXACTLY')).filter(makesBackups);
}

/**
 * The group that serves a policy which leaves everything to Avamar. A VM that is in one already stays in it for as long
 * as it exists, also when it is renamed or switched off meanwhile: that is somebody's decision about a group that this
 * VM has, whereas a new one would be deployed without a backup.
 * @param previous what an earlier call returned.
 * @returns `undefined`: there is none, so the VM gets groups of its own.
 * @throws ExternalSystemError `REFUSED` when several have the name, or the one that has it is switched off.
 */
export async function standingGroup(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  policy: ScheduledPolicy,
  previous: ScheduleRef | undefined,
): Promise<Group | undefined> {
  const recorded = recordedGroups(previous).find(({ code }) => code === policy.code);
  const kept = recorded && (await thingById(rest, context, GROUPS, recorded.groupId));
  if (kept !== undefined) return kept;
  const found = await groupsCalled(rest, config, context, policy.code);
  const obstacle = obstacleOf(found);
  if (obstacle !== undefined)
    throw refused(`policy ${policy.code}, in the backup system ${rest.manager.name}: ${obstacle}`);
  return found[0];
}

/** What keeps a new VM from joining the groups that were found, with what to do; `undefined`: nothing. */
export function obstacleOf(found: readonly Group[]): string | undefined {
  const [group] = found;
  if (group === undefined) return undefined;
  if (found.length > 1) {
    return (
      `several groups are called ${group.name} (${found.map(pathOf).toSorted().join(', ')}), and it cannot be told which ` +
      'of them the policy means: rename all but one'
    );
  }
  if (group.enabled !== false) return undefined;
  return `the group ${pathOf(group)} is switched off, so it would make no backups: switch it on, or rename it`;
}

/** Its domain and name, as the administration shows it. */
export function pathOf({ domain, name }: Group): string {
  return `${(domain ?? '').replace(/\/$/, '')}/${name}`;
}
