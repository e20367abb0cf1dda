import type { SimulatedClock } from '../kit/clock.ts';
import { createInfrastructure } from './infrastructure.ts';
import { createJobKind } from './job-view.ts';
import { createPointKinds } from './point-view.ts';
import type { RunEngine } from './run-engine.ts';
import type { Scheduler } from './scheduler.ts';
import { createJobSessionKind, createRestoreSessionKind, createTaskSessionKind } from './session-view.ts';
import type { Settings } from './settings.ts';
import type { State } from './state.ts';

export type Kinds = ReturnType<typeof createKinds>;

/** All kinds of entities of this server. */
export function createKinds(how: {
  state: State;
  clock: SimulatedClock;
  settings: () => Settings;
  runs: RunEngine;
  scheduler: Scheduler;
  vcenterName: string;
}) {
  const { state, settings, runs } = how;
  const now = (): number => how.clock.now();
  const infrastructure = createInfrastructure(state, settings, how.vcenterName);
  const points = createPointKinds(state, now, settings, infrastructure);
  const jobs = createJobKind(state, infrastructure, how.scheduler, settings);
  const jobSessions = createJobSessionKind(state, runs, infrastructure, jobs);
  const { backupServers, managedServers, hierarchyRoots, repositories } = infrastructure;
  return {
    backupServers,
    managedServers,
    hierarchyRoots,
    repositories,
    jobs,
    jobSessions,
    taskSessions: createTaskSessionKind(state, infrastructure, jobSessions, () => points.vmPoints),
    restoreSessions: createRestoreSessionKind(state, now, settings, infrastructure),
    ...points,
  };
}
