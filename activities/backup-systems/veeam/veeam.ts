/**
 * What the parts of the plugin share for one manager.
 * @module
 */
import type { SessionReport } from '../backup-system.ts';
import type { VeeamConfig } from './config.ts';
import type { VeeamRest } from './rest.ts';

/**
 * What one process remembers of a manager. None of it is needed for the truth: it saves calls.
 */
export interface Memory {
  /** When sessions that are running began, by their keys. */
  readonly running: Map<string, Date>;
  /** The VMs of restore points, by the points' keys. */
  readonly pointVms: Map<string, string | undefined>;
  /** The VMs of Holdfast's jobs, by the jobs' keys. */
  readonly jobVms: Map<string, string | undefined>;
  /** The last look at all sessions, until somebody has used it. */
  look: Look | undefined;
}

/** What was seen of the sessions, when by a monotonic clock; by the sessions' keys. */
export interface Look {
  readonly at: number;
  readonly reports: ReadonlyMap<string, SessionReport>;
}

export interface Veeam {
  readonly rest: VeeamRest;
  readonly config: VeeamConfig;
  readonly memory: Memory;
  /** The time of this machine. */
  readonly clock: () => Date;
}

/** More is not remembered of one kind. */
const MOST_REMEMBERED = 20_000;

/** Remembers one thing more; what was remembered longest makes room. */
export function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MOST_REMEMBERED && oldest !== undefined) map.delete(oldest);
}

/** Nothing remembered. */
export function emptyMemory(): Memory {
  return { running: new Map(), pointVms: new Map(), jobVms: new Map(), look: undefined };
}
