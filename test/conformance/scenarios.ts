/**
 * What Holdfast asks of a plugin, each as a short story: prepared, acted, and looked at through the administrator's
 * eyes. Every story is played in good weather and with every trouble.
 * @module
 */
import type { BackupSystem } from '../../activities/backup-systems/backup-system.ts';
import type { NamingContext } from '../../activities/calls.ts';
import type { BackupPluginType } from '../../domain/plugin-types.ts';
import type { Ability, PluginUnderTest } from './plugin-under-test.ts';
import { READING } from './scenarios/reading.ts';
import { SCHEDULES } from './scenarios/schedules.ts';
import { STARTS } from './scenarios/starts.ts';

export interface Scenario {
  readonly name: string;
  readonly needs: readonly Ability[];
  /** Whether a plugin of this type can do it. */
  readonly isOffered: (type: BackupPluginType) => boolean;
  /** Whether doing it a second time writes nothing. */
  readonly isIdempotent: boolean;
  /** What becomes of it in good weather, for `toEqual`. */
  readonly expected: (type: BackupPluginType) => unknown;
  begin(world: PluginUnderTest, type: BackupPluginType): Promise<Played>;
}

/** One performance of a scenario. */
export interface Played {
  /** What is asked of the plugin; asked again after a failure, of a client that remembers nothing. */
  act(system: BackupSystem, context: NamingContext): Promise<void>;
  /** What is asked after a failure in place of the same once more. */
  giveUp?(system: BackupSystem, context: NamingContext): Promise<void>;
  /** What has become of it, without ids: the same whatever happened on the way. */
  outcome(): Promise<unknown>;
}

/** Each group is played in a world of its own: what one leaves behind would make the lists of the next long. */
export const GROUPS: readonly (readonly [string, readonly Scenario[]])[] = [
  ['schedules', SCHEDULES],
  ['starts', STARTS],
  ['reading', READING],
];
