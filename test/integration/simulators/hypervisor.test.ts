import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import type { RunningSimulator } from '../../../simulators/kit/server.ts';
import { type Call, request } from './simulated-world.ts';

const HARDWARE = { name: 'web-1', cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 10 }] };

describe('the hypervisor simulator', () => {
  let folder: string;
  let hypervisor: RunningSimulator;
  const start = async () => startHypervisorSimulator({ stateFile: join(folder, 'state') });
  const call: Call = (method, path, body) => request(method, hypervisor.url + path, body);
  const effects = async (): Promise<string[]> =>
    (await call('GET', '/_simulator/effects')).body.effects.map(({ kind }: { kind: string }) => kind);

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypervisor-'));
    hypervisor = await start();
  });
  afterEach(async () => {
    await hypervisor.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('repeating every request of a machine’s life has each effect once', async () => {
    const statuses: number[] = [];
    const twice = async (method: string, path: string, body?: unknown) => {
      for (let time = 0; time < 2; time += 1) statuses.push((await call(method, path, body)).status);
    };
    await twice('PUT', '/allocations/a1', HARDWARE);
    await twice('PUT', '/vms/a1', HARDWARE);
    await twice('PATCH', '/vms/a1', { cpu: 4 });
    await twice('PUT', '/vms/a1/power', { state: 'ON' });
    await twice('PUT', '/vms/a1/power', { state: 'OFF' });
    await twice('DELETE', '/vms/a1');
    await twice('DELETE', '/allocations/a1');

    expect(statuses).toEqual([201, 200, 201, 200, 200, 200, 200, 200, 200, 200, 204, 204, 204, 204]);
    expect(await effects()).toEqual([
      'allocate',
      'configure',
      'reconfigure',
      'power',
      'power',
      'destroy',
      'deallocate',
    ]);
  });

  test('a machine that is made again has another reference', async () => {
    await call('PUT', '/allocations/a1', HARDWARE);
    const first = (await call('PUT', '/vms/a1', HARDWARE)).body.moref;
    await call('DELETE', '/vms/a1');
    const second = (await call('PUT', '/vms/a1', HARDWARE)).body.moref;
    expect(second).not.toBe(first);
    expect((await call('GET', `/morefs/${first}`)).status).toBe(404);
  });

  test('refuses what a hypervisor refuses, and says why', async () => {
    expect((await call('PUT', '/vms/a1', HARDWARE)).body.code).toBe('NOT_ALLOCATED');
    await call('PUT', '/allocations/a1', HARDWARE);
    await call('PUT', '/vms/a1', HARDWARE);
    expect((await call('DELETE', '/allocations/a1')).body.code).toBe('VM_EXISTS');
    const shrunk = await call('PATCH', '/vms/a1', { disks: [{ label: 'system', sizeGiB: 5 }] });
    expect([shrunk.status, shrunk.body.code]).toEqual([422, 'DISK_CANNOT_SHRINK']);
    const huge = await call('PATCH', '/vms/a1', { disks: [{ label: 'system', sizeGiB: 63_489 }] });
    expect([huge.status, huge.body.code]).toEqual([422, 'DISK_TOO_LARGE']);
    await call('PUT', '/vms/a1/power', { state: 'ON' });
    const destroyed = await call('DELETE', '/vms/a1');
    expect([destroyed.status, destroyed.body.code]).toEqual([409, 'POWERED_ON']);
    expect((await call('GET', '/vms/other')).status).toBe(404);
    expect((await call('PUT', '/vms/a1/power', { state: 'SIDEWAYS' })).status).toBe(400);
  });

  test('a detached disk keeps its content and is no part of a backup', async () => {
    await call('PUT', '/allocations/a1', HARDWARE);
    const { moref } = (await call('PUT', '/vms/a1', HARDWARE)).body;
    const system = { label: 'system', sizeGiB: 10 };
    await call('PATCH', '/vms/a1', { disks: [system, { label: 'data', sizeGiB: 5 }] });
    await call('PUT', '/vms/a1/disks/data/content', { content: 'precious' });

    await call('PATCH', '/vms/a1', { disks: [system, { label: 'data', sizeGiB: 5, attached: false }] });
    expect((await call('GET', `/morefs/${moref}/contents`)).body.disks).toEqual({ system: '' });

    await call('PATCH', '/vms/a1', { disks: [system, { label: 'data', sizeGiB: 5 }] });
    expect((await call('GET', '/vms/a1/disks/data/content')).body.content).toBe('precious');
  });

  test('the list has no contents, the machine has', async () => {
    await call('PUT', '/allocations/a1', HARDWARE);
    await call('PUT', '/vms/a1', { ...HARDWARE, annotation: 'mark' });
    await call('PUT', '/vms/a1/disks/system/content', { content: 'x' });
    const [listed] = (await call('GET', '/vms')).body.vms;
    expect(listed).toMatchObject({ id: 'a1', annotation: 'mark', disks: [{ label: 'system', sizeGiB: 10 }] });
    expect(listed.disks[0]).not.toHaveProperty('content');
    expect((await call('GET', '/vms/a1')).body.disks[0].content).toBe('x');
  });

  test('a restore as a new machine happens once for its key, and that machine can take over an id', async () => {
    await call('PUT', '/allocations/a1', HARDWARE);
    const old = (await call('PUT', '/vms/a1', HARDWARE)).body.moref;
    const disks = [{ label: 'system', sizeGiB: 10, content: 'restored' }];
    const made = (await call('POST', '/morefs', { ...HARDWARE, disks, key: 'k1' })).body;
    expect(made).toMatchObject({ id: null, name: 'web-1', disks: [{ content: 'restored' }] });
    expect((await call('POST', '/morefs', { ...HARDWARE, disks, key: 'k1' })).body.moref).toBe(made.moref);

    expect((await call('PUT', `/morefs/${made.moref}/identity`, { id: 'a1' })).status).toBe(409);
    await call('DELETE', `/morefs/${old}`);
    await call('PUT', `/morefs/${made.moref}/identity`, { id: 'a1' });
    expect((await call('GET', '/vms/a1/disks/system/content')).body.content).toBe('restored');
  });

  test('a machine has one id at a time, and gives it back', async () => {
    const { moref } = (await call('POST', '/morefs', { ...HARDWARE, disks: [] })).body;
    const identify = (id: string | null) => call('PUT', `/morefs/${moref}/identity`, { id });
    expect((await identify('a1')).body.id).toBe('a1');
    expect((await identify('a1')).status).toBe(200);
    const other = await identify('b2');
    expect([other.status, other.body.code]).toEqual([409, 'HAS_IDENTITY']);
    expect((await identify(null)).body.id).toBeNull();
    expect((await identify('b2')).body.id).toBe('b2');
    expect((await call('GET', '/vms/a1')).status).toBe(404);
  });

  test('what was answered is there after a restart', async () => {
    await call('PUT', '/allocations/a1', HARDWARE);
    const { moref } = (await call('PUT', '/vms/a1', HARDWARE)).body;
    await call('PUT', '/vms/a1/disks/system/content', { content: 'kept' });
    const { instanceUuid } = (await call('GET', '/about')).body;

    await hypervisor.close();
    hypervisor = await start();

    expect((await call('GET', '/vms/a1')).body).toMatchObject({ moref, disks: [{ content: 'kept' }] });
    expect((await call('GET', '/about')).body.instanceUuid).toBe(instanceUuid);
    expect(await effects()).toEqual(['allocate', 'configure']);
    const another = (await call('PUT', '/allocations/b2', HARDWARE)) && (await call('PUT', '/vms/b2', HARDWARE));
    expect(another.body.moref).not.toBe(moref);
  });

  describe('fault switches', () => {
    test('a request dropped before has no effect; one dropped after has it', async () => {
      await call('POST', '/_simulator/faults', {
        path: '^/allocations/',
        when: 'before',
        times: 1,
        action: { drop: true },
      });
      await expect(call('PUT', '/allocations/a1', HARDWARE)).rejects.toThrow();
      expect(await effects()).toEqual([]);

      await call('POST', '/_simulator/faults', {
        path: '^/allocations/',
        when: 'after',
        times: 1,
        action: { drop: true },
      });
      await expect(call('PUT', '/allocations/a1', HARDWARE)).rejects.toThrow();
      expect(await effects()).toEqual(['allocate']);

      expect((await call('PUT', '/allocations/a1', HARDWARE)).status).toBe(200);
    });

    test('an answer can be replaced after its effect, by method and a number of times', async () => {
      const action = { status: 503, body: { code: 'BUSY' }, headers: { 'retry-after': '1' } };
      await call('POST', '/_simulator/faults', {
        method: 'put',
        path: '/allocations',
        when: 'after',
        times: 1,
        action,
      });
      const answer = await call('PUT', '/allocations/a1', HARDWARE);
      expect([answer.status, answer.body, answer.headers.get('retry-after')]).toEqual([503, { code: 'BUSY' }, '1']);
      expect((await call('GET', '/allocations/a1')).status).toBe(200);
      expect((await call('GET', '/_simulator/faults')).body.faults).toEqual([]);
    });

    test('a fault without a number stays until it is removed', async () => {
      await call('POST', '/_simulator/faults', { path: '^/vms$', when: 'before', action: { status: 500 } });
      for (let time = 0; time < 3; time += 1) expect((await call('GET', '/vms')).status).toBe(500);
      await call('DELETE', '/_simulator/faults');
      expect((await call('GET', '/vms')).status).toBe(200);
    });

    test('a wrong switch is refused', async () => {
      expect((await call('POST', '/_simulator/faults', { when: 'later', action: {} })).status).toBe(400);
    });
  });

  test('counts requests by route', async () => {
    await call('GET', '/vms/x');
    await call('GET', '/vms/y');
    const { counts, requests } = (await call('GET', '/_simulator/requests')).body;
    expect(counts).toEqual({ 'GET /vms/:id': 2 });
    expect(requests[1]).toMatchObject({ method: 'GET', path: '/vms/y', status: 404 });
    await call('DELETE', '/_simulator/requests');
    expect((await call('GET', '/_simulator/requests')).body.total).toBe(0);
  });
});
