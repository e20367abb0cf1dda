import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { createMetrics } from '../../../api/metrics.ts';
import { startApi } from '../../../api/server.ts';
import { openTemporal } from '../../../api/temporal-client.ts';
import { loadConfig } from '../../../temporal.config.ts';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
let enterprise: Awaited<ReturnType<TestApi['newEnterprise']>>;
let datacenter: { id: string; name: string };
let manager: { id: string; name: string };
beforeAll(async () => {
  api = await startTestApi();
  enterprise = await api.newEnterprise();
  datacenter = await api.newDatacenter();
  manager = await api.newManager(datacenter.id, { name: 'the "first" one' });
});
afterAll(() => api.stop());

const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000);

/** The samples by name and labels, as Prometheus tells them apart. */
function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

async function deploy(): Promise<{ id: string; vmId: string }> {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const { id } = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/deploy`);
  return { id, vmId: vm.id };
}

/** One of each thing that is counted. */
async function arrange() {
  const waiting = await deploy();
  await api.db
    .updateTable('operation')
    .set({ created_at: ago(30) })
    .where('id', '=', waiting.id)
    .execute();

  const unsure = await deploy();
  await api.db
    .updateTable('operation')
    .set({ state: 'UNKNOWN_OUTCOME', run_id: 'a run', bound_at: ago(5), needs_attention: true })
    .where('id', '=', unsure.id)
    .execute();
  await api.db
    .updateTable('vm_lock')
    .set({ since: ago(7_200) })
    .where('vm_id', '=', unsure.vmId)
    .execute();

  const leaked = await deploy();
  await api.db
    .updateTable('operation')
    .set({ state: 'ROLLED_BACK', finished_at: ago(5) })
    .where('id', '=', leaked.id)
    .execute();
  await api.db
    .updateTable('vm_lock')
    .set({ since: ago(600) })
    .where('vm_id', '=', leaked.vmId)
    .execute();

  await api.db
    .updateTable('backup_manager')
    .set({ first_used_at: ago(900) })
    .where('id', '=', manager.id)
    .execute();
  await api.db
    .insertInto('manager_watch')
    .values({ manager_id: manager.id, last_tick_at: ago(300) })
    .execute();
  await api.db
    .insertInto('session')
    .values({
      manager_id: manager.id,
      vm_id: unsure.vmId,
      vendor_session_id: 's-1',
      vendor_vm_ref: 'client-1',
      kind: 'BACKUP',
      operation_id: unsure.id,
      state: 'RUNNING',
      started_at: ago(60),
    })
    .execute();
  const ticket = { manager_id: manager.id, attempt: 1, undo: false, leased_until: ago(-40) };
  await api.db
    .insertInto('write_ticket')
    .values([
      { ...ticket, holder: 'a', granted_at: ago(1) },
      { ...ticket, holder: 'b' },
      { ...ticket, holder: 'c' },
      { ...ticket, holder: 'of a worker that died', leased_until: ago(1) },
    ])
    .execute();
  const result = await api.db
    .insertInto('backup_result')
    .values({
      vm_id: unsure.vmId,
      enterprise_id: enterprise.id,
      manager_id: manager.id,
      origin: 'SCHEDULED',
      name: 'Nightly',
      status: 'SUCCEEDED',
      started_at: ago(200_000),
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const copy = { result_id: result.id, location: 'Local', vendor_vm_ref: 'client-1' };
  await api.db
    .insertInto('result_copy')
    .values([
      { ...copy, vendor_id: 'due', expires_at: ago(7_200) },
      { ...copy, vendor_id: 'checked since', expires_at: ago(80_000), last_checked_at: ago(10) },
      { ...copy, vendor_id: 'not due', expires_at: ago(-7_200) },
    ])
    .execute();
  // In another datacenter a manager may have the same name.
  const other = await api.newDatacenter();
  const namesake = await api.newManager(other.id, { name: manager.name });
  await api.db
    .updateTable('backup_manager')
    .set({ first_used_at: ago(900) })
    .where('id', '=', namesake.id)
    .execute();
  return other as { name: string };
}

test('a scrape tells what is counted, without a token and in the format of Prometheus', async () => {
  const other = await arrange();
  const answer = await api.send(undefined, 'GET', '/metrics');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const line = /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? [0-9.e+-]+)$/;
  for (const each of answer.text.trimEnd().split('\n')) expect(each).toMatch(line);
  const samples = samplesOf(answer.text);
  expect(samples.size).toBe(answer.text.split('\n').filter((each) => /^[a-z]/.test(each)).length);

  expect(Object.fromEntries(samples)).toMatchObject({
    'holdfast_up{part="database"}': 1,
    'holdfast_up{part="temporal"}': 1,
    'holdfast_invariant_broken{invariant="lock_without_operation"}': 1,
    'holdfast_invariant_broken{invariant="operation_without_lock"}': 0,
    'holdfast_invariant_broken{invariant="operation_without_run"}': 0,
    'holdfast_invariant_broken{invariant="run_without_operation"}': expect.any(Number),
    'holdfast_operations_total{kind="DEPLOY",outcome="ROLLED_BACK"}': 1,
    'holdfast_open_operations{kind="DEPLOY",state="REQUESTED"}': 1,
    'holdfast_open_operations{kind="DEPLOY",state="UNKNOWN_OUTCOME"}': 1,
    holdfast_operations_needing_attention: 1,
    holdfast_operations_waiting_to_start: 1,
    'holdfast_locks{kind="DEPLOY"}': 3,
    'holdfast_residue{system="HYPERVISOR"}': 0,
  });
  const first = `datacenter="${datacenter.name}",manager="the \\"first\\" one"`;
  const second = `datacenter="${other.name}",manager="the \\"first\\" one"`;
  expect(Object.fromEntries(samples)).toMatchObject({
    [`holdfast_sessions_in_flight{${first}}`]: 1,
    [`holdfast_sessions_in_flight{${second}}`]: 0,
    [`holdfast_write_queue_depth{${first}}`]: 2,
    [`holdfast_write_slots_taken{${first}}`]: 1,
    [`holdfast_expiry_lag_seconds{${second}}`]: 0,
  });
  expect(samples.get('holdfast_oldest_operation_waiting_to_start_seconds')).toBeGreaterThanOrEqual(29);
  expect(samples.get('holdfast_oldest_lock_age_seconds')).toBeGreaterThanOrEqual(7_199);
  expect(samples.get('holdfast_lock_age_seconds{kind="DEPLOY"}')).toBeGreaterThanOrEqual(7_199);
  expect(samples.get(`holdfast_watch_lag_seconds{${first}}`)).toBeGreaterThanOrEqual(299);
  // Nothing of the other manager wants watching.
  expect(samples.has(`holdfast_watch_lag_seconds{${second}}`)).toBe(false);
  const late = samples.get(`holdfast_expiry_lag_seconds{${first}}`);
  expect(late).toBeGreaterThanOrEqual(7_199);
  expect(late).toBeLessThan(80_000);
  // Nothing of a tenant: neither its name nor that of a machine.
  expect(answer.text).not.toContain(enterprise.name);
  expect(answer.text).not.toContain('vm-');
});

test('many scrapes read the database once', async () => {
  let read = 0;
  const counted = new Proxy(api.db, {
    get(db, name, receiver) {
      if (name === 'connection') read += 1;
      return Reflect.get(db, name, receiver) as unknown;
    },
  });
  const temporal = await openTemporal({ ...loadConfig({}).temporal, address: inject('temporalAddress') });
  try {
    const scrape = createMetrics({ db: counted, temporal: temporal.client, logger: pino({ level: 'silent' }) }, 60_000);
    await Promise.all([scrape(), scrape(), scrape()]);
    await scrape();
    expect(read).toBe(1);
  } finally {
    await temporal.close();
  }
});

test('while Temporal is away the rest is told', async () => {
  const away = await startTestApi({ temporalAddress: '127.0.0.1:1' });
  try {
    const answer = await away.send(undefined, 'GET', '/metrics');
    expect(answer.status).toBe(200);
    const samples = samplesOf(answer.text);
    expect(samples.get('holdfast_up{part="temporal"}')).toBe(0);
    expect(samples.get('holdfast_up{part="database"}')).toBe(1);
    expect(samples.get('holdfast_invariant_broken{invariant="lock_without_operation"}')).toBe(0);
    expect(samples.has('holdfast_invariant_broken{invariant="run_without_operation"}')).toBe(false);
    expect(samples.get('holdfast_operations_needing_attention')).toBe(0);
  } finally {
    await away.stop();
  }
});

test('while the database is away it says so', async () => {
  const away = await startTestApi({ databaseUrl: 'postgres://nobody@127.0.0.1:1/nothing' });
  try {
    const answer = await away.send(undefined, 'GET', '/metrics');
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(samplesOf(answer.text))).toEqual({
      'holdfast_up{part="database"}': 0,
      'holdfast_up{part="temporal"}': 1,
    });
    expect(away.lines.join('')).toContain('the database could not be read for the metrics');
  } finally {
    await away.stop();
  }
});

test('an API that others can reach shows them only when it is told to', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'holdfast-metrics-'));
  const answers: number[] = [];
  try {
    for (const more of [{}, { HOLDFAST_METRICS: 'true' }]) {
      const loaded = loadConfig({
        DATABASE_URL: api.databaseUrl,
        TEMPORAL_ADDRESS: inject('temporalAddress'),
        HOLDFAST_DATA_DIR: dataDir,
        HOLDFAST_HOST: '0.0.0.0',
        ...more,
      });
      const running = await startApi({ ...loaded, api: { host: '127.0.0.1', port: 0 } }, pino({ level: 'silent' }));
      try {
        answers.push((await fetch(`${running.url}/metrics`)).status);
      } finally {
        await running.stop();
      }
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
  expect(answers).toEqual([404, 200]);
});
