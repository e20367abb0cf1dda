import type { SimulatedClock } from '../kit/clock.ts';
import type { Env } from '../kit/faults.ts';
import type { Inventory } from './inventory.ts';
import type { Account, LogonSession, Sessions } from './logon.ts';
import type { Outcomes } from './outcomes.ts';
import type { PageFaults } from './page-faults.ts';
import type { RestoreEngine } from './restore-engine.ts';
import type { RunEngine } from './run-engine.ts';
import type { Settings } from './settings.ts';
import type { State } from './state.ts';

export type VeeamEnv = { Bindings: Env['Bindings']; Variables: { session: LogonSession } };

/** What the resources work with. */
export type Server = {
  state: State;
  clock: SimulatedClock;
  settings: () => Settings;
  changeSettings: (change: Partial<Settings>) => void;
  inventory: Inventory;
  runs: RunEngine;
  restores: RestoreEngine;
  sessions: Sessions;
  outcomes: Outcomes;
  pageFaults: PageFaults;
  accounts: readonly Account[];
  /** Does everything that is due now; resolves when it is done. */
  beat: () => Promise<void>;
};
