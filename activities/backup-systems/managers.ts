/**
 * Backup managers as activities use them: read afresh for every attempt, credentials unsealed just before use, logins
 * kept while nothing about the manager changes.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Database } from '../../db/connect.ts';
import { managerById } from '../../db/backup-managers.ts';
import { openCredentials, type Sealing } from '../../db/sealing.ts';
import { HoldfastError } from '../../domain/errors.ts';
import { type BackupSystem, Secret } from './backup-system.ts';
import type { CountCall } from '../vendor-calls.ts';
import type { BackupPlugins } from './plugins.ts';

/** A manager that is ready to be called. */
export interface ConnectedManager {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** What the backup system called itself at the last check; `null` before the first. */
  readonly identity: string | null;
  readonly system: BackupSystem;
}

export interface BackupManagers {
  /**
   * The manager with the endpoint and credentials that its row holds now.
   * @throws HoldfastError BACKUP_PLUGIN_NOT_LOADED.
   */
  connect(managerId: string): Promise<ConnectedManager>;
}

/**
 * Makes the managers' directory of a worker.
 * @param countCall told of every call to a backup system.
 */
export function backupManagers(
  db: Database,
  sealing: Sealing,
  plugins: BackupPlugins,
  countCall?: CountCall,
): BackupManagers {
  const clients = new Map<string, { readonly key: string; readonly system: BackupSystem }>();
  return {
    async connect(managerId) {
      const row = await managerById(db, managerId);
      if (row === undefined) {
        throw new HoldfastError('BACKUP_MANAGER_NOT_FOUND', `there is no backup manager ${managerId} any more`);
      }
      const { id, name, type, identity } = row;
      const plugin = plugins.get(type);
      if ('notLoaded' in plugin) {
        throw new HoldfastError('BACKUP_PLUGIN_NOT_LOADED', `the plugin ${type} is not loaded: ${plugin.notLoaded}`);
      }
      // A change of anything that a login depends on makes a new client; the sealed text changes with every rotation.
      const key = createHash('sha256')
        .update(JSON.stringify([type, row.endpoint, row.credentials_sealed, row.tls]))
        .digest('hex');
      const known = clients.get(id);
      if (known !== undefined && known.key === key) return { id, name, type, identity, system: known.system };
      const credentials = row.credentials_sealed === null ? null : openCredentials(sealing, id, row.credentials_sealed);
      const system = plugin.connect({
        id,
        name,
        endpoint: row.endpoint,
        credentials:
          credentials === null ? null : { user: credentials.user, password: new Secret(credentials.password) },
        tls: row.tls,
        onCall: (end) => countCall?.({ system: 'BACKUP_SYSTEM', name }, end),
      });
      clients.set(id, { key, system });
      return { id, name, type, identity, system };
    },
  };
}
