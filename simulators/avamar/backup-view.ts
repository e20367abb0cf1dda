/**
 * `BackupInfo` of the swagger. The unit of its int64 times is not written down; milliseconds, as in its example of `name`.
 * @module
 */
import { fqdn } from './activity-engine.ts';
import type { Server } from './env.ts';
import { pluginName } from './plugins.ts';
import { dateTime } from './spring.ts';
import type { Copy } from './replication-state.ts';
import type { Backup } from './state.ts';

type Info = Record<string, unknown>;

export function backupView({ state }: Server, backup: Backup): Info {
  const client = state.clients.get(backup.cid);
  const tags = backup.tags ?? [];
  return {
    labelNumber: backup.labelNumber,
    name: backup.name,
    cid: backup.cid,
    clientName: client?.name,
    path: client === undefined ? '' : fqdn(client.domainFqdn, client.name),
    date: dateTime(backup.creationTime),
    creationTime: backup.creationTime,
    expirationTime: backup.expirationTime,
    location: 'Local',
    localMissing: false,
    server: 'Avamar',
    size: backup.sizeBytes,
    type: 'FULL',
    pluginNumber: backup.pluginNumber,
    pluginName: pluginName(backup.pluginNumber),
    retentionTags: { anySet: tags.length > 0, retentionTags: tags.length > 0 ? tags : ['NONE'] },
    tierStatus: '',
    children: [],
  };
}

/** A copy by itself: the destination's number and expiry, the backup's name and time. */
export function copyView(server: Server, copy: Copy): Info {
  const destination = server.state.destinations.get(copy.destId);
  return {
    ...backupView(server, copy.original),
    labelNumber: copy.labelNumber,
    expirationTime: copy.expirationTime,
    location: 'Remote',
    destId: copy.destId,
    destName: destination?.name,
  };
}

/**
 * A backup with its copies. One that this server lacks, but a destination has, shows what it was: its own number and
 * expiry, and no location (ours).
 */
export function backupWithCopies(server: Server, local: Backup | undefined, copies: Copy[]): Info {
  const children = copies.map((copy) => copyView(server, copy));
  if (local !== undefined) return { ...backupView(server, local), children };
  const [first] = copies;
  return first === undefined
    ? {}
    : { ...backupView(server, first.original), location: '', localMissing: true, children };
}
