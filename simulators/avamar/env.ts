import type { Env } from '../kit/faults.ts';
import type { SimulatedClock } from '../kit/clock.ts';
import type { ActivityEngine } from './activity-engine.ts';
import type { Outcomes } from './outcomes.ts';
import type { PageFaults } from './page-faults.ts';
import type { Scheduler } from './scheduler.ts';
import type { Settings } from './settings.ts';
import type { State } from './state.ts';
import type { VCenterLink } from '../hypervisor/vcenter-link.ts';

/** Who asks, from the token. */
export type Caller = { userName: string; clientId: string; jti: string };

export type AvamarEnv = { Bindings: Env['Bindings']; Variables: { caller: Caller } };

/** What the resources work with. */
export type Server = {
  state: State;
  clock: SimulatedClock;
  settings: () => Settings;
  changeSettings: (change: Partial<Settings>) => void;
  link: VCenterLink;
  engine: ActivityEngine;
  scheduler: Scheduler;
  outcomes: Outcomes;
  pageFaults: PageFaults;
  /** The administrator's name and password. */
  user: string;
  password: string;
};
