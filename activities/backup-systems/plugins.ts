/**
 * The backup plugins that are loaded.
 * @module
 */
import type { Config } from '../../temporal.config.ts';
import { AVAMAR, VEEAM } from '../../domain/plugin-types.ts';
import { loadAvamarConfig } from './avamar/config.ts';
import { avamarPlugin } from './avamar/plugin.ts';
import type { BackupPlugin } from './backup-system.ts';
import { loadVeeamConfig } from './veeam/config.ts';
import { veeamPlugin } from './veeam/plugin.ts';

export interface BackupPlugins {
  /** The plugin of that type, or why it is not loaded: the file and the key that are wrong. */
  get(type: string): BackupPlugin | { readonly notLoaded: string };
}

/**
 * Loads every plugin with its configuration. A bad file leaves its plugin unloaded; the others work.
 * @param clock the time of this machine.
 */
export function backupPlugins(config: Config['plugins'], clock: () => Date): BackupPlugins {
  const plugins = new Map<string, BackupPlugin | { readonly notLoaded: string }>([
    [AVAMAR.type, loaded(() => avamarPlugin({ clock, config: loadAvamarConfig(config.avamarConfigPath) }))],
    [VEEAM.type, loaded(() => veeamPlugin({ clock, config: loadVeeamConfig(config.veeamConfigPath) }))],
  ]);
  return { get: (type) => plugins.get(type) ?? { notLoaded: `Holdfast has no backup plugin of type ${type}` } };
}

function loaded(load: () => BackupPlugin): BackupPlugin | { readonly notLoaded: string } {
  try {
    return load();
  } catch (error) {
    return { notLoaded: error instanceof Error ? error.message : String(error) };
  }
}
