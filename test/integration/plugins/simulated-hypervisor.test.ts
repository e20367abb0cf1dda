import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hypervisorFactory } from '../../../activities/hypervisors/factory.ts';
import type { Hypervisor, VmIdentity } from '../../../activities/hypervisors/hypervisor.ts';
import type { RunningSimulator } from '../../../simulators/kit/server.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import { openContext } from './avamar-world.ts';

const context = openContext();
const SMALL = { cpu: 1, memoryMiB: 512, disks: [{ label: 'a', sizeGiB: 1 }] };
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

  test('reconfigures so that it can be taken back, disks with their contents', async () => {
    await deployed();
    const content = `${simulator.url}/vms/${vm.id}/disks/a/content`;
    await fetch(content, { method: 'PUT', body: JSON.stringify({ content: 'precious' }) });
    const other = { cpu: 2, memoryMiB: 1024, disks: [{ label: 'b', sizeGiB: 3 }] };
    await hypervisor.reconfigure(context, vm, other);
    expect((await hypervisor.inspect(context, vm))?.hardware).toEqual(other);
    await hypervisor.reconfigure(context, vm, SMALL);
    expect((await hypervisor.inspect(context, vm))?.hardware).toEqual(SMALL);
    expect(await (await fetch(content)).json()).toEqual({ content: 'precious' });
  });

  test('grows disks and deletes detached ones only when that is made final', async () => {
    await deployed();
    const grown = { ...SMALL, disks: [{ label: 'a', sizeGiB: 5 }] };
    await hypervisor.reconfigure(context, vm, grown);
    expect((await hypervisor.inspect(context, vm))?.hardware.disks).toEqual(SMALL.disks);
    await hypervisor.commitDisks(context, vm, grown.disks);
    expect((await hypervisor.inspect(context, vm))?.hardware.disks).toEqual(grown.disks);
    await expect(hypervisor.commitDisks(context, vm, SMALL.disks)).rejects.toMatchObject({
      kind: 'REFUSED',
      system: 'HYPERVISOR',
      message: expect.stringMatching(/^the hypervisor of dc-1 refused to change disks of web-1: .*shrink/),
    });
  });

  test('refuses to destroy a VM that runs, and to reconfigure one that is not there', async () => {
    await expect(hypervisor.reconfigure(context, vm, SMALL)).rejects.toMatchObject({ kind: 'REFUSED' });
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

  test('is not made for a type that Holdfast does not know', () => {
    expect(() => hypervisorFactory({ type: 'abacus', endpoint: simulator.url, name: 'dc-1' })).toThrow(/abacus/);
  });
});
