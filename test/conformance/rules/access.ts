/**
 * Rules of the connection: logins, certificates, addresses, permissions, and what a check tells.
 * @module
 */
import { createHash, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { Secret } from '../../../activities/backup-systems/backup-system.ts';
import { ExternalSystemError } from '../../../activities/calls.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../../integration/plugins/test-certificate.ts';
import type { PluginUnderTest, Subject } from '../plugin-under-test.ts';
import { fencedContext, openContext, scheduled, twoSchedules } from '../port-calls.ts';

const WRONG = 'certainly-not-the-password';

export function accessRules(world: () => PluginUnderTest, subject: Subject): void {
  const context = openContext();
  const logins = () => world().wire.calls.filter(({ isLogin }) => isLogin).length;

  test('token details: calls at the same time share one login', async () => {
    // The first login of all may leave something in the server, which later ones find.
    await world().connect().sessionsSince(context, new Date());
    const alone = world().connect();
    world().wire.forget();
    await alone.sessionsSince(context, new Date());
    const once = logins();
    const together = world().connect();
    world().wire.forget();
    await Promise.all([1, 2, 3].map(() => together.sessionsSince(context, new Date())));
    await together.sessionsSince(context, new Date());
    expect(logins()).toBe(once);
  });

  test('session ends mid-way: a login that is refused again and again is not tried for ever', async () => {
    const system = world().connect();
    world().wire.trouble('LOGIN_ENDED', ({ isLogin }) => !isLogin, Number.POSITIVE_INFINITY);
    world().wire.forget();
    await expect(system.sessionsSince(context, new Date())).rejects.toMatchObject({ kind: 'LOGIN_REFUSED' });
    expect(world().wire.calls.length).toBeLessThan(12);
  });

  test('session ends mid-way: a wrong password is told apart, and nobody reads it (secrets)', async () => {
    const system = world().connect({ credentials: { user: world().credentials.user, password: new Secret(WRONG) } });
    const error = await system.sessionsSince(context, new Date()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'LOGIN_REFUSED' });
    expect(`${(error as Error).stack} ${JSON.stringify(error)}`).not.toContain(WRONG);
    expect(await system.check(context, ['GOLD'])).toMatchObject({
      reachable: true,
      problems: expect.arrayContaining([expect.objectContaining({ code: 'BACKUP_SYSTEM_LOGIN_REFUSED' })]),
      policies: [{ code: 'GOLD', ok: false }],
    });
  });

  test('a right that the account lacks is told apart from a wrong password, with the call that needs it', async () => {
    world().wire.trouble('FORBIDDEN', ({ isLogin }) => !isLogin, Number.POSITIVE_INFINITY);
    await expect(world().connect().sessionsSince(context, new Date())).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringMatching(/lacks the right to GET \//),
    });
    const { reachable, problems } = await world().connect().check(context, []);
    expect(reachable).toBe(true);
    const codes = problems.map(({ code }) => code);
    expect(codes).not.toEqual([]);
    expect(codes).not.toContain('BACKUP_SYSTEM_LOGIN_REFUSED');
  });

  test('without credentials it says so', async () => {
    const system = world().connect({ credentials: null });
    await expect(system.sessionsSince(context, new Date())).rejects.toMatchObject({
      kind: 'LOGIN_REFUSED',
      message: expect.stringContaining('no credentials'),
    });
  });

  test('a system that is not there is reported, not thrown, by a check', async () => {
    await world().wire.goAway();
    expect(await world().connect().check(context, ['GOLD'])).toMatchObject({
      reachable: false,
      version: null,
      identity: null,
      problems: [{ code: 'BACKUP_SYSTEM_UNREACHABLE' }],
      policies: [{ code: 'GOLD', ok: false }],
    });
  });

  test('the identity is the same at every look', async () => {
    const [first, second] = [await world().connect().check(context, []), await world().connect().check(context, [])];
    expect(first.identity).toEqual(expect.any(String));
    expect(second.identity).toBe(first.identity);
  });

  test('a context that has ended makes no call', async () => {
    const ended = { ...context, signal: AbortSignal.abort(new Error('stopped')) };
    world().wire.forget();
    await expect(world().connect().sessionsSince(ended, new Date())).rejects.toThrow('stopped');
    expect(world().wire.calls.filter(({ isLogin }) => !isLogin)).toEqual([]);
  });

  test('Href host: an answer that leads to another server is not followed', async () => {
    world().wire.trouble('REDIRECTED', ({ isLogin }) => !isLogin);
    await expect(world().connect().sessionsSince(context, new Date())).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining('redirect'),
    });
  });

  test('a write that is no longer permitted ends the call, and nothing is written after it', async () => {
    const [schedule] = twoSchedules(subject.type, world().policyCode);
    const counting = openContext();
    const twin = await world().machines.deploy('fenced-twin');
    await world().connect().applySchedule(counting, twin, schedule, undefined);
    for (let write = 1; write <= counting.writes; write += 1) {
      const vm = await world().machines.deploy('fenced');
      world().wire.forget();
      await expect(
        world().connect().applySchedule(fencedContext(write), vm, schedule, undefined),
        `permission ${write}`,
      ).rejects.toThrow('FENCED');
      expect(world().wire.calls.filter((call) => call.write !== undefined).length).toBe(write - 1);
      await world().connect().removeSchedule(context, vm, undefined);
      await world().console.settled();
      await world().connect().removeSchedule(context, vm, undefined);
      expect(await world().console.traces(vm)).toEqual([]);
    }
  });

  test('every write asks for permission first', async () => {
    const { vm, schedule, ref } = await scheduled(world(), subject.type, 'permitted');
    const asking = openContext();
    world().wire.forget();
    const [, other] = twoSchedules(subject.type, world().policyCode);
    await world().connect().applySchedule(asking, vm, other, ref);
    await world().connect().applySchedule(asking, vm, schedule, ref);
    await world().connect().removeSchedule(asking, vm, ref);
    expect(asking.writes).toBe(world().wire.calls.filter(({ write }) => write !== undefined).length);
  });
}

/** TLS needs a wire with a certificate. */
export function certificateRules(world: () => PluginUnderTest): void {
  const context = openContext();
  const sha256 = new X509Certificate(TEST_CERTIFICATE).fingerprint256;
  const other = createHash('sha256').update('another certificate').digest('hex');

  test('TLS: a self-signed certificate is trusted by its authority or its fingerprint alone', async () => {
    for (const tls of [{ mode: 'ca', pem: TEST_CERTIFICATE } as const, { mode: 'fingerprint', sha256 } as const]) {
      expect(await world().connect({ tls }).sessions(context, [])).toEqual([]);
      expect((await world().connect({ tls }).check(context, [])).reachable).toBe(true);
    }
    for (const tls of [{ mode: 'system' } as const, { mode: 'fingerprint', sha256: other } as const]) {
      const error = await world()
        .connect({ tls })
        .sessionsSince(context, new Date())
        .catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ExternalSystemError);
      expect(error).toMatchObject({ kind: 'UNREACHABLE', message: expect.stringContaining('certificate') });
    }
  });
}

export const CERTIFICATE = { key: TEST_KEY, cert: TEST_CERTIFICATE };
