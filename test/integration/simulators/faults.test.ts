import { afterEach, beforeEach, expect, test } from 'vitest';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import type { RunningSimulator } from '../../../simulators/kit/server.ts';
import { type Answer, type Json, request, until } from './simulated-world.ts';

const HARDWARE = { name: 'web-1', cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 10 }] };

let simulator: RunningSimulator;
beforeEach(async () => {
  simulator = await startHypervisorSimulator();
});
afterEach(() => simulator.close());

const call = (method: string, path: string, body?: unknown): Promise<Answer> =>
  request(method, simulator.url + path, body);
const effects = async (): Promise<string[]> =>
  (await call('GET', '/_simulator/effects')).body.effects.map((effect: Json) => effect.kind);
const faults = async (): Promise<Json[]> => (await call('GET', '/_simulator/faults')).body.faults;

/** Arms a hold and answers its id. */
const hold = async (when: 'before' | 'after', more: object = {}): Promise<number> => {
  const fault = { method: 'PUT', path: '^/allocations/', when, action: { hold: true }, ...more };
  return (await call('POST', '/_simulator/faults', fault)).body.id;
};
const holds = (count: number) => until(faults, (all) => all.reduce((sum, { holding }) => sum + holding, 0) === count);

test('a request that is held before has no effect until it is let go', async () => {
  const id = await hold('before');
  const answer = call('PUT', '/allocations/a1', HARDWARE);
  await holds(1);
  expect(await effects()).toEqual([]);

  await call('DELETE', `/_simulator/faults/${id}`);
  expect((await answer).status).toBe(201);
  expect(await effects()).toEqual(['allocate']);
});

test('a request that is held after has had its effect; its answer comes when it is let go', async () => {
  await hold('after');
  let answered = false;
  const answer = call('PUT', '/allocations/a1', HARDWARE).then((given) => {
    answered = true;
    return given;
  });
  await holds(1);
  expect([await effects(), answered]).toEqual([['allocate'], false]);

  await call('DELETE', '/_simulator/faults');
  expect((await answer).status).toBe(201);
});

test('a client that goes away while it is held before leaves no effect', async () => {
  await hold('before');
  const client = new AbortController();
  const answer = fetch(`${simulator.url}/allocations/a1`, {
    method: 'PUT',
    body: JSON.stringify(HARDWARE),
    headers: { 'content-type': 'application/json' },
    signal: client.signal,
  });
  await holds(1);
  client.abort();
  await expect(answer).rejects.toThrow();
  await holds(0);
  await call('DELETE', '/_simulator/faults');
  expect(await effects()).toEqual([]);
});

test('one request is chosen by its body; others pass', async () => {
  await hold('before', { body: '"cpu":4' });
  expect((await call('PUT', '/allocations/a1', HARDWARE)).status).toBe(201);
  const held = call('PUT', '/allocations/a2', { ...HARDWARE, cpu: 4 });
  expect(await holds(1)).toMatchObject([{ body: '"cpu":4', holding: 1, hits: 1 }]);
  await call('DELETE', '/_simulator/faults');
  expect((await held).status).toBe(201);
});

test('a hold for one request lets the next one pass, and still holds the first', async () => {
  await hold('before', { times: 1 });
  const held = call('PUT', '/allocations/a1', HARDWARE);
  await holds(1);
  expect((await call('PUT', '/allocations/a2', HARDWARE)).status).toBe(201);
  expect(await faults()).toMatchObject([{ holding: 1 }]);
  await call('DELETE', '/_simulator/faults');
  expect((await held).status).toBe(201);
});

test('what is no regular expression is refused', async () => {
  const answer = await call('POST', '/_simulator/faults', { path: '(', when: 'before', action: { hold: true } });
  expect([answer.status, answer.body.code]).toEqual([400, 'BAD_FAULT']);
});
