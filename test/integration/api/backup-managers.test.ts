import { afterAll, beforeAll, expect, test } from 'vitest';
import { openCredentials } from '../../../db/sealing.ts';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
let datacenter: { id: string; name: string };
beforeAll(async () => {
  api = await startTestApi();
  datacenter = await api.newDatacenter();
});
afterAll(() => api.stop());

const path = () => `/v1/datacenters/${datacenter.id}/backup-managers`;
const body = (more: object = {}) => ({
  type: 'avamar',
  name: api.unique('avamar'),
  endpoint: 'https://avamar.example.com',
  credentials: { user: 'MCUser', password: 'canary-4711' },
  ...more,
});

async function stored(id: string) {
  const row = await api.db.selectFrom('backup_manager').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  return row.credentials_sealed === null ? null : openCredentials(api.sealing, id, row.credentials_sealed);
}

test('credentials go in, are stored sealed, and come out of no answer, event or log', async () => {
  const created = await api.send(api.tokens.admin, 'POST', path(), { body: body() });
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject({ hasCredentials: true, tls: { mode: 'system' }, lastCheck: null });
  expect(created.body.credentialsUpdatedAt).not.toBeNull();
  expect(await stored(created.body.id)).toEqual({ user: 'MCUser', password: 'canary-4711' });

  const seen = [
    created.text,
    (await api.send(api.tokens.admin, 'GET', created.body.links.self)).text,
    (await api.send(api.tokens.admin, 'GET', path())).text,
    (await api.send(api.tokens.admin, 'GET', '/v1/events')).text,
    JSON.stringify(await api.db.selectFrom('backup_manager').selectAll().execute()),
    api.lines.join(''),
  ].join('');
  expect(seen).not.toContain('canary-4711');
  expect(seen).not.toContain('MCUser');
});

test('a change keeps the credentials that it leaves out and replaces those that it brings', async () => {
  const manager = await api.newManager(datacenter.id);
  const endpoint = new URL('/api/v1/other', manager.endpoint).href;
  const document = { name: manager.name, endpoint, maxConcurrentWrites: 4 };
  const changed = await api.expectStatus(200, api.tokens.admin, 'PUT', manager.links.self, { body: document });
  expect(changed).toMatchObject({ endpoint, maxConcurrentWrites: 4 });
  expect(changed.credentialsUpdatedAt).toBe(manager.credentialsUpdatedAt);
  expect(await stored(manager.id)).toEqual({ user: 'someone', password: 'canary-password' });

  const credentials = { user: 'someone', password: 'rotated' };
  await api.expectStatus(200, api.tokens.admin, 'PUT', manager.links.self, { body: { ...document, credentials } });
  expect(await stored(manager.id)).toEqual(credentials);
});

test('stored credentials are not sent to another host: it needs them anew', async () => {
  const manager = await api.newManager(datacenter.id);
  const document = { name: manager.name, endpoint: 'https://elsewhere.example.com/api/v1' };
  const refused = await api.send(api.tokens.admin, 'PUT', manager.links.self, { body: document });
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, '/credentials']);
  const credentials = { user: 'someone', password: 'given again' };
  await api.expectStatus(200, api.tokens.admin, 'PUT', manager.links.self, { body: { ...document, credentials } });
});

test('the type stays', async () => {
  const manager = await api.newManager(datacenter.id);
  const document = { name: manager.name, endpoint: manager.endpoint };
  const answer = await api.send(api.tokens.admin, 'PUT', manager.links.self, { body: { ...document, type: 'veeam' } });
  expect([answer.status, answer.body.code]).toEqual([422, 'BACKUP_MANAGER_TYPE_IMMUTABLE']);
  await api.expectStatus(200, api.tokens.admin, 'PUT', manager.links.self, { body: { ...document, type: 'avamar' } });
});

test('a datacenter may have several managers, each with its own name', async () => {
  const one = await api.newManager(datacenter.id);
  const again = await api.send(api.tokens.admin, 'POST', path(), { body: body({ name: one.name }) });
  expect([again.status, again.body.code, again.body.legacyCode]).toEqual([
    409,
    'BACKUP_MANAGER_ALREADY_EXISTS',
    'BC-39',
  ]);
  await api.newManager((await api.newDatacenter()).id, { name: one.name });
  const two = await api.newManager(datacenter.id);
  const renamed = await api.send(api.tokens.admin, 'PUT', two.links.self, {
    body: { name: one.name, endpoint: two.endpoint },
  });
  expect([renamed.status, renamed.body.code]).toEqual([409, 'BACKUP_MANAGER_ALREADY_EXISTS']);
});

test.each([
  ['an unknown type', { type: 'floppy' }, '/type'],
  ['no endpoint', { endpoint: undefined }, '/endpoint'],
  ['an endpoint of another protocol', { endpoint: 'ftp://x' }, '/endpoint'],
  ['a password in the endpoint', { endpoint: 'https://me:secret@x' }, '/endpoint'],
  ['no credentials', { credentials: undefined }, '/credentials'],
  ['credentials without a password', { credentials: { user: 'x' } }, '/credentials/password'],
  ['a fingerprint that is none', { tls: { mode: 'fingerprint', sha256: 'abc' } }, '/tls/sha256'],
  ['a certificate that is none', { tls: { mode: 'ca', pem: '-----BEGIN CERTIFICATE-----\nx' } }, '/tls/pem'],
  ['no writes at once', { maxConcurrentWrites: 0 }, '/maxConcurrentWrites'],
])('422 for %s', async (_name, more, pointer) => {
  const answer = await api.send(api.tokens.admin, 'POST', path(), { body: body(more) });
  expect(answer.status).toBe(422);
  expect(answer.body.errors.map((problem: { pointer: string }) => problem.pointer)).toEqual([pointer]);
  expect(answer.text).not.toContain('me:secret');
});

test('credentials that the plugin needs cannot be removed', async () => {
  const manager = await api.newManager(datacenter.id);
  const answer = await api.send(api.tokens.admin, 'PUT', manager.links.self, {
    body: { name: manager.name, endpoint: manager.endpoint, credentials: null },
  });
  expect([answer.status, answer.body.errors[0].pointer]).toEqual([422, '/credentials']);
});

test('a manager with a policy cannot be deleted; one without can, also after it was watched', async () => {
  const manager = await api.newManager(datacenter.id);
  const policy = await api.newPolicy(datacenter.id, manager.id);
  await api.db.insertInto('manager_watch').values({ manager_id: manager.id }).execute();
  const refused = await api.send(api.tokens.admin, 'DELETE', manager.links.self);
  expect([refused.status, refused.body.code]).toEqual([409, 'BACKUP_MANAGER_IN_USE']);
  await api.expectStatus(204, api.tokens.admin, 'DELETE', policy.links.self);
  await api.expectStatus(204, api.tokens.admin, 'DELETE', manager.links.self);
  await api.expectStatus(404, api.tokens.admin, 'GET', manager.links.self);
});

test('each change is an event of the datacenter', async () => {
  const place = await api.newDatacenter();
  const manager = await api.newManager(place.id);
  await api.expectStatus(200, api.tokens.admin, 'PUT', manager.links.self, {
    body: { name: 'renamed', endpoint: manager.endpoint },
  });
  await api.expectStatus(204, api.tokens.admin, 'DELETE', manager.links.self);
  const events = await api.expectStatus(
    200,
    api.tokens.admin,
    'GET',
    `/v1/events?datacenterId=${place.id}&entity=BACKUP_MANAGER`,
  );
  expect(events.items.map((event: { action: string }) => event.action)).toEqual(['DELETE', 'MODIFY', 'CREATE']);
});

test('only a CLOUD_ADMIN sees backup managers', async () => {
  const manager = await api.newManager(datacenter.id);
  const enterprise = await api.newEnterprise();
  for (const token of [enterprise.admin, enterprise.user, api.tokens.platform]) {
    expect((await api.send(token, 'GET', path())).status).toBe(403);
    expect((await api.send(token, 'GET', manager.links.self)).status).toBe(403);
    expect((await api.send(token, 'POST', manager.links.check)).status).toBe(403);
    expect((await api.send(token, 'DELETE', manager.links.self)).status).toBe(403);
  }
});

test('a manager of no datacenter is 404', async () => {
  const nowhere = `/v1/datacenters/${crypto.randomUUID()}/backup-managers`;
  expect((await api.send(api.tokens.admin, 'GET', nowhere)).status).toBe(404);
  expect((await api.send(api.tokens.admin, 'POST', nowhere, { body: body() })).status).toBe(404);
  expect((await api.send(api.tokens.admin, 'POST', `/v1/backup-managers/${crypto.randomUUID()}/check`)).status).toBe(
    404,
  );
});
