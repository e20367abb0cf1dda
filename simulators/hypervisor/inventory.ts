/**
 * What the simulated hypervisor holds: allocations, virtual machines and a list of the effects that really happened.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Store } from '../kit/store.ts';

export const DiskSpec = z.object({
  label: z.string().min(1),
  sizeGiB: z.number().positive(),
  /** A detached disk keeps its content but is not part of the machine: no backup sees it. */
  attached: z.boolean().default(true),
});
export const Hardware = z.object({
  name: z.string().min(1),
  cpu: z.number().int().positive(),
  memoryMiB: z.number().int().positive(),
  disks: z.array(DiskSpec),
});

export type DiskSpec = z.infer<typeof DiskSpec>;
export type Hardware = z.infer<typeof Hardware>;
export type Disk = DiskSpec & { content: string };
export type Allocation = Hardware & { id: string; host: string };
export type Power = 'ON' | 'OFF';
export type Vm = Omit<Hardware, 'disks'> & {
  /** The caller's id; null on a machine that a backup system made. */
  id: string | null;
  moref: string;
  host: string;
  power: Power;
  disks: Disk[];
  instanceUuid: string;
  annotation?: string;
  /** The key of the request that made it, so that a repeated one finds it again. */
  key?: string;
};
export type EffectKind =
  | 'allocate'
  | 'configure'
  | 'reconfigure'
  | 'power'
  | 'destroy'
  | 'deallocate'
  | 'write-contents'
  | 'restore-as-new';
/** `id` is the caller's VM id, or the MoRef of a machine that has none. */
export type Effect = { at: string; kind: EffectKind; id: string; moref?: string; detail?: string };

/** A request that cannot be obeyed: the status, and the `{code, message}` of the answer. */
export class Refusal extends Error {
  readonly status: 404 | 409 | 422;
  readonly code: string;
  constructor(status: 404 | 409 | 422, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** As in vSphere: a virtual disk has at most 62 TiB. */
const LARGEST_DISK_GIB = 62 * 1024;

const HOSTS = ['esx-1.simulated', 'esx-2.simulated'];

export type Inventory = ReturnType<typeof createInventory>;

/** Opens the inventory in a store. Every method is idempotent: repeating it changes nothing and records no effect. */
export function createInventory(store: Store) {
  const allocations = store.collection<Allocation>('allocations');
  const vms = store.collection<Vm>('vms');
  const effects = store.collection<Effect>('effects');
  const identity = store.collection<{ instanceUuid: string; lastMoref: number }>('identity');
  if (identity.get('self') === undefined) identity.put('self', { instanceUuid: randomUUID(), lastMoref: 100 });

  const self = () => identity.get('self') ?? { instanceUuid: '', lastMoref: 0 };
  const record = (effect: Omit<Effect, 'at'>): void => {
    effects.put(String(effects.size + 1), { at: new Date().toISOString(), ...effect });
  };
  // MoRefs are never used twice, as on a vCenter: a machine that was made again is another machine to a backup system.
  const nextMoref = (): string => {
    const { instanceUuid, lastMoref } = self();
    identity.put('self', { instanceUuid, lastMoref: lastMoref + 1 });
    return `vm-${lastMoref + 1}`;
  };
  const nameOf = (vm: Vm): string => vm.id ?? vm.moref;
  const withContents = (disks: DiskSpec[], before: Disk[]): Disk[] =>
    disks.map((disk) => ({ ...disk, content: before.find(({ label }) => label === disk.label)?.content ?? '' }));
  const hardwareOf = ({ cpu, memoryMiB, disks }: Pick<Vm, 'cpu' | 'memoryMiB' | 'disks'>): string =>
    JSON.stringify([cpu, memoryMiB, disks.map(({ label, sizeGiB, attached }) => [label, sizeGiB, attached])]);

  const morefById = new Map<string, string>();
  for (const { id, moref } of vms.values()) if (id !== null) morefById.set(id, moref);
  const find = (id: string): Vm | undefined => vms.get(morefById.get(id) ?? '');
  const need = (id: string): Vm => {
    const vm = find(id);
    if (vm === undefined) throw new Refusal(404, 'NO_SUCH_VM', `There is no virtual machine ${id}.`);
    return vm;
  };
  const needMoref = (moref: string): Vm => {
    const vm = vms.get(moref);
    if (vm === undefined)
      throw new Refusal(404, 'NO_SUCH_VM', `There is no virtual machine with the reference ${moref}.`);
    return vm;
  };
  const put = (vm: Vm, effect: Omit<Effect, 'at' | 'id' | 'moref'>): Vm => {
    record({ ...effect, id: nameOf(vm), moref: vm.moref });
    if (vm.id !== null) morefById.set(vm.id, vm.moref);
    return vms.put(vm.moref, vm);
  };

  return {
    instanceUuid: (): string => self().instanceUuid,
    effects: (): Effect[] => effects.values(),
    list: (): Vm[] => vms.values(),
    get: need,
    getByMoref: needMoref,

    allocation(id: string): Allocation {
      const allocation = allocations.get(id);
      if (allocation === undefined) throw new Refusal(404, 'NO_SUCH_ALLOCATION', `Nothing is allocated for ${id}.`);
      return allocation;
    },
    allocate(id: string, hardware: Hardware): { allocation: Allocation; created: boolean } {
      const existing = allocations.get(id);
      if (existing !== undefined) return { allocation: existing, created: false };
      const host = HOSTS[allocations.size % HOSTS.length] as string;
      record({ kind: 'allocate', id });
      return { allocation: allocations.put(id, { id, host, ...hardware }), created: true };
    },
    deallocate(id: string): void {
      if (!allocations.get(id)) return;
      if (find(id))
        throw new Refusal(409, 'VM_EXISTS', `A virtual machine uses the allocation ${id}; delete it first.`);
      record({ kind: 'deallocate', id });
      allocations.delete(id);
    },

    create(id: string, hardware: Hardware, annotation?: string): { vm: Vm; created: boolean } {
      const existing = find(id);
      if (existing !== undefined) return { vm: existing, created: false };
      const allocation = allocations.get(id);
      if (allocation === undefined) throw new Refusal(409, 'NOT_ALLOCATED', `Nothing is allocated for ${id}.`);
      const vm: Vm = {
        ...hardware,
        id,
        moref: nextMoref(),
        host: allocation.host,
        power: 'OFF',
        disks: withContents(hardware.disks, []),
        instanceUuid: randomUUID(),
        ...(annotation === undefined ? {} : { annotation }),
      };
      return { vm: put(vm, { kind: 'configure' }), created: true };
    },
    reconfigure(
      id: string,
      wanted: Partial<Pick<Hardware, 'cpu' | 'memoryMiB' | 'disks'>> & { keepAttached?: boolean },
    ): Vm {
      const vm = need(id);
      const kept = new Set((wanted.disks ?? vm.disks).map(({ label }) => label));
      const lost = vm.disks.find(({ attached, label }) => attached && !kept.has(label));
      if (wanted.keepAttached === true && lost !== undefined) {
        throw new Refusal(409, 'DISK_ATTACHED', `Disk ${lost.label} is attached; detach it before it is deleted.`);
      }
      for (const disk of wanted.disks ?? []) {
        if (disk.sizeGiB > LARGEST_DISK_GIB) {
          throw new Refusal(
            422,
            'DISK_TOO_LARGE',
            `Disk ${disk.label} cannot have ${disk.sizeGiB} GiB; the largest has ${LARGEST_DISK_GIB} GiB.`,
          );
        }
        const before = vm.disks.find(({ label }) => label === disk.label);
        if (before !== undefined && disk.sizeGiB < before.sizeGiB) {
          throw new Refusal(
            422,
            'DISK_CANNOT_SHRINK',
            `Disk ${disk.label} has ${before.sizeGiB} GiB and cannot shrink to ${disk.sizeGiB} GiB.`,
          );
        }
      }
      const changed: Vm = {
        ...vm,
        cpu: wanted.cpu ?? vm.cpu,
        memoryMiB: wanted.memoryMiB ?? vm.memoryMiB,
        disks: wanted.disks === undefined ? vm.disks : withContents(wanted.disks, vm.disks),
      };
      return hardwareOf(changed) === hardwareOf(vm) ? vm : put(changed, { kind: 'reconfigure' });
    },
    power(vm: Vm, power: Power): Vm {
      return vm.power === power ? vm : put({ ...vm, power }, { kind: 'power', detail: power });
    },
    destroy(vm: Vm | undefined): void {
      if (vm === undefined) return;
      if (vm.power === 'ON') throw new Refusal(409, 'POWERED_ON', `${nameOf(vm)} is powered on; power it off first.`);
      record({ kind: 'destroy', id: nameOf(vm), moref: vm.moref });
      vms.delete(vm.moref);
      if (vm.id !== null) morefById.delete(vm.id);
    },
    find,
    findByMoref: (moref: string): Vm | undefined => vms.get(moref),

    /** What is on the disk changes inside the machine; that is no effect of a caller on the hypervisor. */
    writeDisk(id: string, label: string, content: string): void {
      const vm = need(id);
      if (!vm.disks.some((disk) => disk.label === label)) {
        throw new Refusal(404, 'NO_SUCH_DISK', `${id} has no disk ${label}.`);
      }
      vms.put(vm.moref, {
        ...vm,
        disks: vm.disks.map((disk) => (disk.label === label ? { ...disk, content } : disk)),
      });
    },

    /** A restore into an existing machine: contents, and with `configuration` the hardware as it was. */
    overwrite(
      moref: string,
      contents: Record<string, string>,
      configuration?: Pick<Hardware, 'cpu' | 'memoryMiB' | 'disks'>,
    ): Vm {
      const vm = needMoref(moref);
      const target: Vm =
        configuration === undefined
          ? vm
          : { ...vm, ...configuration, disks: withContents(configuration.disks, vm.disks) };
      for (const label of Object.keys(contents)) {
        if (!target.disks.some((disk) => disk.label === label)) {
          throw new Refusal(422, 'NO_SUCH_DISK', `${nameOf(vm)} has no disk ${label} to restore into.`);
        }
      }
      const disks = target.disks.map((disk) => ({ ...disk, content: contents[disk.label] ?? disk.content }));
      if (JSON.stringify({ ...target, disks }) === JSON.stringify(vm)) return vm;
      return put({ ...target, disks }, { kind: 'write-contents' });
    },

    /** A restore as a new machine. The same `key` finds the machine that the first request made. */
    restoreAsNew(spec: Omit<Hardware, 'disks'> & { disks: Disk[] }, key?: string, annotation?: string): Vm {
      const existing = key === undefined ? undefined : vms.values().find((vm) => vm.key === key);
      if (existing !== undefined) return existing;
      const vm: Vm = {
        ...spec,
        id: null,
        moref: nextMoref(),
        host: HOSTS[0] as string,
        power: 'OFF',
        instanceUuid: randomUUID(),
        ...(annotation === undefined ? {} : { annotation }),
        ...(key === undefined ? {} : { key }),
      };
      return put(vm, { kind: 'restore-as-new' });
    },

    /**
     * Gives a machine the caller's id (null: takes it away), so that a restored machine can take the old one's place,
     * and one that nobody managed can be taken over.
     * @param also.annotation empty: it has none from then on.
     * @param also.takenFrom the machine that bears the id until now; it bears none from then on.
     */
    identify(
      moref: string,
      id: string | null,
      also: { readonly annotation?: string; readonly takenFrom?: string } = {},
    ): Vm {
      const vm = needMoref(moref);
      const holder = id === null ? undefined : find(id);
      const former = holder !== undefined && holder.moref !== moref ? holder : undefined;
      if (former !== undefined && former.moref !== also.takenFrom) {
        throw new Refusal(409, 'VM_EXISTS', `${id} is the virtual machine ${former.moref}.`);
      }
      const { annotation: before = '', ...rest } = vm;
      const annotation = also.annotation ?? before;
      if (vm.id === id && annotation === before) return vm;
      if (vm.id !== null && id !== null && vm.id !== id) {
        throw new Refusal(409, 'HAS_IDENTITY', `${moref} is the virtual machine ${vm.id}; take its id away first.`);
      }
      if (vm.id !== null) morefById.delete(vm.id);
      if (former !== undefined) vms.put(former.moref, { ...former, id: null });
      const named = { ...rest, id, ...(annotation === '' ? {} : { annotation }) };
      return put(named, { kind: 'reconfigure', detail: `id ${id}` });
    },
  };
}
