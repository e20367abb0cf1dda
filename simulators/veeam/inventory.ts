import type { VCenterLink, Machine } from '../hypervisor/vcenter-link.ts';
import { type SimulatedClock, isWaitOver } from '../kit/clock.ts';
import type { Settings } from './settings.ts';
import { type MachineRef, type State, sameRef } from './state.ts';

type KnownMachine = { ref: MachineRef; name: string };
export type Inventory = ReturnType<typeof createInventory>;

/**
 * The server's view of the vCenter: a machine is unknown for a while after it was first asked for. Beside the vCenter
 * there is a hierarchy with the machines of the template jobs, which exist in name alone.
 */
export function createInventory(state: State, clock: SimulatedClock, link: VCenterLink, settings: () => Settings) {
  const noted = async (at: number): Promise<Machine[]> => {
    const machines = await link.machines();
    for (const { moref } of machines) if (state.seen.get(moref) === undefined) state.seen.put(moref, { at });
    return machines;
  };
  const ofTemplates = (): KnownMachine[] => {
    const { templateRootId } = state.identity();
    const includes = state.jobs.values().flatMap((job) => job.includes);
    const found = includes.filter(({ ref }) => ref.rootId === templateRootId);
    return [...new Map(found.map(({ ref, name }) => [ref.moref, { ref, name }])).values()];
  };
  const known = async (): Promise<KnownMachine[]> => {
    const now = clock.now();
    const machines = await noted(now);
    const { rootId } = state.identity();
    const listed = machines.filter(({ moref }) => {
      const firstAsked = state.seen.get(moref)?.at ?? now;
      return isWaitOver(now, firstAsked, firstAsked + settings().lookupSeconds * 1000);
    });
    return [...listed.map(({ moref, name }) => ({ ref: { rootId, moref }, name })), ...ofTemplates()];
  };

  return {
    known,
    /** Machines that are there when the server starts have been known for long. */
    noteOld: async (): Promise<void> => void (await noted(0)),
    find: async (ref: MachineRef): Promise<KnownMachine | undefined> =>
      (await known()).find((machine) => sameRef(machine.ref, ref)),
  };
}
