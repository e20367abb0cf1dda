/**
 * The VM's client in groups of others. Joining and leaving are additions to a list that the server keeps, so nothing of
 * anybody else's can be lost by them; the group itself is never changed.
 *
 * A membership bears no name of Holdfast's. So before the client is put into groups these are noted, as a named write
 * that stays open until the reference of the schedule, which tells them too, is on record: an undo that has no reference
 * leaves what is noted, and never a membership that somebody has made at the console.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError, type NamingContext } from '../../calls.ts';
import { lookAfter } from '../look-after.ts';
import type { AvamarConfig } from './config.ts';
import { namePrefix } from './names.ts';
import { isAbsent } from './refusal.ts';
import type { AvamarRest } from './rest.ts';

/** A client in a group. */
export interface Membership {
  readonly cid: string;
  readonly groupId: string;
}

/** Memberships that were begun for a VM and whose reference may never have been recorded. */
export interface NotedMemberships {
  readonly all: readonly Membership[];
  /** The names of the writes by which they were noted, each with its memberships. */
  readonly names: ReadonlyMap<string, readonly Membership[]>;
}

export const isSame = (one: Membership) => (other: Membership) =>
  one.cid === other.cid && one.groupId === other.groupId;

/** What is noted for the VM and not settled. */
export async function notedMemberships(
  config: AvamarConfig,
  { namedWrites }: NamingContext,
  vmId: string,
): Promise<NotedMemberships> {
  const prefix = notePrefix(config, vmId);
  const names = new Map<string, readonly Membership[]>();
  for (const name of await namedWrites.unsettled(prefix)) {
    const pairs = name.slice(prefix.length).split(' ');
    const noted = pairs.map((pair) => pair.split('@').map(decodeURIComponent));
    names.set(
      name,
      noted.map(([cid = '', groupId = '']) => ({ cid, groupId })),
    );
  }
  return { all: [...names.values()].flat(), names };
}

/** The note of these memberships: their whole set, since an operation has one open note in a backup system at most. */
function noteOf(config: AvamarConfig, vmId: string, memberships: readonly Membership[]): string {
  const pairs = memberships.map(({ cid, groupId }) => `${encodeURIComponent(cid)}@${encodeURIComponent(groupId)}`);
  return `${notePrefix(config, vmId)}${[...new Set(pairs)].toSorted().join(' ')}`;
}

const notePrefix = ({ marker }: AvamarConfig, vmId: string): string => `${namePrefix(marker, vmId)}in `;

const GroupId = z.object({ id: z.string() });

/** Ids of the groups that the client is in; none when there is no such client. */
export async function groupsOf(rest: AvamarRest, context: CallContext, cid: string): Promise<ReadonlySet<string>> {
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
 * Puts the client into the groups.
 * @param noted what is noted already: it stays noted.
 */
export async function join(
  rest: AvamarRest,
  config: AvamarConfig,
  context: NamingContext,
  client: { readonly vmId: string; readonly cid: string; readonly name: string },
  groupIds: readonly string[],
  noted: NotedMemberships,
): Promise<void> {
  if (groupIds.length === 0) return;
  const { cid } = client;
  const memberships = groupIds.map((groupId) => ({ cid, groupId }));
  const note = noteOf(config, client.vmId, [...noted.all, ...memberships]);
  const noting: CallContext = {
    ...context,
    // Noted once it is permitted: what is not permitted is not sent.
    beforeWrite: async () => {
      await context.beforeWrite();
      await context.namedWrites.begin(note);
    },
  };
  const purpose = `put ${client.name} into its groups`;
  await change(rest, noting, { cid, what: 'add', groupIds, purpose }, (current) =>
    groupIds.every((id) => current.has(id)),
  );
}

/** Takes clients out of groups; one that is not in a group, or is not there, is out. */
export async function leave(rest: AvamarRest, context: CallContext, memberships: readonly Membership[]): Promise<void> {
  for (const cid of new Set(memberships.map((membership) => membership.cid))) {
    const current = await groupsOf(rest, context, cid);
    const groupIds = [
      ...new Set(
        memberships
          .filter(({ groupId }) => current.has(groupId))
          .filter((one) => one.cid === cid)
          .map(({ groupId }) => groupId),
      ),
    ];
    if (groupIds.length === 0) continue;
    const purpose = 'take the client out of groups';
    await change(rest, context, { cid, what: 'remove', groupIds, purpose }, (left) =>
      groupIds.every((id) => !left.has(id)),
    );
  }
}

/** Changes memberships of a client; after a lost answer, or a failure that may be none, what counts is where it is. */
async function change(
  rest: AvamarRest,
  context: CallContext,
  how: {
    readonly cid: string;
    readonly what: 'add' | 'remove';
    readonly groupIds: readonly string[];
    readonly purpose: string;
  },
  isDone: (current: ReadonlySet<string>) => boolean,
): Promise<void> {
  const path = `/clients/${encodeURIComponent(how.cid)}/groups/${how.what}`;
  const call = { method: 'POST', path, json: how.groupIds, purpose: how.purpose } as const;
  try {
    await rest.write(context, { ...call, answer: z.unknown() });
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    if (!isDone(await lookAfter(error, () => groupsOf(rest, context, how.cid)))) throw error;
  }
}

/**
 * Closes the notes of which nothing is left to know.
 * @param isKnown whether a membership has ended, or a reference that is on record tells it.
 */
export async function settleNotes(
  { namedWrites }: NamingContext,
  noted: NotedMemberships,
  isKnown: (membership: Membership) => boolean,
): Promise<void> {
  for (const [name, memberships] of noted.names) {
    if (memberships.every(isKnown)) await namedWrites.settle(name, 'FOUND');
  }
}
