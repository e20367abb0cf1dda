import type { Group, State } from './state.ts';

/** Replicates backups: the swagger's example of a destination's plug-in. */
export const REPLICATE = 1008;
/** Image backup plug-ins: 3016 is the swagger's example of a VM's plug-in; 1016 is its Linux twin. */
export const LINUX_IMAGE = 1016;
const NAMES: Record<number, string> = {
  [REPLICATE]: 'Replicate',
  [LINUX_IMAGE]: 'Linux VMware Image',
  3016: 'Windows VMware Image',
};

export const pluginName = (pluginNumber: number): string => NAMES[pluginNumber] ?? `Plug-in ${pluginNumber}`;

/** The plug-in that a group's dataset names, the Linux image one when it names none. */
export function pluginOf(group: Group, state: State): number {
  const dataset = state.datasets.get(group.datasetId);
  return dataset?.targets[0]?.pluginNumber ?? dataset?.includes[0]?.pluginNumber ?? LINUX_IMAGE;
}
