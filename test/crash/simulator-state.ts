/**
 * What the simulators hold, read from the journals that they keep on disk: complete, and without asking them, so that
 * looking leaves no trace in what is counted.
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  Activity,
  AuditRecord,
  Backup,
  Client,
  Dataset,
  Group,
  Retention,
  Schedule,
} from '../../simulators/avamar/state.ts';
import type { Copy } from '../../simulators/avamar/replication-state.ts';
import type { Allocation, Effect, Vm } from '../../simulators/hypervisor/inventory.ts';
import type { Job, Point, RestoreSession, TaskSession } from '../../simulators/veeam/state.ts';

/** What the hypervisor holds. */
export interface HypervisorState {
  readonly vms: readonly Vm[];
  readonly allocations: readonly Allocation[];
  /** Everything that happened, oldest first. */
  readonly effects: readonly Effect[];
}

/** What Avamar holds. */
export interface AvamarState {
  readonly clients: readonly Client[];
  readonly groups: readonly Group[];
  readonly schedules: readonly Schedule[];
  readonly retentions: readonly Retention[];
  readonly datasets: readonly Dataset[];
  readonly activities: readonly Activity[];
  readonly backups: readonly Backup[];
  /** On other servers. */
  readonly copies: readonly Copy[];
  /** The newest requests that were no reads, oldest first. */
  readonly audit: readonly AuditRecord[];
}

/** What Veeam holds. */
export interface VeeamState {
  readonly jobs: readonly Job[];
  readonly taskSessions: readonly TaskSession[];
  readonly restoreSessions: readonly RestoreSession[];
  readonly points: readonly Point[];
}

/** What all of them hold at one moment. */
export interface SimulatorState {
  readonly hypervisor: HypervisorState;
  readonly avamar: AvamarState;
  readonly veeam: VeeamState;
}

/** Reads the state of the simulators of a system in that data folder. */
export function simulatorState(dataDir: string): SimulatorState {
  const journal = (name: string) => collectionsIn(join(dataDir, 'simulators', `${name}.json`));
  const hypervisor = journal('hypervisor');
  const avamar = journal('avamar');
  const veeam = journal('veeam');
  return {
    hypervisor: {
      vms: valuesOf(hypervisor, 'vms'),
      allocations: valuesOf(hypervisor, 'allocations'),
      effects: valuesOf(hypervisor, 'effects'),
    },
    avamar: {
      clients: valuesOf(avamar, 'clients'),
      groups: valuesOf(avamar, 'groups'),
      schedules: valuesOf(avamar, 'schedules'),
      retentions: valuesOf(avamar, 'retentions'),
      datasets: valuesOf(avamar, 'datasets'),
      activities: valuesOf(avamar, 'activities'),
      backups: valuesOf(avamar, 'backups'),
      copies: valuesOf(avamar, 'copies'),
      audit: valuesOf(avamar, 'audit'),
    },
    veeam: {
      jobs: valuesOf(veeam, 'jobs'),
      taskSessions: valuesOf(veeam, 'task-sessions'),
      restoreSessions: valuesOf(veeam, 'restore-sessions'),
      points: valuesOf(veeam, 'points'),
    },
  };
}

type Collections = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

function valuesOf<T>(collections: Collections, name: string): T[] {
  return [...(collections.get(name)?.values() ?? [])] as T[];
}

/** The format is that of `simulators/kit/store.ts`: a change a line, the newest last. */
function collectionsIn(file: string): Collections {
  const collections = new Map<string, Map<string, unknown>>();
  if (!existsSync(file)) return collections;
  const lines = readFileSync(file, 'utf8').split('\n');
  // Without a newline at its end the last line is still being written.
  lines.pop();
  for (const line of lines) {
    const change = JSON.parse(line) as { c: string; k: string; v?: unknown };
    const values = collections.get(change.c) ?? new Map<string, unknown>();
    collections.set(change.c, values);
    if ('v' in change) values.set(change.k, change.v);
    else values.delete(change.k);
  }
  return collections;
}
