import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../activities/backup-systems/backup-system.ts';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { type AvamarWorld, startAvamarWorld } from './avamar-world.ts';

let world: AvamarWorld;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

describe('a login', () => {
  test('works for a user who may not register OAuth clients, once one is there', async () => {
    await world.connect().sessions(context, ['a']);
    await world.fault({ method: 'POST', path: '/oauth2/clients', when: 'before', action: { status: 401 } });
    await expect(world.connect().sessions(context, ['a'])).resolves.toEqual([]);
  });

  test('goes on after the password was changed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'avamar-rotation-'));
    const options = { vcenterUrl: world.hypervisorUrl, stateFile: join(folder, 'state') };
    const before = await startAvamarSimulator({ ...options, password: 'old' });
    const old = { user: 'MCUser', password: new Secret('old') };
    await world.connect({ endpoint: before.url, credentials: old }).sessions(context, ['a']);
    await before.close();
    const after = await startAvamarSimulator({ ...options, password: 'new' });
    try {
      const credentials = { user: 'MCUser', password: new Secret('new') };
      await expect(world.connect({ endpoint: after.url, credentials }).sessions(context, ['a'])).resolves.toEqual([]);
    } finally {
      await after.close();
      rmSync(folder, { recursive: true });
    }
  });

  test.each([[''], ['/'], ['/api'], ['/api/v1'], ['/api/v1/']])(
    'finds the API when the endpoint ends in "%s"',
    async (end) => {
      await expect(world.connect({ endpoint: world.avamarUrl + end }).sessions(context, ['a'])).resolves.toEqual([]);
    },
  );
});

describe('a check', () => {
  test('tells a missing right', async () => {
    const body = { code: 403, exception: 'AccessDenied', message: 'Not for you.', details: null, event: null };
    await world.fault({ path: '/v1/groups', when: 'before', action: { status: 403, body } });
    expect((await world.connect().check(context, [])).problems).toContainEqual({
      code: 'RIGHT_MISSING',
      message: expect.stringContaining('Not for you.'),
    });
  });
});
