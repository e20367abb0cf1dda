import { X509Certificate } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '../../../activities/backup-systems/backup-system.ts';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';
import { openContext, startVeeamWorld, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
const context = openContext();

beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(() => world.healthy());
afterAll(() => world.close());

const logins = async () => (await world.requests())['POST /api/sessionMngr'] ?? 0;
const since = new Date(Date.now() - 60_000);

describe('a session', () => {
  test('is begun once for all calls at a time', async () => {
    const veeam = world.connect();
    const before = await logins();
    await Promise.all([1, 2, 3].map(() => veeam.sessionsSince(context, since)));
    await veeam.sessionsSince(context, since);
    expect((await logins()) - before).toBe(1);
  });

  test.each([
    ['was ended', () => world.endSessions(), () => undefined],
    ['was idle for too long', () => world.advance(16 * 60), () => world.advance(-16 * 60)],
  ])('that %s is begun again once', async (_, end, putBack) => {
    const veeam = world.connect();
    await veeam.sessionsSince(context, since);
    const before = await logins();
    await end();
    await Promise.all([veeam.sessionsSince(context, since), veeam.sessionsSince(context, since)]);
    expect((await logins()) - before).toBe(1);
    await putBack();
  });

  test('is not begun for ever when every one is refused', async () => {
    const veeam = world.connect();
    await world.fault({ path: '/api/query', when: 'before', action: { status: 401 } });
    const before = await logins();
    await expect(veeam.sessionsSince(context, since)).rejects.toMatchObject({ kind: 'LOGIN_REFUSED' });
    expect((await logins()) - before).toBe(2);
  });

  test('with a wrong password is refused, and nobody reads the password', async () => {
    const password = new Secret('not-the-password');
    const veeam = world.connect({ credentials: { user: 'Administrator', password } });
    const error = await veeam.sessionsSince(context, since).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'LOGIN_REFUSED', message: expect.stringContaining('refused the login') });
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain('not-the-password');
  });

  test('without credentials is refused with the reason', async () => {
    await expect(world.connect({ credentials: null }).sessionsSince(context, since)).rejects.toMatchObject({
      kind: 'LOGIN_REFUSED',
      message: expect.stringContaining('no credentials'),
    });
  });

  test('is of the newest version that both have', async () => {
    try {
      await world.settings({ versions: ['v1_3', 'v1_4', 'v1_5', 'v1_9'] });
      expect(await world.connect().check(context, [])).toMatchObject({ version: expect.stringMatching(/^v1_5/) });
      await world.settings({ versions: ['v1_9'] });
      await expect(world.connect().sessionsSince(context, since)).rejects.toMatchObject({
        kind: 'REFUSED',
        message: expect.stringMatching(/v1_9.*v1_4, v1_5, v1_6, v1_7/),
      });
    } finally {
      await world.settings({ versions: ['v1_4', 'v1_5', 'v1_6', 'v1_7'] });
    }
  });

  test.each([[''], ['/'], ['/api'], ['/api/']])('finds the API when the endpoint ends in "%s"', async (end) => {
    await world.connect({ endpoint: world.veeamUrl + end }).sessionsSince(context, since);
  });

  test('trusts the certificate of its own manager alone', async () => {
    const secured = await startVeeamWorld({ certificate: { key: TEST_KEY, cert: TEST_CERTIFICATE } });
    try {
      const sha256 = new X509Certificate(TEST_CERTIFICATE).fingerprint256;
      await secured.connect({ tls: { mode: 'fingerprint', sha256 } }).sessionsSince(context, since);
      await expect(secured.connect().sessionsSince(context, since)).rejects.toMatchObject({ kind: 'UNREACHABLE' });
      const other = { mode: 'fingerprint', sha256: '00'.repeat(32) } as const;
      await expect(secured.connect({ tls: other }).sessionsSince(context, since)).rejects.toMatchObject({
        message: expect.stringContaining('fingerprint'),
      });
    } finally {
      await secured.close();
    }
  });
});

describe('a check', () => {
  test('tells version, identity, clock and that every policy can be served', async () => {
    const fresh = await startVeeamWorld();
    try {
      const first = await fresh.connect().check(context, ['GOLD', 'silver']);
      expect(first).toEqual({
        reachable: true,
        version: expect.stringMatching(/^v1_7, Backup & Replication 12/),
        identity: expect.stringMatching(/^[0-9a-f-]{36}$/),
        clockSkewSeconds: expect.any(Number),
        problems: [],
        policies: [
          { code: 'GOLD', ok: true, message: null },
          { code: 'silver', ok: true, message: null },
        ],
      });
      expect((await fresh.connect().check(context, [])).identity).toBe(first.identity);
    } finally {
      await fresh.close();
    }
  });

  test('names the template that is not there, and serves the others', async () => {
    expect(await world.connect().check(context, ['BRONZE', 'GOLD'])).toMatchObject({
      policies: [
        { code: 'BRONZE', ok: false, message: expect.stringContaining('BRONZE') },
        { code: 'GOLD', ok: true },
      ],
    });
  });

  test('repairs an endpoint and says so, which harms nothing', async () => {
    expect(await world.connect({ endpoint: world.veeamUrl }).check(context, ['GOLD'])).toMatchObject({
      problems: [{ code: 'ENDPOINT_REPAIRED', message: expect.stringContaining(`${world.veeamUrl}/api/`) }],
      policies: [{ ok: true }],
    });
  });

  test('tells that the account may not change jobs', async () => {
    const credentials = { user: 'viewer', password: new Secret('veeam-simulator') };
    const before = (await world.jobs()).length;
    expect(await world.connect({ credentials }).check(context, ['GOLD'])).toMatchObject({
      reachable: true,
      problems: [{ code: 'RIGHT_MISSING', message: expect.stringContaining('Portal Administrator') }],
      policies: [{ ok: false }],
    });
    expect(await world.jobs()).toHaveLength(before);
  });

  test('tells a wrong password, a server that is not there and one that is overloaded', async () => {
    const credentials = { user: 'Administrator', password: new Secret('wrong') };
    expect(await world.connect({ credentials }).check(context, ['GOLD'])).toMatchObject({
      reachable: true,
      problems: [{ code: 'BACKUP_SYSTEM_LOGIN_REFUSED' }],
      policies: [{ ok: false }],
    });
    expect(await world.connect({ endpoint: 'http://127.0.0.1:1/api/' }).check(context, ['GOLD'])).toMatchObject({
      reachable: false,
      problems: [{ code: 'BACKUP_SYSTEM_UNREACHABLE' }],
    });
    await world.fault({ path: '/backupServers', when: 'before', action: { status: 503 } });
    expect(await world.connect().check(context, [])).toMatchObject({
      reachable: true,
      identity: null,
      problems: [{ code: 'BACKUP_SYSTEM_FAILED' }],
    });
  });

  test('tells a version that the plugin does not speak', async () => {
    try {
      await world.settings({ versions: ['v1_3'] });
      expect(await world.connect().check(context, ['GOLD'])).toMatchObject({
        problems: [{ code: 'VERSION_NOT_SUPPORTED' }],
        policies: [{ ok: false }],
      });
    } finally {
      await world.settings({ versions: ['v1_4', 'v1_5', 'v1_6', 'v1_7'] });
    }
  });

  test('tells a clock that is wrong', async () => {
    await world.advance(600);
    const found = await world.connect().check(context, ['GOLD']);
    expect(found.clockSkewSeconds).toBeGreaterThan(500);
    expect(found).toMatchObject({ problems: [{ code: 'CLOCK_SKEW' }], policies: [{ ok: true }] });
    const { clockSkewSeconds: skew } = found;
    const there = await world.connect().serverTime(context);
    expect(Math.abs(there.getTime() - Date.now() - (skew ?? 0) * 1_000)).toBeLessThan(60_000);
  });
});
