/**
 * Machines of the hypervisor simulator.
 * @module
 */
import type { ProtectedVm } from '../../activities/backup-systems/backup-system.ts';
import { simulatedHypervisor } from '../../activities/hypervisors/simulated/simulated-hypervisor.ts';
import type { Machines } from './plugin-under-test.ts';
import { openContext } from './port-calls.ts';

const HARDWARE = {
  cpu: 1,
  memoryMiB: 512,
  disks: [
    { label: 'Hard disk 1', sizeGiB: 1 },
    { label: 'Hard disk 2', sizeGiB: 1 },
  ],
};
const FIRST_DISK = 'Hard disk 1';

/**
 * Each machine gets a name of its own.
 * @param url of the simulator.
 */
export function simulatedMachines(url: string): Required<Machines> {
  const hypervisor = simulatedHypervisor({ endpoint: url, name: 'dc-1' });
  const context = openContext();
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(`${url}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  return {
    async deploy(wanted, again): Promise<ProtectedVm> {
      const id = again ?? crypto.randomUUID();
      const name = again === undefined ? `${wanted}-${id.slice(0, 8)}` : wanted;
      await hypervisor.allocate(context, { id, name }, HARDWARE);
      const { ref } = await hypervisor.configure(context, { id, name }, HARDWARE);
      return { id, name, hypervisorRef: ref, vendorRefs: [] };
    },
    async undeploy(vm) {
      await hypervisor.destroy(context, vm);
      await hypervisor.deallocate(context, vm);
    },
    async readDisks(vm) {
      const { vms } = (await get('/vms')) as { vms: { moref: string; name: string }[] };
      // A backup system that finds the name taken adds something to it.
      const refs = vms.filter(({ name }) => name === vm.name || new RegExp(`^${vm.name}[^A-Za-z0-9-]`).test(name));
      const contents = refs.map(async ({ moref }) => {
        const { disks } = (await get(`/morefs/${moref}/contents`)) as { disks: Record<string, string> };
        return [moref, disks[FIRST_DISK] ?? ''] as const;
      });
      return new Map(await Promise.all(contents));
    },
    async writeDisk(vm, content) {
      const path = `/vms/${vm.id}/disks/${encodeURIComponent(FIRST_DISK)}/content`;
      const response = await fetch(`${url}${path}`, { method: 'PUT', body: JSON.stringify({ content }) });
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
    },
  };
}
