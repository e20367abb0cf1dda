import { ExternalSystemError } from '../calls.ts';
import type { HypervisorFactory } from './hypervisor.ts';
import { simulatedHypervisor } from './simulated/simulated-hypervisor.ts';

/**
 * The hypervisor of a datacenter, by its plugin type.
 * @throws ExternalSystemError `REFUSED` when Holdfast has no plugin of that type.
 */
export const hypervisorFactory: HypervisorFactory = (datacenter) => {
  if (datacenter.type === 'simulated') return simulatedHypervisor(datacenter);
  const message = `Holdfast has no hypervisor plugin of type ${datacenter.type}, which ${datacenter.name} asks for`;
  throw new ExternalSystemError({ kind: 'REFUSED', system: 'HYPERVISOR', message });
};
