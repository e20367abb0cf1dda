import { randomUUID } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { checkInvariants, type InvariantReport } from '../../../api/invariants.ts';
import { openTemporal, type TemporalClient } from '../../../api/temporal-client.ts';
import type { BrokenRow } from '../../../db/invariants.ts';
import { tail } from '../../../domain/operations.ts';
import { loadConfig } from '../../../temporal.config.ts';
import { ownNamespace } from '../temporal-namespace.ts';
import { startTestApi, type TestApi } from './test-api.ts';

let api: TestApi;
let temporal: TemporalClient;
let enterprise: Awaited<ReturnType<TestApi['newEnterprise']>>;
let datacenter: { id: string };
beforeAll(async () => {
  const address = inject('temporalAddress');
  const connection = await Connection.connect({ address });
  // Only so many suspects are looked at: the runs of other tests must not be among them.
  const namespace = await ownNamespace(connection, 'invariants');
  await connection.close();
  api = await startTestApi({ temporalNamespace: namespace });
  temporal = await openTemporal({ ...loadConfig({}).temporal, address, namespace });
  enterprise = await api.newEnterprise();
  datacenter = await api.newDatacenter();
});
afterAll(async () => {
  await temporal.close();
  await api.stop();
});

const MINUTES_AGO = new Date(Date.now() - 5 * 60_000);
const SECONDS_AGO = new Date(Date.now() - 5_000);

/** A deploy that was asked for some minutes ago, and its run, which no worker takes up. */
async function oldDeploy() {
  const vm = await api.newVm(enterprise.admin, datacenter.id);
  const { id } = await api.expectStatus(202, enterprise.admin, 'POST', `${vm.links.self}/deploy`);
  await change(id, { created_at: MINUTES_AGO });
  await api.db.updateTable('vm_lock').set({ since: MINUTES_AGO }).where('operation_id', '=', id).execute();
  const { workflow_id: workflowId } = await api.db
    .selectFrom('operation')
    .select('workflow_id')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  const { runId } = await temporal.client.workflow.getHandle(workflowId).describe();
  return { id: id as string, vmId: vm.id as string, vmName: vm.name as string, workflowId, runId };
}

type Deploy = Awaited<ReturnType<typeof oldDeploy>>;

/** The same, taken up by its run. */
async function runningDeploy(): Promise<Deploy> {
  const deploy = await oldDeploy();
  await change(deploy.id, { state: 'RUNNING', run_id: deploy.runId, bound_at: MINUTES_AGO });
  return deploy;
}

function change(operationId: string, values: Record<string, unknown>) {
  return api.db.updateTable('operation').set(values).where('id', '=', operationId).execute();
}

const check = (ageMs?: number) => checkInvariants({ db: api.db, temporal: temporal.client }, ageMs);

/** What was found about an operation. */
function about(report: InvariantReport, operationId: string): BrokenRow[] {
  return report.findings.flatMap(({ broken }) => broken.filter((row) => row.operationId === operationId));
}

async function found(operationId: string, ageMs?: number): Promise<BrokenRow[]> {
  return about(await check(ageMs), operationId);
}

test('nothing is found where lock, operation and run agree', async () => {
  const { id } = await runningDeploy();
  const report = await check();
  expect(about(report, id)).toEqual([]);
  expect(report.temporalAnswered).toBe(true);
  expect(report.findings.map(({ invariant, unchecked }) => [invariant, unchecked])).toEqual([
    ['lock_without_operation', undefined],
    ['operation_without_lock', undefined],
    ['operation_without_run', undefined],
    ['run_without_operation', undefined],
  ]);
});

test('a lock that outlived its operation is found', async () => {
  const { id, vmName } = await runningDeploy();
  await change(id, { state: 'SUCCEEDED', finished_at: SECONDS_AGO });
  expect(await found(id)).toEqual([
    {
      invariant: 'lock_without_operation',
      vmName,
      operationId: id,
      what: `the lock taken at ${MINUTES_AGO.toISOString()} is held by the deploy, which ended SUCCEEDED at ${SECONDS_AGO.toISOString()}`,
    },
  ]);
});

test('a lock with another fence than its operation is found', async () => {
  const { id } = await runningDeploy();
  await api.db.updateTable('vm_lock').set({ fence: 7 }).where('operation_id', '=', id).execute();
  expect(await found(id)).toMatchObject([
    { invariant: 'lock_without_operation', what: expect.stringMatching(/with fence 1, and its own fence is 7$/) },
  ]);
});

test('an open operation without its lock is found', async () => {
  const { id, vmName } = await runningDeploy();
  const free = { operation_id: null, since: null, kind: null, reason: null };
  await api.db.updateTable('vm_lock').set(free).where('operation_id', '=', id).execute();
  expect(await found(id)).toMatchObject([
    { invariant: 'operation_without_lock', vmName, what: expect.stringMatching(/the virtual machine is not locked$/) },
  ]);
});

test('an operation that no run takes up is found after the time, also one that was handed over', async () => {
  const { id, workflowId } = await oldDeploy();
  expect(await found(id)).toMatchObject([
    { invariant: 'operation_without_run', what: expect.stringMatching(/to be taken up by its run vm\//) },
  ]);
  const recovery = { state: 'RUNNING', recovery: 1, workflow_id: `${workflowId}/recovery-1` };
  await change(id, { ...recovery, handed_over_at: SECONDS_AGO });
  expect(await found(id)).toEqual([]);
  await change(id, { handed_over_at: MINUTES_AGO });
  expect(await found(id)).toMatchObject([
    {
      invariant: 'operation_without_run',
      what: `the deploy waits since ${MINUTES_AGO.toISOString()} to be taken up by its recovery ${workflowId}/recovery-1`,
    },
  ]);
});

test('an operation whose run has closed is found once its recovery is late', async () => {
  const { id, vmName, workflowId, runId } = await runningDeploy();
  await temporal.client.workflow.getHandle(workflowId, runId).terminate('by an operator');
  expect(await found(id)).toEqual([]);
  const late = await until(
    () => found(id, 0),
    (rows) => rows.length > 0,
  );
  expect(late).toMatchObject([
    { invariant: 'operation_without_run', vmName, what: expect.stringMatching(/: it is TERMINATED since 20/) },
  ]);
});

test('an operation whose run Temporal does not know is found', async () => {
  const { id, workflowId } = await runningDeploy();
  await change(id, { run_id: randomUUID() });
  expect(await found(id)).toMatchObject([
    {
      invariant: 'operation_without_run',
      what: `the deploy is open, and its run ${workflowId} is not: it is unknown to Temporal`,
    },
  ]);
});

test('an open run whose operation has ended, or belongs to another run, is found', async () => {
  const { id, vmId, vmName, workflowId, runId } = await runningDeploy();
  const free = { operation_id: null, since: null, kind: null, reason: null };
  await api.db.updateTable('vm_lock').set(free).where('vm_id', '=', vmId).execute();
  await change(id, { state: 'FAILED', finished_at: SECONDS_AGO });
  expect(await found(id)).toEqual([]);
  const listed = await until(
    () => found(id, 0),
    (rows) => rows.length > 0,
  );
  expect(listed).toEqual([
    {
      invariant: 'run_without_operation',
      vmName,
      operationId: id,
      workflowId,
      runId,
      what: `the run ${workflowId} (${runId}) is open, and its operation, a deploy, ended FAILED at ${SECONDS_AGO.toISOString()}`,
    },
  ]);

  await change(id, { state: 'RUNNING', finished_at: null, run_id: randomUUID(), bound_at: SECONDS_AGO });
  expect((await found(id, 0)).filter((row) => row.invariant === 'run_without_operation')).toMatchObject([
    { what: expect.stringMatching(/belongs to another run$/) },
  ]);
});

test('a run that has ended is not taken for an orphan, whatever the list says', async () => {
  const { id, workflowId, runId } = await runningDeploy();
  await temporal.client.workflow.getHandle(workflowId, runId).terminate('by an operator');
  await change(id, { state: 'FAILED', finished_at: SECONDS_AGO });
  const rows = await found(id, 0);
  expect(rows.filter((row) => row.invariant === 'run_without_operation')).toEqual([]);
});

test('an open run without any operation is found', async () => {
  const workflowId = `vm/ghost~${tail(randomUUID())}/deploy~${tail(randomUUID())}`;
  const { firstExecutionRunId } = await temporal.client.workflow.start('deployVm', {
    workflowId,
    taskQueue: 'nobody',
    args: [{}],
  });
  const rows = await until(
    async () =>
      (await check(0)).findings.flatMap(({ broken }) => broken.filter(({ what }) => what.includes(workflowId))),
    (broken) => broken.length > 0,
  );
  expect(rows).toMatchObject([
    {
      invariant: 'run_without_operation',
      vmName: null,
      operationId: null,
      what: `the run ${workflowId} (${firstExecutionRunId}) is open, and there is no such operation in this database`,
    },
  ]);
});

test('without Temporal the rest is checked, and what could not be is said', async () => {
  const away = await openTemporal({ ...loadConfig({}).temporal, address: '127.0.0.1:1' });
  try {
    const { id } = await oldDeploy();
    const report = await checkInvariants({ db: api.db, temporal: away.client });
    expect(about(report, id)).toMatchObject([{ invariant: 'operation_without_run' }]);
    expect(report.temporalAnswered).toBe(false);
    const unchecked = report.findings.filter((finding) => finding.unchecked !== undefined);
    expect(unchecked.map(({ invariant }) => invariant)).toEqual(['operation_without_run', 'run_without_operation']);
    expect(unchecked[0]?.unchecked).toMatch(/^Temporal could not be asked: /);
  } finally {
    await away.close();
  }
});

/** Asks until the answer is as wanted: Temporal lists a run a little late. */
async function until<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`not in time; last: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
