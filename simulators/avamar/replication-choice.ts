/**
 * What a replication group copies, and how long the copy lives.
 * @module
 */
import { DateTime } from 'luxon';
import { copiesOf, isListed } from './copies.ts';
import { after } from './retention-rules.ts';
import type { BackupFilter, ReplicationGroup } from './replication-state.ts';
import { type Backup, type Client, type Retention, type RetentionTag, type State, isMachine } from './state.ts';

/** The clients of a group: those named, those below a named domain, or all. Retired ones too: their backups live on. */
export function clientsOf(state: State, group: ReplicationGroup): Client[] {
  const clients = state.clients.values().filter(isMachine);
  if (group.allClients) return clients;
  const { cid: vcenterCid, domain } = state.vcenter();
  const hasDomain = group.members.includes(vcenterCid);
  return clients.filter(
    ({ id, domainFqdn }) => group.members.includes(id) || (hasDomain && `${domainFqdn}/`.startsWith(`${domain}/`)),
  );
}

/** Strongest first: a backup with several tags lives as long as the first of them says. */
const TAGS = [
  ['YEARLY', 'yearlyTag'],
  ['MONTHLY', 'monthlyTag'],
  ['WEEKLY', 'weeklyTag'],
  ['DAILY', 'dailyTag'],
] as const satisfies [RetentionTag, keyof BackupFilter & keyof Retention][];

const tagOf = (tags: RetentionTag[]) => TAGS.find(([tag]) => tags.includes(tag))?.[1] ?? 'noTag';

// A filter that names no kind of backup restricts none: ours.
function hasChosenTag(filter: BackupFilter, tags: RetentionTag[]): boolean {
  const names = [...TAGS, ['NONE', 'noTag'] as const];
  const chosen = names.filter(([, name]) => filter[name] === true);
  if (chosen.length === 0) return true;
  return chosen.some(([tag]) => (tag === 'NONE' ? tags.length === 0 : tags.includes(tag)));
}

function isInRange(filter: BackupFilter, { creationTime }: Backup, now: number): boolean {
  if (filter.dateRestriction === 'WITHIN') {
    const since = after(DateTime.fromMillis(now, { zone: 'utc' }), -(filter.within ?? 0), filter.durationUnit);
    return creationTime >= since;
  }
  if (filter.dateRestriction !== 'RANGE') return true;
  const from = filter.after === undefined ? Number.NEGATIVE_INFINITY : Date.parse(filter.after);
  const until = filter.before === undefined ? Number.POSITIVE_INFINITY : Date.parse(filter.before);
  return creationTime > from && creationTime < until;
}

/** A client's backups that the group still has to copy, in the group's order. */
export function backupsToCopy(state: State, group: ReplicationGroup, client: Client, now: number): Backup[] {
  const copied = new Set(
    copiesOf(state, client.id, now)
      .filter(({ destId }) => destId === group.destinationServerId)
      .map(({ original }) => original.labelNumber),
  );
  const retention = state.retentions.get(group.retentionId ?? '');
  const filter: BackupFilter = group.allBackups ? {} : (group.backupFilter ?? {});
  const newestFirst: Backup[] = [];
  for (let number = client.lastLabelNumber; number > 0; number -= 1) {
    const backup = state.backups.get(`${client.id}/${number}`);
    if (backup === undefined || !isListed(backup, now)) continue;
    if (hasChosenTag(filter, backup.tags ?? []) && isInRange(filter, backup, now)) newestFirst.push(backup);
  }
  const most = filter.maxBackupsPerClient || newestFirst.length;
  // What would be expired on its arrival is not sent.
  const missing = newestFirst
    .slice(0, most)
    .filter(({ labelNumber }) => !copied.has(labelNumber))
    .filter((backup) => isListed({ expirationTime: copyExpiration(retention, backup) }, now));
  return group.orderingCriterion === 'NEWEST_TO_OLDEST' ? missing : missing.toReversed();
}

/** When the copy of a backup expires: as the backup does, unless the group's retention overrides it. */
export function copyExpiration(retention: Retention | undefined, backup: Backup): number {
  const tag = tagOf(backup.tags ?? []);
  const duration = retention?.[tag];
  const unit = retention?.[`${tag}Unit`];
  if (retention?.override !== true || duration === undefined) return backup.expirationTime;
  return after(DateTime.fromMillis(backup.creationTime, { zone: 'utc' }), duration, unit);
}
