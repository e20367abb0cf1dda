import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

let world: World;
let vmId: string;
let resultId: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
  const gold = await world.newPolicy('GOLD');
  vmId = await world.newVm('exp-1', [gold]);
  await world.ended((await world.requests.deploy(request())).operationId);
});
afterAll(() => world.stop());

const request = () => ({ principal: world.principal, vmId, body: {} });

beforeEach(async () => {
  await world.ended((await world.requests.backup(request())).operationId);
  const result = await world.db
    .selectFrom('backup_result')
    .select('id')
    .where('vm_id', '=', vmId)
    .orderBy('started_at', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
  resultId = result.id;
});

const copy = () =>
  world.db.selectFrom('result_copy').selectAll().where('result_id', '=', resultId).executeTakeFirstOrThrow();

const checkNow = () =>
  world.client.workflow.execute('checkExpiredResults', {
    taskQueue: world.periodicTaskQueue,
    workflowId: `expiry-${crypto.randomUUID()}`,
    args: [world.managerId],
  });

/** One run of the expiry check, as if an hour had passed since the last. */
async function check(): Promise<void> {
  await world.db
    .updateTable('result_copy')
    .set({ last_checked_at: new Date(0) })
    .execute();
  await checkNow();
}

/** Lets the date of the copy pass in the record; the backup itself is removed at the console or not. */
async function pass(options: { readonly gone: boolean }): Promise<void> {
  const { vendor_vm_ref: client, vendor_id: label } = await copy();
  if (options.gone) await world.avamar('DELETE', `/clients/${client}/backups/${label}/delete`);
  await world.db
    .updateTable('result_copy')
    .set({ expires_at: new Date(Date.now() - 1_000) })
    .where('result_id', '=', resultId)
    .execute();
}

const events = (action: string) =>
  world.db.selectFrom('event').selectAll().where('entity_id', '=', resultId).where('action', '=', action).execute();

test('a copy that is past its date and gone is EXPIRED after two checks, and cannot be restored', async () => {
  await pass({ gone: true });
  await check();
  expect(await copy()).toMatchObject({ state: 'LISTED', absent_checks: 1 });
  await check();
  expect(await copy()).toMatchObject({ state: 'EXPIRED' });
  expect(await events('EXPIRE')).toMatchObject([{ severity: 'INFO', vm_id: vmId }]);
  await expect(world.requests.restore({ principal: world.principal, resultId, body: {} })).rejects.toMatchObject({
    code: 'BACKUP_STATUS_FOR_RESTORE',
  });
});

test('a copy that is past its date and still listed stays restorable, and is overdue', async () => {
  await pass({ gone: false });
  await check();
  await check();
  expect(await copy()).toMatchObject({ state: 'LISTED', overdue: true });
});

test('a copy that is gone before its time is MISSING, with a warning', async () => {
  const { vendor_vm_ref: client, vendor_id: label } = await copy();
  await world.avamar('DELETE', `/clients/${client}/backups/${label}/delete`);
  await check();
  await check();
  expect(await copy()).toMatchObject({ state: 'MISSING' });
  expect(await events('MISSING')).toMatchObject([{ severity: 'WARN' }]);
});

test('a copy that the list of backups does not show any more is looked for with the next check, not with the next sweep', async () => {
  const { vendor_vm_ref: client, vendor_id: label } = await copy();
  await world.db.updateTable('result_copy').set({ last_checked_at: new Date() }).execute();
  await checkNow();
  expect(await copy()).toMatchObject({ unseen_at: null, absent_checks: 0 });
  await world.avamar('DELETE', `/clients/${client}/backups/${label}/delete`);
  await until('the list does not show it', copy, (row) => row.unseen_at !== null);
  await checkNow();
  expect(await copy()).toMatchObject({ state: 'LISTED', absent_checks: 1 });
  await check();
  expect(await copy()).toMatchObject({ state: 'MISSING' });
  expect(await events('MISSING')).toMatchObject([{ severity: 'WARN' }]);
});

test('nothing expires while another backup system answers at the endpoint', async () => {
  await pass({ gone: true });
  await world.db
    .updateTable('backup_manager')
    .set({ identity: 'the one that we knew' })
    .where('id', '=', world.managerId)
    .execute();
  const run = check();
  await expect(run).rejects.toThrow();
  expect(await copy()).toMatchObject({ state: 'LISTED', absent_checks: 0 });
  await world.db.updateTable('backup_manager').set({ identity: null }).where('id', '=', world.managerId).execute();
  await until('the record is as it was', copy, (row) => row.state === 'LISTED');
});

test('checks that follow each other quickly all look at a copy that is past its date', async () => {
  const { intervals } = world.deps;
  const before = intervals.expiryCheckMs;
  Object.assign(intervals, { expiryCheckMs: 1_000 });
  try {
    await pass({ gone: true });
    const look = async () => {
      await checkNow();
      return copy();
    };
    await until('the copy is EXPIRED', look, ({ state }) => state === 'EXPIRED');
  } finally {
    Object.assign(intervals, { expiryCheckMs: before });
  }
});
