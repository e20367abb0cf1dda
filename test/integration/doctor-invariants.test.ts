import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type NewOperation, requestOperation } from '../../db/operations.ts';
import { type TestDatabase, testDatabase } from './database.ts';
import { ownNamespace } from './temporal-namespace.ts';

const ENTRY = fileURLToPath(new URL('../../bin/holdfast.mjs', import.meta.url));

let database: TestDatabase;
let connection: Connection;
let client: Client;
let folder: string;
let namespace: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-doctor-'));
  database = await testDatabase();
  connection = await Connection.connect({ address: inject('temporalAddress') });
  namespace = await ownNamespace(connection, 'doctor');
  client = new Client({ connection, namespace });
});
afterAll(async () => {
  await connection.close();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs `holdfast doctor --invariants` with nothing set but what is given. */
async function doctor(environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [ENTRY, 'doctor', '--invariants'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      HOLDFAST_DATA_DIR: join(folder, '.data'),
      DATABASE_URL: database.url,
      TEMPORAL_ADDRESS: inject('temporalAddress'),
      TEMPORAL_NAMESPACE: namespace,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, out, err };
}

/** An operation that runs since five minutes, with its lock and an open run that no worker takes. */
async function runningOperation(vmName: string) {
  const { db } = database;
  const at = new Date(Date.now() - 5 * 60_000);
  const enterprise = await db
    .insertInto('enterprise')
    .values({ name: `enterprise of ${vmName}` })
    .returning('id')
    .executeTakeFirstOrThrow();
  const datacenter = await db
    .insertInto('datacenter')
    .values({
      name: `datacenter of ${vmName}`,
      time_zone: 'Europe/Madrid',
      hypervisor_type: 'simulated',
      hypervisor_endpoint: 'http://127.0.0.1:1',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const vm = await db
    .insertInto('virtual_machine')
    .values({
      enterprise_id: enterprise.id,
      datacenter_id: datacenter.id,
      name: vmName,
      cpu: 1,
      memory_mib: 1024,
      disks: '[]',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const wanted: NewOperation = {
    vm: { id: vm.id, name: vmName, enterpriseId: enterprise.id, datacenterId: datacenter.id },
    kind: 'BACKUP',
    origin: 'HOLDFAST',
    request: {},
    desired: {},
    steps: [],
    requestedBy: 'a test',
  };
  const operation = await db.transaction().execute((trx) => requestOperation(trx, wanted));
  const { firstExecutionRunId: runId } = await client.workflow.start('backupVm', {
    workflowId: operation.workflow_id,
    taskQueue: 'nobody',
    args: [{}],
  });
  await db
    .updateTable('operation')
    .set({ created_at: at, bound_at: at, run_id: runId, state: 'RUNNING' })
    .where('id', '=', operation.id)
    .execute();
  await db.updateTable('vm_lock').set({ since: at }).where('vm_id', '=', vm.id).execute();
  return { id: operation.id, workflowId: operation.workflow_id, runId };
}

test('0 when every invariant holds, 1 with the rows that break one', { timeout: 60_000 }, async () => {
  const { id } = await runningOperation('doctor-1');
  const healthy = await doctor();
  expect(healthy).toMatchObject({ code: 0, err: '' });
  expect(healthy.out.trim().split('\n')).toEqual([
    expect.stringMatching(/ok +no lock without an open operation$/),
    expect.stringMatching(/ok +no open operation without its lock$/),
    expect.stringMatching(/ok +no open operation without a run$/),
    expect.stringMatching(/ok +no run whose operation is closed$/),
    '',
    'Every invariant holds on what is older than 60 s.',
  ]);

  await database.db
    .updateTable('operation')
    .set({ state: 'SUCCEEDED', finished_at: new Date() })
    .where('id', '=', id)
    .execute();
  const broken = await doctor();
  expect(broken.code).toBe(1);
  expect(broken.out).toMatch(/broken +no lock without an open operation:\n/);
  expect(broken.out).toMatch(
    new RegExp(`doctor-1, operation ${id}: the lock taken at .* is held by the backup, which ended SUCCEEDED at `),
  );
  expect(broken.out).toContain('docs/guides/production.md');

  // What was seen broken counts, also where the rest could not be checked.
  const partly = await doctor({ TEMPORAL_ADDRESS: '127.0.0.1:1' });
  expect(partly.code).toBe(1);
  expect(partly.out).toMatch(/broken +no lock without an open operation:\n/);
  expect(partly.out).toMatch(/not checked +no run whose operation is closed: Temporal could not be asked: /);
});

test('2 when it could not be checked, with the reason', { timeout: 60_000 }, async () => {
  const empty = await testDatabase();
  try {
    const withoutTemporal = await doctor({ DATABASE_URL: empty.url, TEMPORAL_ADDRESS: '127.0.0.1:1' });
    expect(withoutTemporal.code).toBe(2);
    expect(withoutTemporal.out).toMatch(/ok +no lock without an open operation\n/);
    expect(withoutTemporal.out).toMatch(/not checked +no open operation without a run: Temporal could not be asked: /);
    expect(withoutTemporal.out).toContain('Not every invariant could be checked.');
  } finally {
    await empty.drop();
  }
  const withoutDatabase = await doctor({ DATABASE_URL: 'postgres://holdfast:secret@127.0.0.1:1/holdfast' });
  expect(withoutDatabase.code).toBe(2);
  expect(withoutDatabase.out).toMatch(/not checked .*the database could not be asked: .*ECONNREFUSED/);
  expect(withoutDatabase.out + withoutDatabase.err).not.toContain('secret');

  const nothing = await doctor({ DATABASE_URL: '', TEMPORAL_ADDRESS: '' });
  expect(nothing).toMatchObject({ code: 2, err: '' });
  expect(nothing.out).toBe(
    'The invariants could not be checked: There is no database: run npm start, or set DATABASE_URL.\n',
  );
});
