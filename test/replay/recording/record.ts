/** Plays every workflow for real and keeps its histories: `npm run record-histories`, once for each release. */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startWorld, until, type World } from '../../integration/operations/world.ts';
import { refreshAtOnce } from '../../../db/vm-schedules.ts';
import { historyRecorder } from './histories.ts';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));

/** A recovery waits until what was on its way has settled: 25 s. Milliseconds. */
const WITH_SETTLING = 60_000;

let world: World;
let keep: ReturnType<typeof historyRecorder>;
let gold: string;
let silver: string;
beforeAll(async () => {
  world = await startWorld();
  keep = historyRecorder(world.client, version);
  gold = await world.newPolicy('GOLD');
  silver = await world.newPolicy('SILVER');
});
afterAll(() => world.stop());
beforeEach(() => world.backupsTake(1));
afterEach(async () => {
  await world.mendAvamar();
  await world.mendHypervisor();
});

/** Keeps the run of an operation once it has ended as expected. */
async function keepEnded(what: string, { operationId }: { operationId: string }, state: string): Promise<void> {
  expect((await world.ended(operationId, WITH_SETTLING)).state).toBe(state);
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await closed(workflowId, runId ?? undefined);
  await keep(what, { workflowId, runId: runId ?? undefined });
}

const closed = (workflowId: string, runId?: string) =>
  until(
    `the run of ${workflowId} is closed`,
    () => world.client.workflow.getHandle(workflowId, runId).describe(),
    ({ status }) => status.name !== 'RUNNING',
  );

const reaches = (operationId: string, step: string) =>
  until(
    `${step} is reached`,
    () => world.story(operationId),
    (story) => story.some((line) => line.startsWith(step)),
  );

async function terminate(operationId: string): Promise<void> {
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId, runId ?? undefined).terminate('by an operator');
}

const cancel = (operationId: string) => world.requests.cancel({ principal: world.principal, operationId });
const refused = { status: 400, body: { code: 22234, message: 'The policy quota is exhausted.' } };
const refuseGroups = () =>
  world.breakAvamar({
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: refused,
  });

/** The body of a reconfigure: more memory, a bigger disk, other policies. */
function reconfigure(vmId: string, sizeGiB: number, policyIds: readonly string[]) {
  return world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: {
        cpu: 2,
        memoryMiB: 4096,
        disks: [
          { label: 'system', sizeGiB },
          { label: 'data', sizeGiB: 50 },
        ],
      },
      backupPolicies: policyIds.map((policyId) => ({ policyId, configurations: [] })),
    },
  });
}

test('checkManager, checkExpiredResults and watchManager', async () => {
  await world.deployed('rec-0', [gold]);
  const taskQueue = world.periodicTaskQueue;
  await world.requests.checkManager(world.managerId);
  await world.client.workflow.execute('checkExpiredResults', {
    taskQueue,
    workflowId: 'expiry',
    args: [world.managerId],
  });
  const runs = await until(
    'all of them are listed',
    async () => {
      const listed = [];
      for await (const run of world.client.workflow.list({ query: `TaskQueue = '${taskQueue}'` })) listed.push(run);
      return listed;
    },
    (listed) => listed.length === 3,
  );
  for (const { workflowId, status } of runs) {
    await keep(status.name === 'RUNNING' ? 'watching' : 'succeeded', { workflowId });
  }
});

test('deployVm', async () => {
  await keepEnded(
    'succeeded',
    await world.requests.deploy(world.request(await world.newVm('rec-1', [gold]))),
    'SUCCEEDED',
  );
  await keepEnded(
    'without-policy',
    await world.requests.deploy(world.request(await world.newVm('rec-2', []))),
    'SUCCEEDED',
  );

  await refuseGroups();
  const rolledBack = await world.requests.deploy(world.request(await world.newVm('rec-3', [gold])));
  await keepEnded('rolled-back', rolledBack, 'ROLLED_BACK');

  await world.breakAvamar({ path: '/api/v1/groups', when: 'before', action: { status: 503 } });
  const cancelled = await world.requests.deploy(world.request(await world.newVm('rec-4', [gold])));
  await reaches(cancelled.operationId, 'BACKUP_SCHEDULE RUNNING');
  await cancel(cancelled.operationId);
  await world.mendAvamar();
  await keepEnded('cancelled', cancelled, 'CANCELLED');
});

test('a deploy that is left behind, and cleanupVm', async () => {
  const vmId = await world.newVm('rec-5', [gold]);
  await refuseGroups();
  await world.breakHypervisor({ method: 'DELETE', path: `/vms/${vmId}$`, when: 'before', action: { status: 503 } });
  const deploy = await world.requests.deploy(world.request(vmId));
  await keepEnded('rolled-back-with-residue', deploy, 'ROLLED_BACK_WITH_RESIDUE');
  await world.mendHypervisor();
  const cleanup = { principal: world.principal, operationId: deploy.operationId };
  await keepEnded('succeeded', await world.requests.retryCleanup(cleanup), 'SUCCEEDED');
});

test('reconfigureVm', async () => {
  const vmId = await world.deployed('rec-6', [gold]);
  await keepEnded('succeeded', await reconfigure(vmId, 30, [silver]), 'SUCCEEDED');
  await refuseGroups();
  await keepEnded('rolled-back', await reconfigure(vmId, 40, [gold]), 'ROLLED_BACK');
  // Only past the point of no return is a disk made bigger.
  const grown = '"sizeGiB":60';
  await world.breakHypervisor({ method: 'PATCH', path: `/vms/${vmId}$`, body: grown, when: 'before', action: refused });
  await keepEnded('failed', await reconfigure(vmId, 60, [silver]), 'FAILED');
});

test('powerVm', async () => {
  const vmId = await world.deployed('rec-7', []);
  await keepEnded('off', await world.requests.powerOff(world.request(vmId)), 'SUCCEEDED');
  await keepEnded('on', await world.requests.powerOn(world.request(vmId)), 'SUCCEEDED');
});

test('undeployVm', async () => {
  const one = await world.deployed('rec-8', [gold]);
  await keepEnded('succeeded', await world.requests.undeploy(world.request(one)), 'SUCCEEDED');

  const other = await world.deployed('rec-9', [gold]);
  await world.breakAvamar({ method: 'DELETE', path: '/api/v1/groups/', when: 'before', action: { status: 503 } });
  const forced = { ...world.request(other), body: { forceUndeploy: true } };
  await keepEnded('forced', await world.requests.undeploy(forced), 'SUCCEEDED');
});

test('backupVm and restoreVm', async () => {
  const vmId = await world.deployed('rec-10', [gold]);
  await keepEnded('succeeded', await world.requests.backup(world.request(vmId)), 'SUCCEEDED');

  await world.avamarOutcome({ clientName: 'rec-10', state: 'FAILURE', codeReason: 'no snapshot', times: 1 });
  await keepEnded('failed', await world.requests.backup(world.request(vmId)), 'FAILED');

  const replicated = { ...world.request(vmId), body: { replication: true } };
  // Nothing is there yet to copy it to.
  await keepEnded('not-replicated', await world.requests.backup(replicated), 'FAILED');
  await world.newDestination('lisbon');
  await keepEnded('replicated', await world.requests.backup(replicated), 'SUCCEEDED');

  await world.backupsTake(600);
  const stopped = await world.requests.backup(world.request(vmId));
  await reaches(stopped.operationId, 'WATCH RUNNING');
  await cancel(stopped.operationId);
  await keepEnded('cancelled', stopped, 'CANCELLED');

  await world.backupsTake(1);
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  const { id: resultId } = await world.db
    .selectFrom('backup_result')
    .select('id')
    .where('vm_id', '=', vmId)
    .where('status', '=', 'SUCCEEDED')
    .executeTakeFirstOrThrow();
  const restore = await world.requests.restore({ principal: world.principal, resultId, body: {} });
  await keepEnded('succeeded', restore, 'SUCCEEDED');
});

test('restoreVm, as a new machine in the place of one that was deployed since', async () => {
  const veeam = await world.newVeeam('veeam-1');
  const template = await world.newPolicy('veeam-every-night', undefined, veeam.managerId);
  const vmId = await world.deployed('rec-18', [template]);
  await veeam.run(vmId);
  const { result_id: resultId } = await until(
    'the backup can be restored',
    () =>
      world.db
        .selectFrom('result_copy as c')
        .innerJoin('backup_result as r', 'r.id', 'c.result_id')
        .select('c.result_id')
        .where('r.vm_id', '=', vmId)
        .executeTakeFirst(),
    (row) => row !== undefined,
  ).then((row) => row as { result_id: string });
  await until(
    'the VM is free',
    () => world.vm(vmId),
    (vm) => vm.operation_id === null,
  );
  for (const step of ['undeploy', 'deploy', 'powerOff'] as const) {
    await world.ended((await world.requests[step](world.request(vmId))).operationId, WITH_SETTLING);
  }
  const restore = await world.requests.restore({ principal: world.principal, resultId, body: {} });
  await keepEnded('as-new-machine', restore, 'SUCCEEDED');
});

test('observeSession', async () => {
  const vmId = await world.deployed('rec-11', [gold]);
  const { ref } = await world.db
    .selectFrom('vm_reference')
    .select('ref')
    .where('vm_id', '=', vmId)
    .where('system', '=', 'BACKUP_SYSTEM')
    .executeTakeFirstOrThrow();
  await world.backupsTake(2);
  await world.avamar('POST', `/clients/${ref}/backup`, { targets: [{ name: 'ALL', pluginNumber: 1016 }] });
  const { id: operationId } = await until(
    'the backup is adopted',
    () =>
      world.db
        .selectFrom('operation')
        .select('id')
        .where('vm_id', '=', vmId)
        .where('kind', '=', 'SCHEDULED_BACKUP')
        .executeTakeFirst(),
    (row) => row !== undefined,
  ).then((row) => row as { id: string });
  await keepEnded('succeeded', { operationId }, 'SUCCEEDED');
});

test('refreshSchedule', async () => {
  const vmId = await world.deployed('rec-17', [gold]);
  await refreshAtOnce(world.db, vmId);
  const { id: operationId } = await until(
    'the refresh is requested',
    () =>
      world.db
        .selectFrom('operation')
        .select('id')
        .where('vm_id', '=', vmId)
        .where('kind', '=', 'SCHEDULE_REFRESH')
        .executeTakeFirst(),
    (row) => row !== undefined,
  ).then((row) => row as { id: string });
  await keepEnded('succeeded', { operationId }, 'SUCCEEDED');
});

test('registerVm', async () => {
  const send = (method: string, path: string, body: unknown) =>
    fetch(`${world.hypervisorUrl}${path}`, { method, body: JSON.stringify(body) });
  const machine = { name: 'old', cpu: 1, memoryMiB: 1024, disks: [{ label: 'root', sizeGiB: 10 }] };
  const { moref } = (await (await send('POST', '/morefs', machine)).json()) as { moref: string };
  await send('PUT', `/morefs/${moref}/power`, { state: 'ON' });
  const { principal, enterpriseId, datacenterId } = world;
  const body = { name: 'rec-12', enterpriseId, datacenterId, hypervisorRef: moref };
  await keepEnded('succeeded', await world.requests.register({ principal, body }), 'SUCCEEDED');
});

test('recoveries', async () => {
  const slow = (method: string, path: string) =>
    world.breakHypervisor({ method, path, when: 'after', times: 1, action: { delayMs: 2_000 } });

  const lostVm = await world.newVm('rec-13', [gold]);
  await slow('PUT', `/vms/${lostVm}/power`);
  const deploy = await world.requests.deploy(world.request(lostVm));
  await reaches(deploy.operationId, 'POWER_ON RUNNING');
  await terminate(deploy.operationId);

  const goneVm = await world.deployed('rec-14', [gold]);
  await slow('DELETE', `/vms/${goneVm}$`);
  const undeploy = await world.requests.undeploy(world.request(goneVm));
  await reaches(undeploy.operationId, 'DECONFIGURE RUNNING');
  await terminate(undeploy.operationId);

  const backedUpVm = await world.deployed('rec-15', [gold]);
  await world.backupsTake(3);
  const backup = await world.requests.backup(world.request(backedUpVm));
  await reaches(backup.operationId, 'WATCH RUNNING');
  await terminate(backup.operationId);

  await keepEnded('recovery-undoes', deploy, 'ROLLED_BACK');
  await keepEnded('recovery-goes-on', undeploy, 'SUCCEEDED');
  await keepEnded('recovery-watches', backup, 'SUCCEEDED');
}, 180_000);

test('a run that was reset', async () => {
  const { operationId } = await world.requests.deploy(world.request(await world.newVm('rec-16', [])));
  await world.ended(operationId);
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await closed(workflowId, runId ?? undefined);
  const reset = await world.client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    workflowTaskFinishEventId: 4 as never,
    requestId: crypto.randomUUID(),
    reason: 'recorded',
  });
  const run = { workflowId, runId: reset.runId ?? undefined };
  await closed(workflowId, run.runId);
  await keep('fenced', run);
});
