import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { apiFor, refusalOf } from '../../../bin/demo/api-client.ts';
import { serverAt } from '../../../bin/demo/http.ts';

const OPERATION = {
  id: 'o-1',
  kind: 'BACKUP',
  origin: 'HOLDFAST',
  state: 'REQUESTED',
  vm: { id: 'v-1', name: 'web-1' },
  progress: 0,
  attentionReason: null,
  createdAt: '2026-11-22T10:00:00.000Z',
  finishedAt: null,
  error: null,
  links: { temporalUi: 'http://ui' },
  steps: [],
  residue: [],
};

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A server that answers the requests in turn; `undefined` loses the answer after the request has arrived. */
async function answering(...answers: ({ status: number; body: unknown } | undefined)[]) {
  const keys: (string | string[] | undefined)[] = [];
  server = createServer((request, response) => {
    keys.push(request.headers['idempotency-key']);
    const answer = answers.shift();
    if (answer === undefined) {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const told: string[] = [];
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { signal } = new AbortController();
  const reached = serverAt({ called: 'The API', url, signal, tell: (text) => told.push(text) });
  return { api: apiFor(reached, 'a-token'), keys, told };
}

test('a request whose answer was lost is sent again under the same key, and the reader is told', async () => {
  const { api, keys, told } = await answering(undefined, { status: 503, body: {} }, { status: 202, body: OPERATION });
  expect((await api.begin('/v1/virtual-machines/v-1/backup')).id).toBe('o-1');
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  expect(told).toEqual([
    expect.stringMatching(/^The API does not answer \(.+\); trying again for a minute$/),
    'The API answers again',
  ]);
});

test('two operations have two keys', async () => {
  const { api, keys } = await answering({ status: 202, body: OPERATION }, { status: 202, body: OPERATION });
  await api.begin('/v1/virtual-machines/v-1/backup');
  await api.begin('/v1/virtual-machines/v-1/backup');
  expect(new Set(keys).size).toBe(2);
});

test('a refusal keeps its code and says what is wrong with each field', async () => {
  const errors = [{ pointer: '/name', detail: 'is missing' }];
  const body = { code: 'INVALID_REQUEST', title: 'Not valid', detail: 'The request is not valid.', errors };
  const { api } = await answering({ status: 422, body });
  const refusal = await refusalOf(api.post('/v1/enterprises', {}, z.unknown()));
  expect(refusal?.problem.code).toBe('INVALID_REQUEST');
  expect(refusal?.message).toBe(
    'POST /v1/enterprises answered 422 INVALID_REQUEST: The request is not valid.; /name is missing',
  );
});

test('a list is followed to its last page', async () => {
  const { api } = await answering(
    { status: 200, body: { items: [{ id: 1 }], nextCursor: 'more' } },
    { status: 200, body: { items: [{ id: 2 }], nextCursor: null } },
  );
  expect(await api.list('/v1/things', z.object({ id: z.number() }))).toEqual([{ id: 1 }, { id: 2 }]);
});
