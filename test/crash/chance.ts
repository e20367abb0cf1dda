/**
 * Chance that can be repeated: the same seed decides the same.
 * @module
 */

/** A source of chance. */
export interface Chance {
  /** 0 or more, and less than 1. */
  fraction(): number;
  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number;
  /** One of them. @throws when there are none. */
  pick<T>(from: readonly T[]): T;
  /** All of them, in another order. */
  shuffled<T>(all: readonly T[]): T[];
  /** A source of its own for that purpose: what one of them draws changes nothing for another. */
  of(purpose: string): Chance;
}

/** The source that a seed begins (mulberry32: small, and good enough to choose by). */
export function chanceFrom(seed: number): Chance {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296;
  };
  const whole = (low: number, high: number): number => low + Math.floor(fraction() * (high - low + 1));
  return {
    fraction,
    whole,
    pick<T>(from: readonly T[]): T {
      if (from.length === 0) throw new Error('nothing to choose from');
      return from[whole(0, from.length - 1)] as T;
    },
    shuffled<T>(all: readonly T[]): T[] {
      const rest = [...all];
      for (let last = rest.length - 1; last > 0; last -= 1) {
        const other = whole(0, last);
        [rest[last], rest[other]] = [rest[other] as T, rest[last] as T];
      }
      return rest;
    },
    of: (purpose) => chanceFrom(mixed(seed, purpose)),
  };
}

/** FNV-1a over the letters. */
function mixed(seed: number, purpose: string): number {
  let sum = seed ^ 0x811c9dc5;
  for (let index = 0; index < purpose.length; index += 1) {
    sum = Math.imul(sum ^ purpose.charCodeAt(index), 16_777_619);
  }
  return sum;
}
