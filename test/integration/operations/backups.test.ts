import { afterAll, beforeAll, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());

const content = async (vmId: string, text?: string): Promise<string> => {
  const url = `${world.hypervisorUrl}/vms/${vmId}/disks/data/content`;
  if (text !== undefined) {
    await fetch(url, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ content: text }),
    });
  }
  return ((await (await fetch(url)).json()) as { content: string }).content;
};

const results = (vmId: string) =>
  world.db.selectFrom('backup_result').selectAll().where('vm_id', '=', vmId).orderBy('started_at').execute();

const copies = (resultId: string) =>
  world.db.selectFrom('result_copy').selectAll().where('result_id', '=', resultId).execute();

test('a backup is listed IN_PROGRESS as soon as its session is known, and locks the VM until it is recorded', async () => {
  const vmId = await world.deployed('back-1', [gold]);
  const { operationId } = await world.requests.backup(world.request(vmId));
  const [running] = await until(
    'the result is listed',
    () => results(vmId),
    (rows) => rows.length > 0,
  );
  expect(running).toMatchObject({ status: 'IN_PROGRESS', operation_id: operationId, origin: 'ON_DEMAND' });
  expect(await world.vm(vmId)).toMatchObject({
    operation_id: operationId,
    reason: 'the backup system backs it up',
  });
  await expect(world.requests.powerOff(world.request(vmId))).rejects.toMatchObject({ code: 'VM_LOCKED' });

  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', progress: 100 });
  expect(await world.story(operationId)).toEqual([
    'REQUEST_BACKUP DONE',
    'WATCH DONE',
    'RECORD DONE',
    'REPLICATE SKIPPED',
  ]);
  const [done] = await results(vmId);
  expect(done).toMatchObject({ status: 'SUCCEEDED', policy_id: gold });
  expect(done?.size_bytes).toBeGreaterThan(0);
  const [copy] = await copies(done?.id ?? '');
  expect(copy).toMatchObject({ state: 'LISTED', location: 'Local' });
  expect(copy?.expires_at?.getTime()).toBeGreaterThan(Date.now() + 6 * 86_400_000);
});

test('a backup that fails in the backup system stays listed, with the vendor’s words', async () => {
  const vmId = await world.deployed('back-2', [gold]);
  await world.avamarOutcome({
    clientName: 'back-2',
    state: 'FAILURE',
    codeReason: 'snapshot creation failed',
    times: 1,
  });
  const { operationId } = await world.requests.backup(world.request(vmId));
  expect(await world.ended(operationId)).toMatchObject({ state: 'FAILED', error: { code: 'BACKUP_FAILED' } });
  const [failed] = await results(vmId);
  expect(failed).toMatchObject({ status: 'FAILED' });
  expect(failed?.message).toContain('snapshot creation failed');
  await expect(
    world.requests.restore({ principal: world.principal, resultId: failed?.id ?? '', body: {} }),
  ).rejects.toMatchObject({ code: 'BACKUP_STATUS_FOR_RESTORE' });
});

test('a restore brings the data back, also into the VM that was deployed again', async () => {
  const vmId = await world.deployed('back-3', [gold]);
  await content(vmId, 'precious');
  await world.ended((await world.requests.backup(world.request(vmId))).operationId);
  const [result] = await results(vmId);
  const restore = { principal: world.principal, resultId: result?.id ?? '', body: {} };
  await expect(world.requests.restore(restore)).rejects.toMatchObject({
    code: 'BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF',
  });

  await content(vmId, 'destroyed');
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  const first = await world.requests.restore(restore);
  expect(await world.ended(first.operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await content(vmId)).toBe('precious');

  await world.ended((await world.requests.undeploy(world.request(vmId))).operationId);
  await world.ended((await world.requests.deploy(world.request(vmId))).operationId);
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  expect(await content(vmId)).not.toBe('precious');
  const second = await world.requests.restore(restore);
  expect(await world.ended(second.operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await content(vmId)).toBe('precious');
  expect((await world.hypervisorVms()).filter((vm) => vm.id === vmId)).toHaveLength(1);
  const restores = await world.db.selectFrom('restore_result').selectAll().where('vm_id', '=', vmId).execute();
  expect(restores.map((row) => row.status)).toEqual(['SUCCEEDED', 'SUCCEEDED']);
});

test('a start whose answer is lost is found again: one backup, not two', async () => {
  const vmId = await world.deployed('back-4', [gold]);
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/clients/[^/]+/backup$',
    when: 'after',
    times: 1,
    action: { drop: true },
  });
  const { operationId } = await world.requests.backup(world.request(vmId));
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED' });
  expect(await results(vmId)).toHaveLength(1);
  const { content: activities } = await world.avamar('GET', '/activities?domain=/&recursive=true&size=500');
  expect(
    activities.filter((activity: { clientName: string }) => activity.clientName?.startsWith('back-4')),
  ).toHaveLength(1);
}, 90_000);

test('a backup that the backup system begins by itself locks the VM and leaves a result', async () => {
  const vmId = await world.deployed('back-5', [gold]);
  await world.backupsTake(4);
  const [group] = (await world.avamar('GET', '/groups?domain=/&recursive=true&size=500')).content.filter(
    (candidate: { name: string }) => candidate.name.includes(vmId),
  );
  await world.avamar('POST', `/schedules/run/${encodeURIComponent(group.scheduleId)}`);
  const locked = await until(
    'the VM is locked',
    () => world.vm(vmId),
    (vm) => vm.operation_id !== null,
  );
  const operation = await world.ended(locked.operation_id ?? '');
  expect(operation).toMatchObject({ kind: 'SCHEDULED_BACKUP', origin: 'BACKUP_SYSTEM', state: 'SUCCEEDED' });
  expect(await world.story(operation.id)).toEqual(['OBSERVE DONE', 'WATCH DONE', 'REFRESH SKIPPED', 'RECORD DONE']);
  const [result] = await results(vmId);
  expect(result).toMatchObject({ status: 'SUCCEEDED', origin: 'SCHEDULED' });
  expect(await copies(result?.id ?? '')).toHaveLength(1);
});

test('an undeploy is refused before any effect while the backup system works on the VM', async () => {
  const vmId = await world.deployed('back-6', [gold]);
  await world.backupsTake(1);
  await world.db.deleteFrom('manager_watch').execute();
  const [ref] = await world.db
    .selectFrom('vm_reference')
    .select('ref')
    .where('vm_id', '=', vmId)
    .where('system', '=', 'BACKUP_SYSTEM')
    .execute();
  await world.avamar('POST', `/clients/${ref?.ref}/backup`, { targets: [{ name: 'ALL', pluginNumber: 1016 }] });
  try {
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({
      state: 'ROLLED_BACK',
      error: { code: 'VM_BEING_BACKED_UP' },
    });
    expect(await world.story(operationId)).toEqual([
      'BACKUP_SCHEDULE PENDING',
      'POWER_OFF PENDING',
      'DECONFIGURE PENDING',
      'DEALLOCATE PENDING',
    ]);
  } catch (error) {
    // The watcher may be quicker: then the lock itself says no.
    expect(error).toMatchObject({ code: 'VM_LOCKED' });
  }
});

test('cancelling a backup stops it in the backup system and says so', async () => {
  const vmId = await world.deployed('back-7', [gold]);
  await world.backupsTake(60);
  const { operationId } = await world.requests.backup(world.request(vmId));
  await until(
    'the session is known',
    () => results(vmId),
    (rows) => rows.length > 0,
  );
  const { workflow_id: workflowId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId).cancel();
  expect(await world.ended(operationId)).toMatchObject({ state: 'CANCELLED' });
  expect((await results(vmId))[0]).toMatchObject({ status: 'CANCELLED' });
  expect(await world.vm(vmId)).toMatchObject({ operation_id: null });
});
