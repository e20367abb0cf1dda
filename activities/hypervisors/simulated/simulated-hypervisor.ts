/**
 * The hypervisor simulator, over its own JSON protocol (`simulators/hypervisor/app.ts`).
 * @module
 */
import { z } from 'zod';
import { HoldfastError } from '../../../domain/errors.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { httpClient, type OnCall } from '../../http.ts';
import type { Hypervisor, InspectedVm, VmIdentity } from '../hypervisor.ts';
import { bearsMark, withMark, withoutMark } from '../mark.ts';

const Fault = z.object({ message: z.string() });
const Vm = z.object({
  id: z.string().nullable(),
  moref: z.string(),
  power: z.enum(['ON', 'OFF']),
  cpu: z.number(),
  memoryMiB: z.number(),
  disks: z.array(z.object({ label: z.string(), sizeGiB: z.number(), attached: z.boolean() })),
  annotation: z.string().optional(),
});
const Vms = z.object({ vms: z.array(Vm) });
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
  const byRef = (ref: string): string => `/morefs/${encodeURIComponent(ref)}`;
  const needByRef = async (context: CallContext, ref: string): Promise<Vm> => {
    const found = await get(context, byRef(ref), `look at ${ref}`);
    if (found !== undefined) return found;
    const message = `the hypervisor of ${datacenter.name} has no machine ${ref}`;
    throw new HoldfastError('HYPERVISOR_VM_NOT_FOUND', message);
  };
  const inUse = (ref: string, why: string): HoldfastError =>
    new HoldfastError('HYPERVISOR_VM_IN_USE', `the machine ${ref} of ${datacenter.name} ${why}`);
  /** @param takenFrom the machine that has the id until now: in one step, so that the VM is never nobody's. */
  const identify = async (
    context: CallContext,
    ref: string,
    identity: { id: string | null; annotation: string; takenFrom?: string },
    purpose: string,
  ): Promise<Vm> => {
    const call = { method: 'PUT', path: `${byRef(ref)}/identity`, json: identity, purpose, answer: Vm } as const;
    try {
      return (await http.write(context, call)).body;
    } catch (error) {
      if (!(error instanceof ExternalSystemError && error.status === 409)) throw error;
      throw inUse(ref, 'belongs to another virtual machine already');
    }
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
      const json = { name: vm.name, ...hardware, annotation: withMark(undefined, vm.id) };
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
      const found = await needByRef(context, ref);
      if (found.id === vm.id && bearsMark(found.annotation, vm.id)) return inspected(found);
      const identity = { id: vm.id, annotation: withMark(found.annotation, vm.id) };
      return inspected(await identify(context, ref, identity, `register ${ref} as ${vm.name}`));
    },
    async unregister(context, vm) {
      const found = await find(context, vm);
      if (found === undefined) return;
      const identity = { id: null, annotation: withoutMark(found.annotation) };
      await identify(context, found.moref, identity, `give ${found.moref} back`);
    },
    async machinesOf(context, vm) {
      const purpose = `look for the machines of ${vm.name}`;
      const { body } = await http.read(context, { method: 'GET', path: '/vms', purpose, answer: Vms });
      const marked = body.vms.filter((one) => one.id === vm.id || bearsMark(one.annotation, vm.id));
      return marked.map((one) => ({ ...inspected(one), isVm: one.id === vm.id }));
    },
    async takeOver(context, vm, ref) {
      const found = await needByRef(context, ref);
      if (found.id !== null && found.id !== vm.id) throw inUse(ref, 'belongs to another virtual machine already');
      // References repeat where there are several hypervisors: the name of a machine says nothing of whose it is.
      if (found.id === null && !bearsMark(found.annotation, vm.id)) {
        throw inUse(ref, `does not bear the mark of ${vm.name}; it is left alone`);
      }
      const until = await find(context, vm);
      const former = until?.moref === ref ? undefined : until;
      // A machine from before marks were written could not be told from a stranger's once it is the VM no more.
      if (former !== undefined && !bearsMark(former.annotation, vm.id)) {
        const identity = { id: vm.id, annotation: withMark(former.annotation, vm.id) };
        await identify(context, former.moref, identity, `mark ${former.moref} as ${vm.name}`);
      }
      if (found.id === vm.id && bearsMark(found.annotation, vm.id)) return inspected(found);
      const identity = {
        id: vm.id,
        annotation: withMark(found.annotation, vm.id),
        ...(former === undefined ? {} : { takenFrom: former.moref }),
      };
      return inspected(await identify(context, ref, identity, `take over ${ref} as ${vm.name}`));
    },
    async removeSuperseded(context, vm, ref) {
      const found = await get(context, byRef(ref), `look at ${ref}`);
      if (found === undefined) return false;
      if (found.id !== null) {
        throw inUse(ref, found.id === vm.id ? `is ${vm.name} itself` : 'belongs to another virtual machine');
      }
      if (!bearsMark(found.annotation, vm.id))
        throw inUse(ref, `does not bear the mark of ${vm.name}; it is left alone`);
      if (found.power === 'ON') {
        const message = `the machine ${ref} of ${datacenter.name}, which was ${vm.name}, is switched on; it is left alone`;
        throw new HoldfastError('SUPERSEDED_VM_IN_USE', message);
      }
      await remove(context, byRef(ref), `remove ${ref}, which was ${vm.name}`);
      return true;
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
