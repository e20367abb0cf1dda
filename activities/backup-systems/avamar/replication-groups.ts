/**
 * The replication groups of a VM. Each VM has its own: the members of a group are written as a whole list, and nothing
 * guards that list against another writer, so in a shared one a lost update would end the copies of somebody else's VM.
 * @module
 */
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import { sessionEnded } from '../../../domain/results.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { AvamarConfig } from './config.ts';
import { SCHEDULES, type Schedule, type Wanted } from './kinds.ts';
import { namePrefix, onceName, oncePrefix } from './names.ts';
import { ensureThing, isThere, type Kind, removeThing, thingsNamed } from './named-things.ts';
import { refused } from './refusal.ts';
import { type DestinationPlan, ensureDestination, type ReplicationPlan } from './replication-target.ts';
import type { AvamarRest } from './rest.ts';
import { sessionState } from './states.ts';

/** Both clocks of a backup are known to the second at least. Milliseconds. */
const AROUND_BACKUP_MS = 1_000;

/** `ReplicationGroup` of the swagger; only what is used. */
const ReplicationGroup = z.object({
  id: z.string(),
  name: z.string(),
  enabled: z.boolean().nullish(),
  destinationServerId: z.string().nullish(),
  scheduleId: z.string().nullish(),
  encryption: z.string().nullish(),
  members: z.array(z.string()).nullish(),
  allClients: z.boolean().nullish(),
  allBackups: z.boolean().nullish(),
  backupFilter: z
    .object({ dateRestriction: z.string().nullish(), after: z.string().nullish(), before: z.string().nullish() })
    .nullish(),
});
export type ReplicationGroup = z.infer<typeof ReplicationGroup>;

export const REPLICATION_GROUPS: Kind<ReplicationGroup> = {
  noun: 'replication group',
  path: '/replication/groups',
  below: {},
  thing: ReplicationGroup,
};

/** The clients that each group copies for, as far as it names them, by its id; none when they may not be read. */
export async function allMembers(
  rest: AvamarRest,
  context: CallContext,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { path, thing: item } = REPLICATION_GROUPS;
  const found = new Map<string, readonly string[]>();
  try {
    for await (const { id, members } of rest.items(context, { path, purpose: 'list its replication groups', item })) {
      found.set(id, members ?? []);
    }
  } catch (error) {
    if (!(error instanceof ExternalSystemError) || error.status !== 403) throw error;
  }
  return found;
}

/** The group that copies a VM's backups by schedule, as it was made. */
const MadeReplication = z.object({ groupId: z.string(), name: z.string() });
export type MadeReplication = z.infer<typeof MadeReplication>;

/** What `applyReplication` has made, as `ScheduleRef` keeps it. */
export function madeReplication(ref: ScheduleRef | undefined): MadeReplication | null {
  return MadeReplication.safeParse(ref?.['replication']).data ?? null;
}

/**
 * Makes the VM's backups be copied by schedule, or not with no plan.
 * @param cid the client that the VM is now; others that it was keep the copies that they have.
 * @param previous what an earlier call returned for this VM.
 */
export async function applyReplication(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: { readonly id: string; readonly name: string; readonly cid: string },
  plan: ReplicationPlan | undefined,
  previous: MadeReplication | null,
): Promise<MadeReplication | null> {
  if (plan === undefined) {
    await removeReplication(rest, config, context, vm, previous);
    return null;
  }
  const found = await thingsNamed(rest, context, REPLICATION_GROUPS, namePrefix(config.marker, vm.id));
  const name = `${namePrefix(config.marker, vm.id)}replication`;
  const destinationServerId = await ensureDestination(rest, context, plan);
  const { scheduleId } = plan;
  const wanted = wantedReplication(plan, { name, cid: vm.cid, destinationServerId, scheduleId, only: null });
  const group = await ensureThing(rest, context, REPLICATION_GROUPS, found, wanted.json, wanted.same);
  await removeGroups(
    rest,
    config,
    context,
    vm.id,
    found.filter(({ id }) => id !== group.id),
  );
  return { groupId: group.id, name };
}

/**
 * Removes the VM's replication groups; its copies stay.
 * @param made what `applyReplication` returned last.
 * @throws ExternalSystemError `REFUSED` when that group is there under another name: it would go on making copies.
 */
export async function removeReplication(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: { readonly id: string; readonly name: string },
  made: MadeReplication | null,
): Promise<void> {
  const found = await thingsNamed(rest, context, REPLICATION_GROUPS, namePrefix(config.marker, vm.id)).catch(
    (error: unknown) => {
      // Who may not even look has made none, unless it is known that there was one.
      if (made === null && error instanceof ExternalSystemError && error.status === 403) return [];
      throw error;
    },
  );
  await removeGroups(rest, config, context, vm.id, found);
  if (made === null || found.some(({ id }) => id === made.groupId)) return;
  if (!(await isThere(rest, context, REPLICATION_GROUPS, made.groupId))) return;
  throw refused(
    `the replication group ${made.name} of ${vm.name} was renamed in the backup system ${rest.manager.name} (its id is ` +
      `${made.groupId}); give it its name back or remove it there`,
  );
}

/**
 * The group that copies one backup and runs when it is asked to. Each backup has its own, so that copying one is not
 * kept waiting, or changed, by copying another; those of the VM whose work is done are removed.
 * @param made when the backup was made: no other backup of the client is of that time.
 */
export async function groupForOnce(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vmId: string,
  backup: { readonly cid: string; readonly labelNumber: string; readonly made: Date },
  plan: DestinationPlan,
): Promise<ReplicationGroup> {
  const name = onceName(config.marker, vmId, backup.cid, backup.labelNumber);
  const found = await thingsNamed(rest, context, REPLICATION_GROUPS, oncePrefix(config.marker, vmId));
  const destinationServerId = await ensureDestination(rest, context, plan);
  const { id: scheduleId } = await onDemandSchedule(rest, config, context);
  const wanted = wantedReplication(plan, {
    name,
    cid: backup.cid,
    destinationServerId,
    scheduleId,
    only: backup.made,
  });
  const group = await ensureThing(rest, context, REPLICATION_GROUPS, found, wanted.json, wanted.same);
  await removeGroups(
    rest,
    config,
    context,
    vmId,
    found.filter(({ id }) => id !== group.id),
  );
  return group;
}

/** A schedule that starts nothing by itself, one for all VMs: it never differs, and it says nothing of any of them. */
async function onDemandSchedule(rest: AvamarRest, config: AvamarConfig, context: CallContext): Promise<Schedule> {
  const name = `${config.marker}-on-demand`;
  const json = { name, domainFqdn: config.policyDomain, recurrenceEnum: 'OnDemand' };
  const found = await thingsNamed(rest, context, SCHEDULES, name);
  const isOnDemand = ({ recurrenceEnum }: Schedule): boolean =>
    recurrenceEnum.toLowerCase().replace(/[^a-z]/g, '') === 'ondemand';
  return ensureThing(rest, context, SCHEDULES, found, json, isOnDemand);
}

/** @param only `null`: all backups of the client; else the one that was made at that moment. */
function wantedReplication(
  plan: DestinationPlan,
  group: {
    readonly name: string;
    readonly cid: string;
    readonly destinationServerId: string;
    readonly scheduleId: string;
    readonly only: Date | null;
  },
): Wanted<ReplicationGroup> {
  const { name, cid, destinationServerId, scheduleId, only } = group;
  const range = only && {
    after: new Date(only.getTime() - AROUND_BACKUP_MS).toISOString(),
    before: new Date(only.getTime() + AROUND_BACKUP_MS).toISOString(),
  };
  const everyTag = { noTag: true, dailyTag: true, weeklyTag: true, monthlyTag: true, yearlyTag: true };
  const isMoment = (given: string | null | undefined, wanted: string): boolean =>
    given !== null && given !== undefined && new Date(given).getTime() === Date.parse(wanted);
  return {
    json: {
      name,
      enabled: true,
      destinationServerId,
      scheduleId,
      encryption: plan.encryption,
      members: [cid],
      allClients: false,
      allBackups: only === null,
      ...(range === null ? {} : { backupFilter: { dateRestriction: 'RANGE', ...range, ...everyTag } }),
    },
    same: (thing) =>
      thing.enabled === true &&
      thing.destinationServerId === destinationServerId &&
      thing.scheduleId === scheduleId &&
      thing.encryption?.toUpperCase() === plan.encryption &&
      thing.allClients !== true &&
      thing.members?.length === 1 &&
      thing.members[0] === cid &&
      (range === null
        ? thing.allBackups === true
        : thing.allBackups !== true &&
          thing.backupFilter?.dateRestriction?.toUpperCase() === 'RANGE' &&
          isMoment(thing.backupFilter.after, range.after) &&
          isMoment(thing.backupFilter.before, range.before)),
  };
}

/** Removes groups of the VM; one that copies a single backup stays while it is at work, and never runs by itself. */
async function removeGroups(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vmId: string,
  groups: readonly ReplicationGroup[],
): Promise<void> {
  const once = oncePrefix(config.marker, vmId);
  for (const group of groups) {
    const isOnce = group.name.startsWith(once);
    if (isOnce && !(await isIdle(rest, context, group.id))) continue;
    try {
      await removeThing(rest, context, REPLICATION_GROUPS, group);
    } catch (error) {
      // It will be tried again with the VM's next change; meanwhile it does nothing.
      const isRefused = error instanceof ExternalSystemError && error.kind === 'REFUSED';
      if (!isOnce || !isRefused) throw error;
    }
  }
}

const Run = z.object({ groupId: z.string().nullish(), state: z.string().nullish() });

/** Whether all runs of a group have ended; false where that cannot be told. */
async function isIdle(rest: AvamarRest, context: CallContext, groupId: string): Promise<boolean> {
  const query = { domain: '/', recursive: 'true', duration: '0', filter: `groupId==${groupId}` };
  const list = { path: '/activities', query, purpose: 'look for runs of a replication group', item: Run };
  for await (const run of rest.items(context, list)) {
    // A server that ignores the filter shows the activities of everybody: they are not read through for this.
    if (run.groupId !== groupId || !sessionEnded(sessionState(run.state))) return false;
  }
  return true;
}
