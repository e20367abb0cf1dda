import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { daily, openContext, scheduleOf, startVeeamWorld, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.healthy());
afterAll(() => world.close());

describe('a schedule', () => {
  test('is a clone of the template with the VM alone in it', async () => {
    const vm = await world.deploy('web-1');
    const context = openContext();
    const ref = await world.connect().applySchedule(context, vm, scheduleOf([daily('03:30')]), undefined);
    const job = await world.job(vm);
    expect(job).toMatchObject({ scheduleEnabled: true, includes: [{ ref: ref.vmRef }] });
  });
});
