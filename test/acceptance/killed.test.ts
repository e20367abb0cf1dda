import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, developmentClient, endOf, eventually, setUp } from './client.ts';
import { freePorts, type Part, RunningSystem } from './running-system.ts';
import { QUICK } from './system.ts';

let system: RunningSystem;
let platform: Client;
let world: Awaited<ReturnType<typeof setUp>>;

beforeAll(async () => {
  system = new RunningSystem(mkdtempSync(join(tmpdir(), 'holdfast-killed-')), await freePorts(), {
    ...QUICK,
    HOLDFAST_SIMULATED_BACKUP_SECONDS: '6',
  });
  await system.start();
  platform = developmentClient(system, 'PLATFORM');
  world = await setUp(developmentClient(system, 'CLOUD_ADMIN'), system, 'acme');
});
afterAll(() => system.remove());

/** A backup that is under way. */
async function runningBackup(name: string) {
  const vmId = await world.newVm(name);
  await endOf(platform, await platform('POST', `/v1/virtual-machines/${vmId}/deploy`));
  const backup = await platform('POST', `/v1/virtual-machines/${vmId}/backup`, {});
  await eventually(
    'the backup runs',
    () => platform('GET', `/v1/virtual-machines/${vmId}/backup-results`),
    ({ body }) => body['items']?.[0]?.status === 'IN_PROGRESS',
  );
  return { vmId, backup };
}

test.for<Part>(['worker', 'api', 'database', 'temporal'])(
  'kill -9 of %s in the middle of a backup: it is started again and the backup ends well',
  async (part) => {
    const { vmId, backup } = await runningBackup(`vm-${part}`);
    await system.kill(part);
    const operation = await endOf(platform, backup);
    expect(operation).toMatchObject({ state: 'SUCCEEDED', error: null });
    const results = await platform('GET', `/v1/virtual-machines/${vmId}/backup-results`);
    expect(results.body['items']).toMatchObject([{ status: 'SUCCEEDED' }]);
    expect((await platform('GET', `/v1/virtual-machines/${vmId}`)).body).toMatchObject({ state: 'ON', lock: null });
  },
);

test('kill -9 of everything in the middle of a backup and of a deploy: the next start finishes both', async () => {
  const { vmId, backup } = await runningBackup('vm-everything');
  const other = await world.newVm('vm-deploying');
  const deploy = await platform('POST', `/v1/virtual-machines/${other}/deploy`);
  await system.kill('everything');
  await system.start();
  expect(await endOf(platform, backup)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await endOf(platform, deploy)).toMatchObject({ state: 'SUCCEEDED', error: null });
  const results = await platform('GET', `/v1/virtual-machines/${vmId}/backup-results`);
  expect(results.body['items']).toMatchObject([{ status: 'SUCCEEDED' }]);
});

test('stopped in an orderly way and started again, everything is still there', async () => {
  const vmId = await world.newVm('vm-kept');
  await endOf(platform, await platform('POST', `/v1/virtual-machines/${vmId}/deploy`));
  await system.stop();
  await system.start();
  expect((await platform('GET', `/v1/virtual-machines/${vmId}`)).body).toMatchObject({ name: 'vm-kept', state: 'ON' });
});
