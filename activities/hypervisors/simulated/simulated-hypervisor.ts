/**
 * The hypervisor simulator, over its own JSON protocol (`simulators/hypervisor/app.ts`).
 * @module
 */
import { z } from 'zod';
import type { Disk, Hardware } from '../../../domain/virtual-machines.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { httpClient } from '../../http.ts';
import type { Hypervisor, VmIdentity } from '../hypervisor.ts';

const Fault = z.object({ message: z.string() });
const Vm = z.object({
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
export function simulatedHypervisor(datacenter: { readonly endpoint: string; readonly name: string }): Hypervisor {
  const http = httpClient({
    system: 'HYPERVISOR',
    called: `the hypervisor of ${datacenter.name}`,
    endpoint: datacenter.endpoint,
    tls: { mode: 'system' },
    wordsOf: (body) => Fault.safeParse(body).data?.message,
  });
  const allocation = (vm: VmIdentity): string => `/allocations/${encodeURIComponent(vm.id)}`;
  const machine = (vm: VmIdentity): string => `/vms/${encodeURIComponent(vm.id)}`;

  const find = async (context: CallContext, vm: VmIdentity): Promise<Vm | undefined> => {
    try {
      const call = { method: 'GET', path: machine(vm), purpose: `look at ${vm.name}`, answer: Vm } as const;
      return (await http.read(context, call)).body;
    } catch (error) {
      if (error instanceof ExternalSystemError && error.status === 404) return undefined;
      throw error;
    }
  };
  const change = async (
    context: CallContext,
    vm: VmIdentity,
    change: { cpu?: number; memoryMiB?: number; disks: SimulatedDisk[] },
    purpose: string,
  ): Promise<void> => {
    await http.write(context, { method: 'PATCH', path: machine(vm), json: change, purpose, answer: Vm });
  };
  const power = async (context: CallContext, vm: VmIdentity, state: 'ON' | 'OFF'): Promise<void> => {
    const purpose = `power ${state.toLowerCase()} ${vm.name}`;
    await http.write(context, { method: 'PUT', path: `${machine(vm)}/power`, json: { state }, purpose, answer: Vm });
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
    async reconfigure(context, vm, hardware) {
      const purpose = `reconfigure ${vm.name}`;
      const before = await find(context, vm);
      if (before === undefined) throw noSuchVm(datacenter.name, vm);
      const { cpu, memoryMiB } = hardware;
      await change(context, vm, { cpu, memoryMiB, disks: reversibly(before.disks, hardware.disks) }, purpose);
    },
    commitDisks: (context, vm, disks) =>
      change(context, vm, { disks: disks.map((disk) => ({ ...disk, attached: true })) }, `change disks of ${vm.name}`),
    destroy: (context, vm) => remove(context, machine(vm), `destroy ${vm.name}`),
    deallocate: (context, vm) => remove(context, allocation(vm), `give back the place of ${vm.name}`),
    powerOn: (context, vm) => power(context, vm, 'ON'),
    powerOff: (context, vm) => power(context, vm, 'OFF'),
    async inspect(context, vm) {
      const found = await find(context, vm);
      if (found === undefined) return undefined;
      const { moref, power: state, cpu, memoryMiB } = found;
      const disks = found.disks.filter((disk) => disk.attached).map(({ label, sizeGiB }) => ({ label, sizeGiB }));
      const hardware: Hardware = { cpu, memoryMiB, disks };
      return { ref: moref, power: state, hardware };
    },
  };
}

/** Added disks are attached, missing ones detached but kept, and no disk grows: all of it can be taken back. */
function reversibly(before: readonly SimulatedDisk[], wanted: readonly Disk[]): SimulatedDisk[] {
  const labels = new Set(wanted.map((disk) => disk.label));
  const known = new Set(before.map((disk) => disk.label));
  const kept = before.map((disk) => ({ ...disk, attached: labels.has(disk.label) }));
  const added = wanted.filter((disk) => !known.has(disk.label)).map((disk) => ({ ...disk, attached: true }));
  return [...kept, ...added];
}

function noSuchVm(datacenter: string, vm: VmIdentity): ExternalSystemError {
  const message = `the hypervisor of ${datacenter} has no virtual machine ${vm.name}`;
  return new ExternalSystemError({ kind: 'REFUSED', system: 'HYPERVISOR', message, status: 404 });
}
