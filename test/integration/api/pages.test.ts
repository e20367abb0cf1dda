import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
const names: string[] = [];
beforeAll(async () => {
  api = await startTestApi();
  const at = new Date('2026-11-22T10:00:00.123Z');
  for (let k = 0; k < 7; k++) names.push(`e-${k}`);
  // The same millisecond for all: the id alone puts them in order.
  await api.db
    .insertInto('enterprise')
    .values(names.map((name) => ({ name, created_at: at })))
    .execute();
});
afterAll(() => api.stop());

test('following the links shows every item once, in one order, also when rows come meanwhile', async () => {
  const whole = await api.expectStatus(200, api.tokens.admin, 'GET', '/v1/enterprises');
  expect(whole).toMatchObject({ nextCursor: null });
  const seen: string[] = [];
  let path: string | undefined = '/v1/enterprises?limit=3';
  while (path !== undefined) {
    const answer = await api.send(api.tokens.admin, 'GET', path);
    expect(answer.status).toBe(200);
    seen.push(...answer.body.items.map((item: { name: string }) => item.name));
    path = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1];
    expect(path === undefined).toBe(answer.body.nextCursor === null);
    await api.newEnterprise();
  }
  expect(seen).toEqual(whole.items.map((item: { name: string }) => item.name));
  expect(seen.toSorted()).toEqual(names);
});

test('a cursor belongs to its list and its filters', async () => {
  const { nextCursor } = await api.expectStatus(200, api.tokens.admin, 'GET', '/v1/enterprises?limit=1');
  const refused = async (path: string) => {
    const answer = await api.send(api.tokens.admin, 'GET', path);
    return [answer.status, answer.body.code];
  };
  for (const path of [
    `/v1/datacenters?cursor=${nextCursor}`,
    '/v1/enterprises?cursor=abc',
    `/v1/enterprises?cursor=${nextCursor}x`,
    `/v1/enterprises?cursor=${Buffer.from('["x","2026-01-01T00:00:00Z","1"]').toString('base64url')}`,
  ]) {
    expect(await refused(path), path).toEqual([400, 'INVALID_CURSOR']);
  }
  const events = await api.expectStatus(200, api.tokens.admin, 'GET', '/v1/events?limit=1&entity=TOKEN');
  expect(await refused(`/v1/events?entity=ENTERPRISE&cursor=${events.nextCursor}`)).toEqual([400, 'INVALID_CURSOR']);
  const next = await api.expectStatus(
    200,
    api.tokens.admin,
    'GET',
    `/v1/events?entity=TOKEN&limit=5&cursor=${events.nextCursor}`,
  );
  expect(next.items.length).toBeGreaterThan(0);
});
