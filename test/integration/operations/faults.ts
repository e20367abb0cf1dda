/**
 * The fault switches of a simulator.
 * @module
 */
import { until } from './until.ts';

/** What a fault switch takes. */
export interface Fault {
  readonly method?: string;
  readonly path: string;
  /** A regular expression that the body of the request matches. */
  readonly body?: string;
  readonly when: 'before' | 'after';
  readonly times?: number;
  readonly action:
    | { readonly status: number; readonly body?: unknown }
    | { readonly drop: true }
    | { readonly delayMs: number }
    | { readonly hold: true };
}

interface Switched {
  readonly id: number;
  readonly holding: number;
}

/**
 * @param url of the simulator.
 * @param name begins what is said when it does not do in time what is waited for.
 */
export function faultsOf(url: string, name: string) {
  const switches = `${url}/_simulator/faults`;
  const all = async (): Promise<Switched[]> =>
    ((await (await fetch(switches)).json()) as { faults: Switched[] }).faults;
  const held = async (): Promise<number> => (await all()).reduce((sum, { holding }) => sum + holding, 0);
  const add = (fault: Fault) => post(switches, fault);
  return {
    break: add,
    /** Keeps requests that match waiting on the server until they are let go. */
    hold: async (fault: Omit<Fault, 'action'>) => {
      const { id } = (await add({ ...fault, action: { hold: true } })) as Switched;
      return {
        held: () =>
          until(
            `${name} holds a request`,
            async () => (await all()).find((one) => one.id === id)?.holding,
            (holding) => holding === 1,
          ),
        letGo: async (): Promise<void> => {
          await fetch(`${switches}/${id}`, { method: 'DELETE' });
        },
      };
    },
    /** Waits until a request is held by any fault of action `hold`. */
    holds: () => until(`${name} holds a request`, held, (count) => count > 0),
    /** How many are still to come. */
    left: async (): Promise<number> => (await all()).length,
    mend: async (): Promise<void> => {
      await fetch(switches, { method: 'DELETE' });
    },
  };
}

/** Posts JSON. @throws Error with the answer when that is no success. */
export async function post(url: string, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return response.json().catch(() => undefined);
}
