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

  /** Requests for tokens and registrations that these calls make. */
  async function logins(calls: () => Promise<unknown>): Promise<{ tokens: number; registrations: number }> {
    const count = async () => {
      const made = Object.entries(await world.requests());
      const of = (part: string) => made.reduce((sum, [key, number]) => sum + (key.includes(part) ? number : 0), 0);
      return { tokens: of('/oauth/token'), registrations: of('/oauth2/clients') };
    };
    const before = await count();
    await calls();
    const after = await count();
    return { tokens: after.tokens - before.tokens, registrations: after.registrations - before.registrations };
  }
  /** The token is refused from now on; a later one is accepted. */
  const tokenEnds = (times: number) =>
    world.fault({ method: 'GET', path: '/activities/a$', when: 'before', times, action: { status: 401, body: {} } });

  test('registers the OAuth client once, not with each process or token', async () => {
    await world.connect().sessions(context, ['a']);
    const once = { tokens: 1, registrations: 0 };
    expect(await logins(() => world.connect().sessions(context, ['a']))).toEqual(once);
    const system = world.connect();
    const twice = async () => {
      await system.sessions(context, ['a']);
      await system.sessions(context, ['a']);
    };
    expect(await logins(twice)).toEqual(once);
  });

  test('is one for all calls that are refused at the same time', async () => {
    const system = world.connect();
    await system.sessions(context, ['a']);
    await tokenEnds(5);
    const calls = Array.from({ length: 5 }, () => () => system.sessions(context, ['a']));
    expect(await logins(() => Promise.all(calls.map((call) => call())))).toEqual({ tokens: 1, registrations: 0 });
  });

  test('that is refused at once again is not tried a second time', async () => {
    const system = world.connect();
    await system.sessions(context, ['a']);
    await tokenEnds(10);
    const call = () => expect(system.sessions(context, ['a'])).rejects.toMatchObject({ kind: 'LOGIN_REFUSED' });
    expect(await logins(call)).toEqual({ tokens: 1, registrations: 0 });
  });

  test('is given up for now, and is not called refused, when the server is overloaded', async () => {
    await world.fault({ method: 'POST', path: '/oauth/token$', when: 'before', times: 1, action: { status: 429 } });
    const system = world.connect();
    await expect(system.sessions(context, ['a'])).rejects.toMatchObject({ kind: 'FAILED', status: 429 });
    await expect(system.sessions(context, ['a'])).resolves.toEqual([]);
  });

  test('registers at a later attempt what a busy server would not, and after an answer that was lost', async () => {
    for (const trouble of [
      { when: 'before', action: { status: 503 } },
      { when: 'after', action: { drop: true } },
    ]) {
      const other = await startAvamarWorld();
      try {
        const path = '/oauth2/clients$';
        await other.fault({ method: 'POST', path, times: 1, ...trouble });
        const first = other.connect().sessions(context, ['a']);
        await expect(first).rejects.toMatchObject({ kind: expect.stringMatching(/FAILED|UNREACHABLE/) });
        await expect(other.connect().sessions(context, ['a'])).resolves.toEqual([]);
      } finally {
        await other.close();
      }
    }
  });

  test('asks once with a password that is wrong', async () => {
    const body = { error: 'invalid_grant', error_description: 'Bad credentials' };
    await world.fault({ method: 'POST', path: '/oauth/token$', when: 'before', action: { status: 400, body } });
    const call = () =>
      expect(world.connect().sessions(context, ['a'])).rejects.toMatchObject({
        kind: 'LOGIN_REFUSED',
        message: expect.stringContaining('Bad credentials'),
      });
    expect(await logins(call)).toEqual({ tokens: 1, registrations: 0 });
  });

  test('is made anew when the server says that the token has ended, whatever our clock says', async () => {
    const system = world.connect();
    await system.sessions(context, ['a']);
    // The server's clock runs away: its tokens end, and that is learned from its refusal.
    await world.advance(7_200);
    await expect(system.sessions(context, ['a'])).resolves.toEqual([]);
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
