import { linkToVCenter } from '../hypervisor/vcenter-link.ts';
import { startBeat } from '../kit/beat.ts';
import { createClock } from '../kit/clock.ts';
import { type Certificate, listen, type RunningSimulator } from '../kit/server.ts';
import { openStore } from '../kit/store.ts';
import { createVeeamApp } from './app.ts';
import type { Server } from './env.ts';
import { createInventory } from './inventory.ts';
import { createKinds } from './kinds.ts';
import { type Account, createSessions } from './logon.ts';
import { createOutcomes } from './outcomes.ts';
import { createPageFaults } from './page-faults.ts';
import { createRestoreEngine } from './restore-engine.ts';
import { createRunEngine } from './run-engine.ts';
import { createScheduler } from './scheduler.ts';
import { DEFAULT_SETTINGS, type Settings } from './settings.ts';
import { openState } from './state.ts';
import { advanceTasks } from './tasks.ts';
import { DEFAULT_TEMPLATES, type Template, addTemplate } from './templates.ts';

export interface VeeamSimulatorOptions {
  /** Where the hypervisor simulator listens, e.g. `http://127.0.0.1:4010`. */
  vcenterUrl: string;
  /** Default `127.0.0.1`. */
  host?: string;
  /** Default 0: the operating system chooses. */
  port?: number;
  /** Where the state is kept; without it, in memory. */
  stateFile?: string;
  /** How the server behaves, where it differs from the defaults. `POST /_simulator/settings` changes it later. */
  settings?: Partial<Settings>;
  /** Default: `Administrator`, who may do everything, and `viewer`, who may change no job. */
  accounts?: readonly Account[];
  /** Jobs that are there to be cloned; default: see {@link DEFAULT_TEMPLATES}. */
  templates?: readonly Template[];
  /** The name of the hierarchy root of the vCenter, default `vcenter.simulated`. */
  vcenterName?: string;
  /** With it the simulator speaks https, without it http. */
  certificate?: Certificate;
}

const PASSWORD = 'veeam-simulator';
const ACCOUNTS: readonly Account[] = [
  { user: 'Administrator', password: PASSWORD, role: 'Portal Administrator' },
  { user: 'viewer', password: PASSWORD, role: 'Portal User' },
];

/** How often the server looks for what has become due. */
const BEAT_MS = 50;

/** Starts the simulated Veeam Backup Enterprise Manager, and the backup server behind it, in this process. */
export async function startVeeamSimulator(options: VeeamSimulatorOptions): Promise<RunningSimulator> {
  const store = openStore(options.stateFile);
  const clock = createClock(store);
  const state = openState(store);
  let current: Settings = { ...DEFAULT_SETTINGS, ...options.settings };
  const settings = (): Settings => current;
  const link = linkToVCenter(options.vcenterUrl);
  const outcomes = createOutcomes();
  const inventory = createInventory(state, clock, link, settings);
  const runs = createRunEngine(state, clock, link, outcomes, settings);
  const restores = createRestoreEngine(state, clock, link, outcomes, settings);
  const scheduler = createScheduler(state, clock, runs, settings);
  const vcenterName = options.vcenterName ?? 'vcenter.simulated';
  const kinds = createKinds({ state, clock, settings, runs, scheduler, vcenterName });
  for (const template of options.templates ?? DEFAULT_TEMPLATES) addTemplate(state, template);
  // A vCenter that is away now is asked when somebody wants to know.
  await link.about().then(
    ({ instanceUuid }) => state.rememberVCenter(instanceUuid),
    () => undefined,
  );
  await inventory.noteOld().catch(() => undefined);

  const pulse = startBeat(advance, BEAT_MS);
  const server: Server = {
    state,
    clock,
    settings,
    changeSettings: (change) => {
      current = { ...current, ...change };
    },
    inventory,
    runs,
    restores,
    sessions: createSessions(clock, settings),
    outcomes,
    pageFaults: createPageFaults(),
    accounts: options.accounts ?? ACCOUNTS,
    beat: pulse.beat,
  };

  async function advance(): Promise<void> {
    // What has ended by now ends first: a clock that was moved must not make a job miss its next run.
    await Promise.all([runs.advance(), restores.advance()]);
    scheduler.look();
    await advanceTasks(server);
  }
  const app = createVeeamApp(server, kinds);
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
