/**
 * What a database would keep of writes that make things under a name.
 * @module
 */
import type { NamedWrites } from '../activities/calls.ts';

const begun = new Map<string, number>();

/** It survives what stands for a process in a test: every context that it is given to knows the same. */
export const rememberedWrites: NamedWrites = {
  begin: async (name) => void begun.set(name, performance.now()),
  settle: async (name) => void begun.delete(name),
  unsettledFor: async (name) => {
    const since = begun.get(name);
    return since === undefined ? undefined : performance.now() - since;
  },
  unsettled: async (prefix) => [...begun.keys()].filter((name) => name.startsWith(prefix)),
};
