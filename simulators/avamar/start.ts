import { startBeat } from '../kit/beat.ts';
import { createClock } from '../kit/clock.ts';
import { type Certificate, listen, type RunningSimulator } from '../kit/server.ts';
import { openStore } from '../kit/store.ts';
import { createActivityEngine } from './activity-engine.ts';
import { createAvamarApp } from './app.ts';
import type { Server } from './env.ts';
import { createOutcomes } from './outcomes.ts';
import { createPageFaults } from './page-faults.ts';
import { createScheduler } from './scheduler.ts';
import type { Settings } from './settings.ts';
import { openState } from './open-state.ts';
import { advanceTasks } from './tasks.ts';
import { linkToVCenter } from '../hypervisor/vcenter-link.ts';

export interface AvamarSimulatorOptions {
  /** Where the hypervisor simulator listens, e.g. `http://127.0.0.1:4010`. */
  vcenterUrl: string;
  /** Default `127.0.0.1`. */
  host?: string;
  /** Default 0: the operating system chooses. */
  port?: number;
  /** Where the state is kept; without it, in memory. */
  stateFile?: string;
  /** How long a backup takes, default 12 s. `POST /_simulator/settings` changes it for those that come after. */
  backupSeconds?: number;
  /** How long a restore takes; default: as long as a backup. */
  restoreSeconds?: number;
  /** How long a replication group's run takes; default: as long as a backup. */
  replicationSeconds?: number;
  /** How long the asynchronous task takes that makes clients of machines, default 0.5 s. */
  taskSeconds?: number;
  /** The administrator, default `MCUser`. */
  user?: string;
  /** Default `avamar-simulator`. */
  password?: string;
  /** The name of the one registered vCenter and of its domain, default `vcenter.simulated`. Fixed by the first start. */
  vcenterName?: string;
  /** The server's own time zone, used by schedules that name none; default `UTC`. */
  timeZoneId?: string;
  /** With it the simulator speaks https, without it http. */
  certificate?: Certificate;
}

/** How often the server looks for what has become due. */
const BEAT_MS = 100;

/** Starts the Avamar simulator in this process. */
export async function startAvamarSimulator(options: AvamarSimulatorOptions): Promise<RunningSimulator> {
  const { backupSeconds = 12, taskSeconds = 0.5, timeZoneId = 'UTC' } = options;
  const store = openStore(options.stateFile);
  const clock = createClock(store);
  const state = openState(store, clock, {
    vcenterName: options.vcenterName ?? 'vcenter.simulated',
    timeZoneId,
  });
  let current: Settings = {
    backupSeconds,
    restoreSeconds: options.restoreSeconds ?? backupSeconds,
    replicationSeconds: options.replicationSeconds ?? backupSeconds,
    taskSeconds,
    timeZoneId,
  };
  const settings = (): Settings => current;
  const changeSettings = (change: Partial<Settings>): void => {
    current = { ...current, ...change };
  };
  const link = linkToVCenter(options.vcenterUrl);
  const outcomes = createOutcomes();
  const engine = createActivityEngine(state, clock, link, outcomes, settings);
  const scheduler = createScheduler(state, clock, engine);
  const { user = 'MCUser', password = 'avamar-simulator' } = options;
  const server: Server = {
    state,
    clock,
    settings,
    changeSettings,
    link,
    engine,
    scheduler,
    outcomes,
    pageFaults: createPageFaults(),
    user,
    password,
  };

  const advance = async (): Promise<void> => {
    scheduler.look();
    await advanceTasks(server);
    await engine.advance();
  };
  const pulse = startBeat(advance, BEAT_MS);
  const app = createAvamarApp(server, pulse.beat);
  const listening = await listen(app, options.host ?? '127.0.0.1', options.port ?? 0, options.certificate);
  return {
    url: listening.url,
    async close() {
      await listening.close();
      await pulse.stop();
      store.close();
    },
  };
}
