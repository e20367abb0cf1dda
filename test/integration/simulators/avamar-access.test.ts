import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import type { RunningSimulator } from '../../../simulators/kit/server.ts';
import { basic, logIn, REGISTRATION, request } from './simulated-world.ts';

describe('the Avamar simulator: who may come in', () => {
  let avamar: RunningSimulator;
  beforeEach(async () => {
    avamar = await startAvamarSimulator({ vcenterUrl: 'http://127.0.0.1:9' });
  });
  afterEach(() => avamar.close());

  const register = (password: string, body: object = REGISTRATION) =>
    request('POST', `${avamar.url}/api/v1/oauth2/clients`, body, {
      headers: { authorization: basic('MCUser', password) },
    });
  const grant = (form: string, secret = REGISTRATION.clientSecret) =>
    request('POST', `${avamar.url}/api/oauth/token`, undefined, {
      body: form,
      headers: {
        authorization: basic(REGISTRATION.clientId, secret),
        'content-type': 'application/x-www-form-urlencoded',
      },
    });
  const groups = (token: string) =>
    request('GET', `${avamar.url}/api/v1/groups`, undefined, { headers: { authorization: `Bearer ${token}` } });
  const pass = (seconds: number) => request('POST', `${avamar.url}/_simulator/clock`, { advanceSeconds: seconds });

  test('a client registers once, with the administrator’s password', async () => {
    expect((await register('wrong')).status).toBe(401);
    const first = await register('avamar-simulator');
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({
      clientId: 'tester',
      accessTokenValiditySeconds: 1800,
      refreshTokenValiditySeconds: 43_200,
    });
    expect((await register('avamar-simulator')).status).toBe(400);
    const generated = await register('avamar-simulator', {
      ...REGISTRATION,
      clientId: undefined,
      clientSecret: undefined,
    });
    expect(generated.body.clientId).not.toBe('');
    expect(generated.body.clientSecret).not.toBe('');
    expect((await register('avamar-simulator', { clientName: 'incomplete' })).status).toBe(400);
  });

  test('a token is a JWT, is needed, and ends', async () => {
    expect((await groups('none')).status).toBe(401);
    const { body } = await logIn(avamar.url, { ...REGISTRATION, accessTokenValiditySeconds: 60 });
    expect(body.access_token.split('.')).toHaveLength(3);
    expect(body.expires_in).toBeGreaterThan(0);
    expect(body.expires_in).toBeLessThanOrEqual(60);
    expect((await groups(body.access_token)).status).toBe(200);

    await pass(61);
    const expired = await groups(body.access_token);
    expect(expired.status).toBe(401);
    expect(expired.body.error).toBe('invalid_token');

    const refreshed = await grant(`grant_type=refresh_token&refresh_token=${body.refresh_token}`);
    expect((await groups(refreshed.body.access_token)).status).toBe(200);
    expect((await grant(`grant_type=refresh_token&refresh_token=${body.refresh_token}`)).status).toBe(400);
  });

  test('bad passwords and bad secrets are told apart', async () => {
    await logIn(avamar.url);
    const password = await grant('grant_type=password&username=MCUser&password=wrong&scope=write');
    expect([password.status, password.body.error]).toEqual([400, 'invalid_grant']);
    const secret = await grant('grant_type=password&username=MCUser&password=avamar-simulator', 'wrong');
    expect(secret.status).toBe(401);
  });
});
