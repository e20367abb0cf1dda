import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hypervisorFactory } from '../../../activities/hypervisors/factory.ts';
import type { Hypervisor, VmIdentity } from '../../../activities/hypervisors/hypervisor.ts';
import type { RunningSimulator } from '../../../simulators/kit/server.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import { openContext } from '../../conformance/port-calls.ts';

const context = openContext();
const SMALL = { cpu: 1, memoryMiB: 512, disks: [{ label: 'a', sizeGiB: 1 }] };
const TWO_DISKS = {
  ...SMALL,
  disks: [
    { label: 'a', sizeGiB: 1 },
    { label: 'b', sizeGiB: 2 },
  ],
};
let simulator: RunningSimulator;
let hypervisor: Hypervisor;
let vm: VmIdentity;

beforeAll(async () => {
  simulator = await startHypervisorSimulator();
  hypervisor = hypervisorFactory({ type: 'simulated', endpoint: `${simulator.url}/`, name: 'dc-1' });
});
beforeEach(() => {
  vm = { id: crypto.randomUUID(), name: 'web-1' };
});
afterAll(() => simulator.close());

async function deployed(): Promise<string> {
  await hypervisor.allocate(context, vm, SMALL);
  return (await hypervisor.configure(context, vm, SMALL)).ref;
}

const json = (method: string, body: unknown) => ({ method, body: JSON.stringify(body) });

/** Writes on a disk, as a guest does. */
async function write(label: string, content: string): Promise<void> {
  await fetch(`${simulator.url}/vms/${vm.id}/disks/${label}/content`, json('PUT', { content }));
}

/** Every disk that belongs to the VM, detached ones too. */
async function everything(): Promise<unknown[]> {
  const found = (await (await fetch(`${simulator.url}/vms/${vm.id}`)).json()) as { disks: unknown[] };
  return found.disks;
}

/** A machine that runs and that nobody manages. @returns its reference. */
async function unmanaged(): Promise<string> {
  const made = await fetch(`${simulator.url}/morefs`, json('POST', { name: 'old-1', ...SMALL }));
  const { moref } = (await made.json()) as { moref: string };
  await fetch(`${simulator.url}/morefs/${moref}/power`, json('PUT', { state: 'ON' }));
  return moref;
}

async function effectsOf(id: string): Promise<string[]> {
  const { effects } = (await (await fetch(`${simulator.url}/_simulator/effects`)).json()) as {
    effects: { id: string; kind: string }[];
  };
  return effects.filter((effect) => effect.id === id).map(({ kind }) => kind);
}

describe('the simulated hypervisor', () => {
  test('takes a VM through its life, each step once however often it is repeated', async () => {
    const ref = await deployed();
    expect(await deployed()).toBe(ref);
    expect(await hypervisor.inspect(context, vm)).toEqual({ ref, power: 'OFF', hardware: SMALL });
    for (const power of ['ON', 'ON', 'OFF', 'OFF'] as const) {
      await (power === 'ON' ? hypervisor.powerOn(context, vm) : hypervisor.powerOff(context, vm));
      expect((await hypervisor.inspect(context, vm))?.power).toBe(power);
    }
    for (let repeat = 0; repeat < 2; repeat += 1) {
      await hypervisor.destroy(context, vm);
      await hypervisor.deallocate(context, vm);
    }
    expect(await hypervisor.inspect(context, vm)).toBeUndefined();
    expect(await effectsOf(vm.id)).toEqual(['allocate', 'configure', 'power', 'power', 'destroy', 'deallocate']);
  });

  test('reconfigures so that it can be taken back exactly, disks with their contents', async () => {
    await deployed();
    await write('a', 'precious');
    const change = { cpu: 2, memoryMiB: 1024, attach: [{ label: 'b', sizeGiB: 3 }], detach: ['a'] };
    for (let repeat = 0; repeat < 2; repeat += 1) await hypervisor.reconfigure(context, vm, change);
    expect((await hypervisor.inspect(context, vm))?.hardware).toEqual({
      cpu: 2,
      memoryMiB: 1024,
      disks: change.attach,
    });
    await write('b', 'soon gone');

    const previous = { cpu: 1, memoryMiB: 512, attach: ['a'], remove: ['b'] };
    for (let repeat = 0; repeat < 2; repeat += 1) await hypervisor.putBack(context, vm, previous);
    expect((await hypervisor.inspect(context, vm))?.hardware).toEqual(SMALL);
    expect(await everything()).toEqual([{ label: 'a', sizeGiB: 1, attached: true, content: 'precious' }]);

    // Added once more it is a new disk.
    await hypervisor.reconfigure(context, vm, change);
    expect(await everything()).toContainEqual({ label: 'b', sizeGiB: 3, attached: true, content: '' });
  });

  test('takes back what never happened', async () => {
    await deployed();
    await hypervisor.putBack(context, vm, { cpu: 1, memoryMiB: 512, attach: ['a'], remove: ['b'] });
    expect((await hypervisor.inspect(context, vm))?.hardware).toEqual(SMALL);
    expect(await effectsOf(vm.id)).toEqual(['allocate', 'configure']);
  });

  test('grows disks and deletes detached ones only when that is made final', async () => {
    await hypervisor.allocate(context, vm, TWO_DISKS);
    await hypervisor.configure(context, vm, TWO_DISKS);
    await write('a', 'kept');
    const attached = { grow: [{ label: 'a', sizeGiB: 5 }], remove: ['b'] };
    await expect(hypervisor.commitDisks(context, vm, attached)).rejects.toMatchObject({ kind: 'REFUSED' });
    expect((await hypervisor.inspect(context, vm))?.hardware).toEqual(TWO_DISKS);
    await hypervisor.reconfigure(context, vm, { cpu: 1, memoryMiB: 512, attach: [], detach: ['b'] });
    expect(await everything()).toHaveLength(2);
    const changes = { grow: [{ label: 'a', sizeGiB: 5 }], remove: ['b'] };
    for (let repeat = 0; repeat < 2; repeat += 1) await hypervisor.commitDisks(context, vm, changes);
    expect(await everything()).toEqual([{ label: 'a', sizeGiB: 5, attached: true, content: 'kept' }]);
  });

  test('deletes nothing when a disk cannot grow', async () => {
    await hypervisor.allocate(context, vm, TWO_DISKS);
    await hypervisor.configure(context, vm, TWO_DISKS);
    await write('b', 'precious');
    await hypervisor.reconfigure(context, vm, { cpu: 1, memoryMiB: 512, attach: [], detach: ['b'] });
    const tooLarge = { grow: [{ label: 'a', sizeGiB: 65_000 }], remove: ['b'] };
    await expect(hypervisor.commitDisks(context, vm, tooLarge)).rejects.toMatchObject({
      kind: 'REFUSED',
      system: 'HYPERVISOR',
      message: expect.stringMatching(/^the hypervisor of dc-1 refused to change disks of web-1: .*65000 GiB/),
    });
    const missing = { grow: [{ label: 'c', sizeGiB: 5 }], remove: ['b'] };
    await expect(hypervisor.commitDisks(context, vm, missing)).rejects.toMatchObject({ kind: 'REFUSED' });
    expect(await everything()).toContainEqual({ label: 'b', sizeGiB: 2, attached: false, content: 'precious' });
  });

  test('leaves disks alone that nobody names, and never takes a detached one for a new one', async () => {
    await hypervisor.allocate(context, vm, TWO_DISKS);
    await hypervisor.configure(context, vm, TWO_DISKS);
    await write('b', 'somebody’s');
    await hypervisor.reconfigure(context, vm, { cpu: 4, memoryMiB: 512, attach: [], detach: ['a'] });
    await hypervisor.commitDisks(context, vm, { grow: [], remove: ['a'] });
    const somebodys = { label: 'b', sizeGiB: 2, attached: true, content: 'somebody’s' };
    expect(await everything()).toEqual([somebodys]);

    await hypervisor.reconfigure(context, vm, { cpu: 4, memoryMiB: 512, attach: [], detach: ['b'] });
    const again = { cpu: 4, memoryMiB: 512, attach: [{ label: 'b', sizeGiB: 2 }], detach: [] };
    await expect(hypervisor.reconfigure(context, vm, again)).rejects.toMatchObject({ kind: 'REFUSED' });
    await hypervisor.putBack(context, vm, { cpu: 4, memoryMiB: 512, attach: [], remove: ['b'] });
    expect(await everything()).toEqual([{ ...somebodys, attached: false }]);
    await expect(
      hypervisor.putBack(context, vm, { cpu: 4, memoryMiB: 512, attach: ['a'], remove: [] }),
    ).rejects.toMatchObject({ kind: 'REFUSED', message: expect.stringContaining('disk a') });
  });

  test('registers a machine that is there, changes nothing of it but its mark, and gives it back', async () => {
    const ref = await unmanaged();
    const inspected = { ref, power: 'ON', hardware: SMALL };
    for (let repeat = 0; repeat < 2; repeat += 1) {
      expect(await hypervisor.register(context, vm, ref)).toEqual(inspected);
    }
    expect(await hypervisor.inspect(context, vm)).toEqual(inspected);
    const other = { id: crypto.randomUUID(), name: 'web-2' };
    await expect(hypervisor.register(context, other, ref)).rejects.toMatchObject({ code: 'HYPERVISOR_VM_IN_USE' });
    await hypervisor.unregister(context, other);
    expect(await hypervisor.inspect(context, vm)).toEqual(inspected);
    for (let repeat = 0; repeat < 2; repeat += 1) await hypervisor.unregister(context, vm);
    expect(await hypervisor.inspect(context, vm)).toBeUndefined();
    expect(await (await fetch(`${simulator.url}/morefs/${ref}`)).json()).toMatchObject({ id: null, power: 'ON' });
    expect(await hypervisor.register(context, other, ref)).toEqual(inspected);
  });

  test('registers nothing that is not there, and no second machine for one VM', async () => {
    await expect(hypervisor.register(context, vm, 'vm-0')).rejects.toMatchObject({ code: 'HYPERVISOR_VM_NOT_FOUND' });
    await hypervisor.register(context, vm, await unmanaged());
    await expect(hypervisor.register(context, vm, await unmanaged())).rejects.toMatchObject({
      code: 'HYPERVISOR_VM_IN_USE',
    });
  });

  test('refuses to destroy a VM that runs, and to reconfigure one that is not there', async () => {
    const change = { cpu: 2, memoryMiB: 1024, attach: [], detach: [] };
    await expect(hypervisor.reconfigure(context, vm, change)).rejects.toMatchObject({ kind: 'REFUSED' });
    await deployed();
    await hypervisor.powerOn(context, vm);
    await expect(hypervisor.destroy(context, vm)).rejects.toMatchObject({ kind: 'REFUSED', status: 409 });
  });

  test('can be asked again after a lost answer', async () => {
    const fault = { method: 'PUT', path: `^/vms/${vm.id}$`, when: 'after', times: 1, action: { drop: true } };
    await fetch(`${simulator.url}/_simulator/faults`, { method: 'POST', body: JSON.stringify(fault) });
    await expect(deployed()).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const ref = await deployed();
    expect(await hypervisor.inspect(context, vm)).toMatchObject({ ref });
    expect(await effectsOf(vm.id)).toEqual(['allocate', 'configure']);
  });

  describe('with a machine that was restored of the VM', () => {
    /** As a backup system makes it: the annotation comes from the backup. */
    async function restored(of: string): Promise<string> {
      const { annotation, disks } = await shown(of);
      const body = { name: 'web-1 (restored)', ...SMALL, disks, annotation };
      return ((await (await fetch(`${simulator.url}/morefs`, json('POST', body))).json()) as { moref: string }).moref;
    }
    const shown = async (ref: string) =>
      (await (await fetch(`${simulator.url}/morefs/${ref}`)).json()) as { annotation?: string; disks: unknown[] };
    const power = (ref: string, state: string) => fetch(`${simulator.url}/morefs/${ref}/power`, json('PUT', { state }));

    test('finds it by its mark, makes it the VM, and removes the one that was it', async () => {
      const ref = await deployed();
      const other = await restored(ref);
      const both = await hypervisor.machinesOf(context, vm);
      expect(both.map(({ ref: found, isVm }) => [found, isVm])).toEqual([
        [ref, true],
        [other, false],
      ]);
      for (let repeat = 0; repeat < 2; repeat += 1) {
        expect(await hypervisor.takeOver(context, vm, other)).toMatchObject({ ref: other });
        expect(await hypervisor.inspect(context, vm)).toMatchObject({ ref: other, hardware: SMALL });
      }
      expect((await hypervisor.machinesOf(context, vm)).map(({ isVm }) => isVm)).toEqual([false, true]);
      expect(await hypervisor.removeSuperseded(context, vm, ref)).toBe(true);
      expect(await hypervisor.removeSuperseded(context, vm, ref)).toBe(false);
      expect((await hypervisor.machinesOf(context, vm)).map(({ ref: left }) => left)).toEqual([other]);
    });

    test('takes and removes neither the VM, nor another’s, nor what bears no mark, nor what is switched on', async () => {
      const ref = await deployed();
      const refusal = (code: string) => ({ code });
      await expect(hypervisor.removeSuperseded(context, vm, ref)).rejects.toMatchObject(
        refusal('HYPERVISOR_VM_IN_USE'),
      );
      const stranger = await unmanaged();
      await expect(hypervisor.removeSuperseded(context, vm, stranger)).rejects.toMatchObject(
        refusal('HYPERVISOR_VM_IN_USE'),
      );
      const other = await restored(ref);
      await power(other, 'ON');
      await expect(hypervisor.removeSuperseded(context, vm, other)).rejects.toMatchObject(
        refusal('SUPERSEDED_VM_IN_USE'),
      );
      await hypervisor.register(context, { id: crypto.randomUUID(), name: 'web-2' }, other);
      await expect(hypervisor.removeSuperseded(context, vm, other)).rejects.toMatchObject(
        refusal('HYPERVISOR_VM_IN_USE'),
      );
      await expect(hypervisor.takeOver(context, vm, other)).rejects.toMatchObject(refusal('HYPERVISOR_VM_IN_USE'));
      await expect(hypervisor.takeOver(context, vm, stranger)).rejects.toMatchObject(refusal('HYPERVISOR_VM_IN_USE'));
      await expect(hypervisor.takeOver(context, vm, 'vm-0')).rejects.toMatchObject(refusal('HYPERVISOR_VM_NOT_FOUND'));
      expect(await hypervisor.inspect(context, vm)).toMatchObject({ ref });
    });

    test('knows the one that was the VM also when that was made before marks were', async () => {
      const ref = await deployed();
      const other = await restored(ref);
      await fetch(`${simulator.url}/morefs/${ref}/identity`, json('PUT', { id: vm.id, annotation: '' }));
      await hypervisor.takeOver(context, vm, other);
      expect(await hypervisor.removeSuperseded(context, vm, ref)).toBe(true);
    });

    test('keeps what people have written in the annotation, and gives it back', async () => {
      const ref = await unmanaged();
      await fetch(`${simulator.url}/morefs/${ref}/identity`, json('PUT', { id: null, annotation: 'call Ana first' }));
      await hypervisor.register(context, vm, ref);
      expect(await shown(ref)).toMatchObject({ annotation: `call Ana first\n[holdfast vm=${vm.id}]` });
      await hypervisor.unregister(context, vm);
      expect(await shown(ref)).toMatchObject({ annotation: 'call Ana first' });
    });
  });

  test('is not made for a type that Holdfast does not know', () => {
    expect(() => hypervisorFactory({ type: 'abacus', endpoint: simulator.url, name: 'dc-1' })).toThrow(/abacus/);
  });
});
