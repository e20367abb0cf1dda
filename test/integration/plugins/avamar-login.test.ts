import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../activities/backup-systems/backup-system.ts';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { type AvamarWorld, openContext, startAvamarWorld } from './avamar-world.ts';

let world: AvamarWorld;
const context = openContext();

beforeAll(async () => {
  world = await startAvamarWorld();
});
afterEach(() => world.noFaults());
afterAll(() => world.close());

const tokens = async () => (await world.requests())['POST /api/oauth/token'] ?? 0;

describe('a login', () => {
  test('is made once for all calls at a time', async () => {
    const avamar = world.connect();
    const before = await tokens();
    await Promise.all([
      avamar.sessions(context, ['a']),
      avamar.sessions(context, ['b']),
      avamar.sessionsSince(context, new Date()),
    ]);
    await avamar.sessions(context, ['c']);
    expect((await tokens()) - before).toBe(1);
  });

  test('is made again when its token has expired in the middle of things', async () => {
    const avamar = world.connect();
    await avamar.sessions(context, ['a']);
    const before = await tokens();
    await world.advance(2_000);
    expect(await avamar.sessions(context, ['a', 'b'])).toEqual([]);
    expect((await tokens()) - before).toBe(1);
  });

  test('is made again once, not for ever, when tokens are refused', async () => {
    const avamar = world.connect();
    const body = { error: 'invalid_token', error_description: 'Access token expired' };
    await world.fault({ path: '/v1/activities', when: 'before', action: { status: 401, body } });
    const before = await tokens();
    await expect(avamar.sessionsSince(context, new Date())).rejects.toMatchObject({
      kind: 'LOGIN_REFUSED',
      vendorMessage: 'Access token expired',
    });
    expect((await tokens()) - before).toBe(2);
  });

  test('works from another process with nothing remembered', async () => {
    await world.connect().sessions(context, ['a']);
    await expect(world.connect().sessions(context, ['a'])).resolves.toEqual([]);
  });

  test('works for a user who may not register OAuth clients, once one is there', async () => {
    await world.connect().sessions(context, ['a']);
    await world.fault({ method: 'POST', path: '/oauth2/clients', when: 'before', action: { status: 401 } });
    await expect(world.connect().sessions(context, ['a'])).resolves.toEqual([]);
  });

  test('with a wrong password is refused, and nobody reads the password', async () => {
    const password = new Secret('not-the-password');
    const avamar = world.connect({ credentials: { user: 'MCUser', password } });
    const error = await avamar.sessions(context, ['a']).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'LOGIN_REFUSED', message: expect.stringContaining('refused the login') });
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain('not-the-password');
  });

  test('without credentials is refused with the reason', async () => {
    await expect(world.connect({ credentials: null }).sessions(context, ['a'])).rejects.toMatchObject({
      kind: 'LOGIN_REFUSED',
      message: expect.stringContaining('no credentials'),
    });
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
  test('tells version, identity and that every policy can be served', async () => {
    expect(await world.connect().check(context, ['GOLD', 'SILVER'])).toMatchObject({
      reachable: true,
      version: expect.stringMatching(/^19\./),
      identity: expect.any(String),
      policies: [
        { code: 'GOLD', ok: true },
        { code: 'SILVER', ok: true },
      ],
    });
  });

  test('tells a clock that is wrong', async () => {
    await world.advance(600);
    const found = await world.connect().check(context, []);
    expect(found.clockSkewSeconds).toBeGreaterThan(500);
    expect(found.problems).toContainEqual({ code: 'CLOCK_SKEW', message: expect.stringContaining('clock differs') });
  });

  test('tells a refused login, a missing right and a system that is not there', async () => {
    const credentials = { user: 'MCUser', password: new Secret('wrong') };
    expect(await world.connect({ credentials }).check(context, ['GOLD'])).toMatchObject({
      reachable: true,
      problems: expect.arrayContaining([expect.objectContaining({ code: 'BACKUP_SYSTEM_LOGIN_REFUSED' })]),
      policies: [{ code: 'GOLD', ok: false }],
    });
    const body = { code: 403, exception: 'AccessDenied', message: 'Not for you.', details: null, event: null };
    await world.fault({ path: '/v1/groups', when: 'before', action: { status: 403, body } });
    expect((await world.connect().check(context, [])).problems).toContainEqual({
      code: 'RIGHT_MISSING',
      message: expect.stringContaining('Not for you.'),
    });
    // The simulator's port once it is closed: nobody listens there.
    const gone = await startAvamarSimulator({ vcenterUrl: world.hypervisorUrl });
    await gone.close();
    expect(await world.connect({ endpoint: gone.url }).check(context, [])).toMatchObject({
      reachable: false,
      version: null,
      problems: [{ code: 'BACKUP_SYSTEM_UNREACHABLE' }],
    });
  });
});
