import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi, vmBody } from './test-api.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.stop());

const create = (more: object) => api.send(api.tokens.admin, 'POST', '/v1/enterprises', more);

test('a problem names itself, its page and its request', async () => {
  const answer = await api.send(undefined, 'GET', '/v1/enterprises', { headers: { 'x-request-id': 'mine-1' } });
  expect(answer.status).toBe(401);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('x-request-id')).toBe('mine-1');
  expect(answer.body).toEqual({
    type: '/errors/UNAUTHENTICATED',
    title: 'A valid token is needed',
    status: 401,
    detail: 'Send a token: Authorization: Bearer hf_…',
    instance: 'mine-1',
    code: 'UNAUTHENTICATED',
    legacyCode: 'GEN-5',
  });
  const page = await api.send(undefined, 'GET', answer.body.type);
  expect(page.headers.get('content-type')).toContain('text/markdown');
  expect(page.text).toContain('# UNAUTHENTICATED');
});

test.each([
  ['no scheme', 'abc'],
  ['another scheme', 'Basic abc'],
  ['a token that was never made', `Bearer hf_${'a'.repeat(43)}`],
  ['something that is no token', "Bearer ' or 1=1"],
])('401 for %s', async (_name, authorization) => {
  const answer = await api.send(undefined, 'GET', '/v1/enterprises', { headers: { authorization } });
  expect(answer.status).toBe(401);
});

test('every field that is wrong is named at once', async () => {
  const body = { ...vmBody('not-an-id', 'Web 1'), cpu: 0, memoryMiB: undefined, colour: 'red' };
  const answer = await api.send(api.tokens.admin, 'POST', '/v1/virtual-machines', { body });
  expect(answer.status).toBe(422);
  expect(answer.body.code).toBe('INVALID_REQUEST');
  const pointers = answer.body.errors.map((problem: { pointer: string }) => problem.pointer);
  expect(pointers.toSorted()).toEqual(['/colour', '/cpu', '/datacenterId', '/memoryMiB', '/name']);
  expect(answer.body.errors).toContainEqual({ pointer: '/memoryMiB', detail: 'is missing', code: 'INVALID_REQUEST' });
});

test.each([
  ['a NUL byte', '{"name":"a\\u0000b"}'],
  ['half a surrogate pair', '{"name":"a\\ud800"}'],
  ['a line break', '{"name":"a\\nb"}'],
  ['spaces at the end', '{"name":"a "}'],
  ['nothing', '{"name":""}'],
])('422 for a name with %s', async (_name, raw) => {
  const answer = await create({ raw });
  expect(answer.status).toBe(422);
  expect(answer.body.errors[0].pointer).toBe('/name');
});

test.each([
  ['malformed JSON', 400, 'MALFORMED_JSON', { raw: '{"name"' }],
  ['an empty body, which says {},', 422, 'INVALID_REQUEST', { raw: '' }],
  ['another content type', 415, 'UNSUPPORTED_MEDIA_TYPE', { raw: 'name=x', headers: { 'content-type': 'text/plain' } }],
  ['JSON in a form', 415, 'UNSUPPORTED_MEDIA_TYPE', { raw: '{}', headers: { 'content-type': 'multipart/form-data' } }],
  ['a body of more than 1 MiB', 413, 'PAYLOAD_TOO_LARGE', { raw: `{"name":"${'x'.repeat(1024 * 1024)}"}` }],
  ['a body that is not an object', 422, 'INVALID_REQUEST', { raw: '[]' }],
])('%s answers %i', async (_name, status, code, request) => {
  const answer = await create(request);
  expect(answer.status).toBe(status);
  expect(answer.body).toMatchObject({ code, status, type: `/errors/${code}` });
});

test('an unknown path is 404, a known one with another method 405', async () => {
  const unknown = await api.send(api.tokens.admin, 'GET', '/v1/nothing');
  expect([unknown.status, unknown.body.code]).toEqual([404, 'NOT_FOUND']);
  const outside = await api.send(undefined, 'GET', '/nothing');
  expect([outside.status, outside.body.code]).toEqual([404, 'NOT_FOUND']);
  const wrong = await api.send(api.tokens.admin, 'DELETE', '/v1/enterprises');
  expect([wrong.status, wrong.body.code]).toEqual([405, 'METHOD_NOT_ALLOWED']);
  expect(wrong.headers.get('allow')).toBe('GET, HEAD, POST');
});

test('an id that is none is 404', async () => {
  for (const id of ['x', '%00', "'", crypto.randomUUID()]) {
    expect((await api.send(api.tokens.admin, 'GET', `/v1/enterprises/${id}`)).status).toBe(404);
  }
});

test('a query is checked as strictly as a body', async () => {
  for (const query of ['limit=0', 'limit=201', 'limit=x', 'limit=1&limit=2']) {
    const answer = await api.send(api.tokens.admin, 'GET', `/v1/enterprises?${query}`);
    expect(answer.status, query).toBe(422);
    expect(answer.body.errors[0].pointer).toBe('/limit');
  }
});

test('what fails inside is 500 and says nothing of the inside', async () => {
  const broken = await startTestApi();
  try {
    await broken.db.schema.dropTable('event').execute();
    const answer = await broken.send(broken.tokens.admin, 'POST', '/v1/enterprises', { body: { name: 'x' } });
    expect([answer.status, answer.body.code]).toEqual([500, 'INTERNAL']);
    expect(answer.text).not.toMatch(/relation|event|insert|at .*\.ts/);
    expect(broken.lines.join('')).toContain('relation \\"event\\" does not exist');
  } finally {
    await broken.stop();
  }
});

test('without a database requests are 503, and the API stays alive', async () => {
  const cut = await startTestApi({ databaseUrl: 'postgres://nobody@127.0.0.1:1/none' });
  try {
    const answer = await cut.send(cut.tokens.admin, 'GET', '/v1/enterprises');
    expect([answer.status, answer.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE']);
    expect(answer.headers.get('retry-after')).toBe('5');
    expect((await cut.send(undefined, 'GET', '/healthz')).status).toBe(200);
    const ready = await cut.send(undefined, 'GET', '/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body).toEqual({
      status: 'not ready',
      database: { reachable: false },
      temporal: { reachable: true },
    });
  } finally {
    await cut.stop();
  }
});

test('without Temporal the API is not ready, says so, and still answers', async () => {
  const cut = await startTestApi({ temporalAddress: '127.0.0.1:1' });
  try {
    const ready = await cut.send(undefined, 'GET', '/readyz');
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({ database: { reachable: true }, temporal: { reachable: false } });
    expect((await cut.send(cut.tokens.admin, 'GET', '/v1/enterprises')).status).toBe(200);
  } finally {
    await cut.stop();
  }
});

test('the open paths need no token', async () => {
  expect((await api.send(undefined, 'GET', '/')).body.links.openapi).toBe('/openapi.json');
  expect((await api.send(undefined, 'GET', '/openapi.json')).body.openapi).toBe('3.1.0');
  expect((await api.send(undefined, 'GET', '/readyz')).body.status).toBe('ready');
  const list = (await api.send(undefined, 'GET', '/errors')).text;
  expect(list).toContain('[VM_LOCKED](/errors/VM_LOCKED) (409)');
  expect(list.match(/Abiquo, [^.]*platform/g)).toHaveLength(1);
  for (const code of ['NONSENSE', '..%2f..%2fpackage', 'toString']) {
    expect((await api.send(undefined, 'GET', `/errors/${code}`)).status).toBe(404);
  }
});

test('answers are not cached, and each request is one line in the log without its token', async () => {
  const answer = await api.send(api.tokens.admin, 'GET', '/v1/enterprises?limit=7');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  const id = answer.headers.get('x-request-id') as string;
  const lines = api.lines.filter((line) => line.includes(id)).map((line) => JSON.parse(line));
  expect(lines).toMatchObject([
    { method: 'GET', path: '/v1/enterprises', status: 200, principal: 'admin', role: 'CLOUD_ADMIN', msg: 'request' },
  ]);
  expect(api.lines.join('')).not.toContain(api.tokens.admin);
});
