import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

test('an enterprise is created once by its name, and the creation is an event', async () => {
  const body = { name: 'Acme' };
  const created = await api.send(api.tokens.admin, 'POST', '/v1/enterprises', { body });
  expect(created.status).toBe(201);
  expect(created.headers.get('location')).toBe(`/v1/enterprises/${created.body.id}`);
  expect(await api.expectStatus(200, api.tokens.admin, 'GET', created.body.links.self)).toEqual(created.body);

  const again = await api.send(api.tokens.admin, 'POST', '/v1/enterprises', { body });
  expect(again.status).toBe(409);
  expect(again.body).toMatchObject({ code: 'CONFLICT', errors: [{ pointer: '/name' }] });

  const events = await api.expectStatus(200, api.tokens.admin, 'GET', `/v1/events?enterpriseId=${created.body.id}`);
  expect(events.items).toMatchObject([{ entity: 'ENTERPRISE', action: 'CREATE', principal: 'admin' }]);
});

test('a tenant sees its own enterprise alone and creates none', async () => {
  const [own, other] = [await api.newEnterprise(), await api.newEnterprise()];
  const list = await api.expectStatus(200, own.user, 'GET', '/v1/enterprises');
  expect(list.items.map((item: { id: string }) => item.id)).toEqual([own.id]);
  expect((await api.send(own.user, 'GET', `/v1/enterprises/${other.id}`)).status).toBe(404);
  const refused = await api.send(own.admin, 'POST', '/v1/enterprises', { body: { name: 'x' } });
  expect(refused.status).toBe(403);
  expect(refused.body).toMatchObject({ code: 'FORBIDDEN', legacyCode: 'GEN-15' });
});

test('a token is shown once and works until it is revoked', async () => {
  const enterprise = await api.newEnterprise();
  const path = `/v1/enterprises/${enterprise.id}/tokens`;
  const created = await api.expectStatus(201, api.tokens.admin, 'POST', path, {
    body: { role: 'USER', name: 'portal' },
  });
  expect(created.token).toMatch(/^hf_[A-Za-z0-9_-]{43}$/);
  await api.expectStatus(200, created.token, 'GET', '/v1/datacenters');

  const list = await api.send(api.tokens.admin, 'GET', path);
  expect(list.body.items).toHaveLength(3);
  expect(list.text).not.toContain(created.token);

  await api.expectStatus(204, api.tokens.admin, 'DELETE', `${path}/${created.id}`);
  const refused = await api.send(created.token, 'GET', '/v1/datacenters');
  expect(refused.status).toBe(401);
  expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="holdfast"');
  await api.expectStatus(404, api.tokens.admin, 'DELETE', `${path}/${created.id}`);
  expect((await api.expectStatus(200, api.tokens.admin, 'GET', path)).items[0].revokedAt).not.toBeNull();
});

test('a token is revoked only through its own enterprise', async () => {
  const [one, two] = [await api.newEnterprise(), await api.newEnterprise()];
  const tokens = await api.expectStatus(200, api.tokens.admin, 'GET', `/v1/enterprises/${one.id}/tokens`);
  await api.expectStatus(404, api.tokens.admin, 'DELETE', `/v1/enterprises/${two.id}/tokens/${tokens.items[0].id}`);
  await api.expectStatus(200, one.user, 'GET', '/v1/datacenters');
});

test('roles that see every enterprise cannot be had over HTTP', async () => {
  const enterprise = await api.newEnterprise();
  const answer = await api.send(api.tokens.admin, 'POST', `/v1/enterprises/${enterprise.id}/tokens`, {
    body: { role: 'CLOUD_ADMIN', name: 'x' },
  });
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toMatchObject([{ pointer: '/role' }]);
});
