/**
 * The VM's client in groups of others. Joining and leaving are changes to a list that the server keeps, so nothing of
 * anybody else's can be lost by them; the group itself is never changed.
 *
 * A membership bears no name of Holdfast's. So before the client is put into groups these are noted, as a named write
 * that stays open until the reference of the schedule, which tells them too, is on record: an undo that has no reference
 * leaves what is noted, and never a membership that somebody has made at the console.
 * @module
 */
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import { type CallContext, ExternalSystemError, type NamingContext } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import type { AvamarConfig } from './config.ts';
import { namePrefix } from './names.ts';
import { isAbsent } from './refusal.ts';
import type { AvamarRest } from './rest.ts';
import { type JoinedGroup, recordedGroups } from './standing-groups.ts';

/** A client in a group. */
export interface Membership {
  readonly cid: string;
  readonly groupId: string;
}

/** The memberships of a VM that the plugin has made, or may have made. */
export interface OwnMemberships {
  /** Those that the reference tells. */
  readonly recorded: readonly Membership[];
  /** Those that were begun and whose reference may never have been recorded, by the names of their notes. */
  readonly noted: ReadonlyMap<string, readonly Membership[]>;
}

/** What is known before anything is done. */
export async function ownMemberships(
  config: AvamarConfig,
  { namedWrites }: NamingContext,
  vmId: string,
  ref: ScheduleRef | undefined,
): Promise<OwnMemberships> {
  const noted = await openNotes(config, namedWrites, vmId);
  return { recorded: recordedGroups(ref).filter(({ isOurs }) => isOurs), noted };
}

async function openNotes(
  config: AvamarConfig,
  namedWrites: NamingContext['namedWrites'],
  vmId: string,
): Promise<OwnMemberships['noted']> {
  const prefix = notePrefix(config, vmId);
  const noted = new Map<string, readonly Membership[]>();
  for (const name of await namedWrites.unsettled(prefix)) {
    const pairs = name.slice(prefix.length).split(' ');
    const parts = pairs.map((pair) => pair.split('@').map(decodeURIComponent));
    noted.set(
      name,
      parts.map(([cid = '', groupId = '']) => ({ cid, groupId })),
    );
  }
  return noted;
}

const everyOne = ({ recorded, noted }: OwnMemberships): Membership[] => [...recorded, ...notedOnes(noted)];
const notedOnes = (noted: OwnMemberships['noted']): Membership[] => [...noted.values()].flat();
const isSame = (one: Membership) => (other: Membership) => one.cid === other.cid && one.groupId === other.groupId;

/** The note of these memberships: their whole set, since an operation has one open note in a backup system at most. */
function noteOf(config: AvamarConfig, vmId: string, memberships: readonly Membership[]): string {
  const pairs = memberships.map(({ cid, groupId }) => `${encodeURIComponent(cid)}@${encodeURIComponent(groupId)}`);
  return `${notePrefix(config, vmId)}${[...new Set(pairs)].toSorted().join(' ')}`;
}

const notePrefix = ({ marker }: AvamarConfig, vmId: string): string => `${namePrefix(marker, vmId)}in `;

/** Puts the client into the groups that it is not in yet, by one call. */
export async function joinGroups(
  rest: AvamarRest,
  config: AvamarConfig,
  context: NamingContext,
  client: { readonly vmId: string; readonly cid: string; readonly name: string },
  groups: readonly { readonly groupId: string; readonly code: string }[],
  own: OwnMemberships,
): Promise<JoinedGroup[]> {
  if (groups.length === 0) return [];
  const { cid } = client;
  const before = await groupsOf(rest, context, cid);
  const missing = groups.map(({ groupId }) => ({ cid, groupId })).filter(({ groupId }) => !before.has(groupId));
  if (missing.length > 0) {
    const note = noteOf(config, client.vmId, [...notedOnes(own.noted), ...missing]);
    const noting: CallContext = {
      ...context,
      // Noted once it is permitted: what is not permitted is not sent.
      beforeWrite: async () => {
        await context.beforeWrite();
        await context.namedWrites.begin(note);
      },
    };
    await change(rest, noting, 'add', missing, `put ${client.name} into its groups`);
  }
  // One that was there and that nothing says is ours was somebody's decision, and remains it.
  const isOurs = (one: Membership) => !before.has(one.groupId) || everyOne(own).some(isSame(one));
  return groups.map(({ groupId, code }) => ({ groupId, code, cid, isOurs: isOurs({ cid, groupId }) }));
}

/**
 * Takes the VM's clients out of the groups that the plugin has put them into, and keeps noted what nothing else tells.
 * @param wanted memberships that stay.
 */
export async function leaveGroups(
  rest: AvamarRest,
  config: AvamarConfig,
  context: NamingContext,
  vmId: string,
  own: OwnMemberships,
  wanted: readonly Membership[],
): Promise<void> {
  const isWanted = (one: Membership) => wanted.some(isSame(one));
  const over = everyOne(own).filter((one) => !isWanted(one));
  for (const cid of new Set(over.map((one) => one.cid))) {
    const current = await groupsOf(rest, context, cid);
    const left = over.filter((one) => one.cid === cid && current.has(one.groupId));
    if (left.length > 0) await change(rest, context, 'remove', left, 'take the client out of groups');
  }
  // Read afresh: joining may have noted more. What was left just now is noted no longer, as it may become somebody's.
  const noted = await openNotes(config, context.namedWrites, vmId);
  // One that is wanted is told by its note alone until the reference that comes of this call is on record.
  const untold = notedOnes(noted).filter((one) => isWanted(one) && !own.recorded.some(isSame(one)));
  const note = untold.length === 0 ? undefined : noteOf(config, vmId, untold);
  if (note !== undefined && !noted.has(note)) await context.namedWrites.begin(note);
  for (const name of noted.keys()) if (name !== note) await context.namedWrites.settle(name, 'FOUND');
}

const GroupId = z.object({ id: z.string() });

/** Ids of the groups that the client is in; none when there is no such client. */
async function groupsOf(rest: AvamarRest, context: CallContext, cid: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const path = `/clients/${encodeURIComponent(cid)}/groups`;
  try {
    for await (const { id } of rest.items(context, { path, purpose: 'list the groups of the client', item: GroupId })) {
      found.add(id);
    }
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  return found;
}

/**
 * Changes memberships of one client. After a lost answer, or a failure that may be none, what counts is where it is.
 * @param memberships at least one, all of that client.
 */
async function change(
  rest: AvamarRest,
  context: CallContext,
  what: 'add' | 'remove',
  memberships: readonly Membership[],
  purpose: string,
): Promise<void> {
  const cid = memberships[0]?.cid ?? '';
  const json = [...new Set(memberships.map(({ groupId }) => groupId))];
  const path = `/clients/${encodeURIComponent(cid)}/groups/${what}`;
  try {
    await rest.write(context, { method: 'POST', path, json, purpose, answer: z.unknown() });
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    const current = await lookAfter(error, () => groupsOf(rest, context, cid));
    if (json.some((id) => current.has(id) !== (what === 'add'))) throw error;
  }
}
