import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PluginUnderTest } from './plugin-under-test.ts';
import { openContext, scheduled } from './port-calls.ts';
import { veeamSubject } from './veeam.ts';

let world: PluginUnderTest;
beforeAll(async () => {
  world = await veeamSubject.start({ habit: 'late' });
});
afterAll(() => world.close());

test('what a person did at a server that lists it late is listed once they are done', async () => {
  const { vm, schedule, ref } = await scheduled(world, veeamSubject.type, 'seen-late');
  const stranger = await world.machines.deploy('stranger');
  const now = async () => (await world.console.schedules(vm)).map(({ enabled, machines }) => ({ enabled, machines }));
  await world.console.addMachine(vm, stranger);
  expect(await now()).toEqual([{ enabled: true, machines: [vm.hypervisorRef, stranger.hypervisorRef] }]);
  await world.connect().applySchedule(openContext(), vm, schedule, ref);
  expect(await now()).toEqual([{ enabled: true, machines: [vm.hypervisorRef] }]);
  await world.console.disableSchedule(vm);
  expect(await now()).toMatchObject([{ enabled: false }]);
  await world.console.plantForeign(vm);
  expect(await world.console.foreign(vm)).toContainEqual(expect.objectContaining({ name: `copy-of-${vm.id}` }));
  await world.console.deleteSchedule(vm);
  expect(await now()).toEqual([]);
});
