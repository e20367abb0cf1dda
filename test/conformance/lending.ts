/**
 * Worlds that are lent to one story at a time. Most of a story is waiting for a backup system, so several are played
 * side by side.
 * @module
 */
import type { PluginUnderTest } from './plugin-under-test.ts';

/** Uses a world alone, when one is free; it is given back healthy. */
export type Lending = <T>(use: (world: PluginUnderTest) => Promise<T>) => Promise<T>;

export function lending(worlds: readonly PluginUnderTest[]): Lending {
  const free = [...worlds];
  const waiting: ((world: PluginUnderTest) => void)[] = [];
  return async (use) => {
    const world = free.pop() ?? (await new Promise<PluginUnderTest>((resolve) => waiting.push(resolve)));
    try {
      return await use(world);
    } finally {
      await world.wire.heal();
      const next = waiting.shift();
      if (next === undefined) free.push(world);
      else next(world);
    }
  };
}
