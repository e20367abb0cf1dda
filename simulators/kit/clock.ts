import type { Store } from './store.ts';

/** The time a simulator believes in: the machine's time plus an offset that is kept with the state. Epoch milliseconds. */
export interface SimulatedClock {
  now(): number;
  /** Moves the time forward (or back) by that much. */
  advance(seconds: number): void;
  offsetSeconds(): number;
}

export function createClock(store: Store): SimulatedClock {
  const kept = store.collection<{ offsetMs: number }>('clock');
  const offsetMs = (): number => kept.get('self')?.offsetMs ?? 0;
  return {
    now: () => Date.now() + offsetMs(),
    advance: (seconds) => void kept.put('self', { offsetMs: offsetMs() + seconds * 1000 }),
    offsetSeconds: () => offsetMs() / 1000,
  };
}

/**
 * Whether a wait from one moment to another is over at `now`. A clock that was put back ends the waits that began later
 * than it shows, which would last for as long as it was ahead.
 */
export const isWaitOver = (now: number, from: number, until: number): boolean => now >= until || now < from;
