import { request } from 'node:http';
import { connect as connectSocket } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest';
import { type RunningApi, startApi } from '../../../api/server.ts';
import { createToken } from '../../../db/tokens.ts';
import { type Config, loadConfig } from '../../../temporal.config.ts';
import { type TestDatabase, testDatabase } from '../database.ts';

let database: TestDatabase;
let dataDir: string;
let config: Config;
const running: RunningApi[] = [];
beforeAll(async () => {
  database = await testDatabase();
  dataDir = mkdtempSync(join(tmpdir(), 'holdfast-server-'));
  const loaded = loadConfig({
    DATABASE_URL: database.url,
    TEMPORAL_ADDRESS: inject('temporalAddress'),
    HOLDFAST_DATA_DIR: dataDir,
  });
  // Port 0: the system chooses one that is free.
  config = { ...loaded, api: { host: '127.0.0.1', port: 0 } };
});
afterEach(async () => {
  for (const api of running.splice(0)) await api.stop();
});
afterAll(async () => {
  await database.drop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(temporalAddress = config.temporal.address): Promise<RunningApi> {
  const temporal = { ...config.temporal, address: temporalAddress };
  const api = await startApi({ ...config, temporal }, pino({ level: 'silent' }));
  running.push(api);
  return api;
}

test('it serves over HTTP and is ready when the database and Temporal are', async () => {
  const { url } = await start();
  const ready = await fetch(`${url}/readyz`);
  expect([ready.status, await ready.json()]).toMatchObject([200, { status: 'ready' }]);
  const { token } = await createToken(database.db, { role: 'CLOUD_ADMIN', name: 'admin', enterpriseId: null });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const created = await fetch(`${url}/v1/enterprises`, { method: 'POST', headers, body: '{"name":"Acme"}' });
  expect(created.status).toBe(201);
});

test('a body without a length is limited as well', async () => {
  const { url } = await start();
  const { token } = await createToken(database.db, { role: 'CLOUD_ADMIN', name: 'admin', enterpriseId: null });
  const status = await new Promise<number | undefined>((done, failed) => {
    const sent = request(
      `${url}/v1/enterprises`,
      { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } },
      (answer) => {
        answer.resume();
        done(answer.statusCode);
      },
    );
    sent.on('error', failed);
    for (let k = 0; k < 40; k++) sent.write('x'.repeat(32 * 1024));
    sent.end();
  });
  expect(status).toBe(413);
});

test('stopping lets the request under way end and then takes no more', async () => {
  const api = await start();
  const { hostname, port } = new URL(api.url);
  const socket = connectSocket(Number(port), hostname);
  const answer = new Promise<string>((done, failed) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('close', () => done(text));
    socket.on('error', failed);
  });
  const body = '{"name":"x"}';
  await new Promise<void>((done) => socket.once('connect', done));
  const head = `POST /v1/enterprises HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`;
  await new Promise<void>((done) => socket.write(head, () => done()));
  // Another request, answered after the first one's head was read.
  await (await fetch(`${api.url}/healthz`)).text();
  const stopped = api.stop();
  socket.write(body);
  expect(await answer).toContain('401 Unauthorized');
  await stopped;
  await expect(fetch(`${api.url}/healthz`)).rejects.toThrow();
  running.splice(0);
});

test('it stops while Temporal is away and calls to it are still being retried', async () => {
  const api = await start('127.0.0.1:1');
  expect((await fetch(`${api.url}/readyz`)).status).toBe(503);
  await api.stop();
  running.splice(0);
  // A retry that outlived its connection would throw within its second, outside of every call, and fail this file.
  await sleep(1_200);
});

test('a port that is taken is an error, not a silent end', async () => {
  const { url } = await start();
  const taken = { ...config, api: { host: '127.0.0.1', port: Number(new URL(url).port) } };
  await expect(startApi(taken, pino({ level: 'silent' }))).rejects.toThrow(/EADDRINUSE/);
});
