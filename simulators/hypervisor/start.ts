import { listen, type RunningSimulator } from '../kit/server.ts';
import { openStore } from '../kit/store.ts';
import { createHypervisorApp } from './app.ts';
import { createInventory } from './inventory.ts';

export interface HypervisorSimulatorOptions {
  /** Default `127.0.0.1`. */
  host?: string;
  /** Default 0: the operating system chooses. */
  port?: number;
  /** Where the state is kept; without it, in memory. */
  stateFile?: string;
}

/** Starts the hypervisor simulator in this process. */
export async function startHypervisorSimulator(options: HypervisorSimulatorOptions = {}): Promise<RunningSimulator> {
  const store = openStore(options.stateFile);
  const app = createHypervisorApp(createInventory(store));
  const server = await listen(app, options.host ?? '127.0.0.1', options.port ?? 0);
  return {
    url: server.url,
    async close() {
      await server.close();
      store.close();
    },
  };
}
