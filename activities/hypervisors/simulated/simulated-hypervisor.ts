/**
 * The hypervisor simulator, over its own JSON protocol (`simulators/hypervisor/app.ts`).
 * @module
 */
import { z } from 'zod';
import { HoldfastError } from '../../../domain/errors.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { httpClient, type OnCall } from '../../http.ts';
import type { Hypervisor, InspectedVm, VmIdentity } from '../hypervisor.ts';

const Fault = z.object({ message: z.string() });
const Vm = z.object({
  id: z.string().nullable(),
  moref: z.string(),
  power: z.enum(['ON', 'OFF']),
  cpu: z.number(),
  memoryMiB: z.number(),
  disks: z.array(z.object({ label: z.string(), sizeGiB: z.number(), attached: z.boolean() })),
});
type Vm = z.infer<typeof Vm>;
type SimulatedDisk = Vm['disks'][number];

/**
 * The hypervisor of a datacenter of type `simulated`. The protocol is idempotent by the VM's id, so every method can
 * simply be repeated after a lost answer.
 */
export function simulatedHypervisor(datacenter: {
  readonly endpoint: string;
  readonly name: string;
  readonly onCall?: OnCall;
}): Hypervisor {
  const http = httpClient({
    system: 'HYPERVISOR',
    called: `the hypervisor of ${datacenter.name}`,
    endpoint: datacenter.endpoint,
    tls: { mode: 'system' },
    onCall: datacenter.onCall,
    wordsOf: (body) => Fault.safeParse(body).data?.message,
  });
  const allocation = (vm: VmIdentity): string => `/allocations/${encodeURIComponent(vm.id)}`;
  const machine = (vm: VmIdentity): string => `/vms/${encodeURIComponent(vm.id)}`;

  const get = async (context: CallContext, path: string, purpose: string): Promise<Vm | undefined> => {
    try {
      return (await http.read(context, { method: 'GET', path, purpose, answer: Vm })).body;
    } catch (error) {
      if (error instanceof ExternalSystemError && error.status === 404) return undefined;
      throw error;
    }
  };
  const find = (context: CallContext, vm: VmIdentity) => get(context, machine(vm), `look at ${vm.name}`);
  const need = async (context: CallContext, vm: VmIdentity): Promise<Vm> => {
    const found = await find(context, vm);
    if (found !== undefined) return found;
    throw refused(`the hypervisor of ${datacenter.name} has no virtual machine ${vm.name}`, 404);
  };
  const change = async (
    context: CallContext,
    vm: VmIdentity,
    change: { cpu?: number; memoryMiB?: number; disks: SimulatedDisk[]; keepAttached?: true },
    purpose: string,
  ): Promise<void> => {
    await http.write(context, { method: 'PATCH', path: machine(vm), json: change, purpose, answer: Vm });
  };
  const power = async (context: CallContext, vm: VmIdentity, state: 'ON' | 'OFF'): Promise<void> => {
    const purpose = `power ${state.toLowerCase()} ${vm.name}`;
    await http.write(context, { method: 'PUT', path: `${machine(vm)}/power`, json: { state }, purpose, answer: Vm });
  };
  const identify = async (context: CallContext, ref: string, id: string | null, purpose: string): Promise<Vm> => {
    const path = `/morefs/${encodeURIComponent(ref)}/identity`;
    return (await http.write(context, { method: 'PUT', path, json: { id }, purpose, answer: Vm })).body;
  };
  const remove = async (context: CallContext, path: string, purpose: string): Promise<void> => {
    await http.write(context, { method: 'DELETE', path, purpose, answer: z.unknown() });
  };

  return {
    async allocate(context, vm, hardware) {
      const json = { name: vm.name, ...hardware };
      const purpose = `reserve a place for ${vm.name}`;
      await http.write(context, { method: 'PUT', path: allocation(vm), json, purpose, answer: z.unknown() });
    },
    async configure(context, vm, hardware) {
      const json = { name: vm.name, ...hardware };
      const call = { method: 'PUT', path: machine(vm), json, purpose: `create ${vm.name}`, answer: Vm } as const;
      return { ref: (await http.write(context, call)).body.moref };
    },
    async reconfigure(context, vm, { cpu, memoryMiB, attach, detach }) {
      const { disks } = await need(context, vm);
      const left = attach.find(({ label }) => disks.some((disk) => disk.label === label && !disk.attached));
      if (left !== undefined) throw refused(`${vm.name} has a detached disk ${left.label}; nothing was changed`);
      const kept = disks.map((disk) => (detach.includes(disk.label) ? { ...disk, attached: false } : disk));
      const known = new Set(disks.map((disk) => disk.label));
      const added = attach.filter((disk) => !known.has(disk.label)).map((disk) => ({ ...disk, attached: true }));
      await change(context, vm, { cpu, memoryMiB, disks: [...kept, ...added] }, `reconfigure ${vm.name}`);
    },
    async putBack(context, vm, { cpu, memoryMiB, attach, remove }) {
      const { disks } = await need(context, vm);
      const lost = attach.find((label) => !disks.some((disk) => disk.label === label));
      if (lost !== undefined) throw refused(`the detached disk ${lost} of ${vm.name} is not there any more`);
      const kept = disks
        .filter((disk) => !(disk.attached && remove.includes(disk.label)))
        .map((disk) => (attach.includes(disk.label) ? { ...disk, attached: true } : disk));
      await change(context, vm, { cpu, memoryMiB, disks: kept }, `put back the hardware of ${vm.name}`);
    },
    async commitDisks(context, vm, { grow, remove }) {
      const { disks } = await need(context, vm);
      const missing = grow.find(({ label }) => !disks.some((disk) => disk.label === label));
      if (missing !== undefined) throw refused(`${vm.name} has no disk ${missing.label} to grow`);
      const inUse = disks.find((disk) => disk.attached && remove.includes(disk.label));
      if (inUse !== undefined) throw refused(`disk ${inUse.label} of ${vm.name} is attached; nothing was changed`);
      const size = (disk: SimulatedDisk) => grow.find(({ label }) => label === disk.label)?.sizeGiB ?? 0;
      const grown = disks.map((disk) => ({ ...disk, sizeGiB: Math.max(disk.sizeGiB, size(disk)) }));
      const kept = grown.filter((disk) => !remove.includes(disk.label));
      // One request for both: it is refused as a whole, also where a disk was attached in the meantime.
      await change(context, vm, { disks: kept, keepAttached: true }, `change disks of ${vm.name}`);
    },
    destroy: (context, vm) => remove(context, machine(vm), `destroy ${vm.name}`),
    deallocate: (context, vm) => remove(context, allocation(vm), `give back the place of ${vm.name}`),
    powerOn: (context, vm) => power(context, vm, 'ON'),
    powerOff: (context, vm) => power(context, vm, 'OFF'),
    async inspect(context, vm) {
      const found = await find(context, vm);
      return found === undefined ? undefined : inspected(found);
    },
    async register(context, vm, ref) {
      const found = await get(context, `/morefs/${encodeURIComponent(ref)}`, `look at ${ref}`);
      if (found === undefined) {
        throw new HoldfastError(
          'HYPERVISOR_VM_NOT_FOUND',
          `the hypervisor of ${datacenter.name} has no machine ${ref}`,
        );
      }
      if (found.id === vm.id) return inspected(found);
      try {
        return inspected(await identify(context, ref, vm.id, `register ${ref} as ${vm.name}`));
      } catch (error) {
        if (!(error instanceof ExternalSystemError && error.status === 409)) throw error;
        throw new HoldfastError(
          'HYPERVISOR_VM_IN_USE',
          `the machine ${ref} of ${datacenter.name} belongs to another virtual machine already`,
        );
      }
    },
    async unregister(context, vm) {
      const found = await find(context, vm);
      if (found !== undefined) await identify(context, found.moref, null, `give ${found.moref} back`);
    },
  };
}

function inspected({ moref, power, cpu, memoryMiB, disks }: Vm): InspectedVm {
  const attached = disks.filter((disk) => disk.attached).map(({ label, sizeGiB }) => ({ label, sizeGiB }));
  return { ref: moref, power, hardware: { cpu, memoryMiB, disks: attached } };
}

function refused(message: string, status?: number): ExternalSystemError {
  return new ExternalSystemError({
    kind: 'REFUSED',
    system: 'HYPERVISOR',
    message,
    ...(status === undefined ? {} : { status }),
  });
}
