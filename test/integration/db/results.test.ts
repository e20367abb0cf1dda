import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../../db/connect.ts';
import { copiesToCheck, recordCheck } from '../../../db/result-copies.ts';
import { recordListedBackup } from '../../../db/results.ts';
import { recordSession, updateSession } from '../../../db/sessions.ts';
import { type TestDatabase, testDatabase } from '../database.ts';
import { insertManager, insertPlace, insertVm } from '../rows.ts';

const STARTED = new Date('2026-11-22T02:00:00Z');
const LISTED = {
  vendorBackupId: '17',
  vendorVmRef: 'client-1',
  name: 'vm-1 nightly',
  createdAt: STARTED,
  sizeBytes: 4096,
  copies: [{ location: 'Local', locationName: null, vendorId: '17', expiresAt: null, expiryEstimated: false }],
};

let database: TestDatabase;
let db: Database;
let owner: { readonly vmId: string; readonly enterpriseId: string; readonly managerId: string };
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  const place = await insertPlace(db);
  owner = {
    vmId: await insertVm(db, place, 'vm-1'),
    enterpriseId: place.enterpriseId,
    managerId: await insertManager(db, place, { type: 'avamar', name: 'a' }),
  };
});
afterAll(() => database.drop());

test('a backup that was listed before anybody knew its session has one result: the next look at it makes them one', async () => {
  const discovered = await recordListedBackup(db, owner, LISTED, null);
  const session = await recordSession(db, {
    managerId: owner.managerId,
    vm: { id: owner.vmId, name: 'vm-1', enterpriseId: owner.enterpriseId },
    vendorSessionId: '9',
    vendorVmRef: LISTED.vendorVmRef,
    kind: 'BACKUP',
    operationId: null,
    origin: 'ON_DEMAND',
    policyId: null,
    replication: false,
    resultId: null,
    state: 'RUNNING',
    startedAt: STARTED,
  });
  expect(session.result_id).not.toBe(discovered);
  await db
    .updateTable('session')
    .set({ state: 'SUCCEEDED', vendor_backup_id: LISTED.vendorBackupId, ended_at: STARTED })
    .where('id', '=', session.id)
    .execute();

  expect(await recordListedBackup(db, owner, LISTED, null)).toBe(session.result_id);
  expect(await recordListedBackup(db, owner, LISTED, null)).toBe(session.result_id);
  const results = await db
    .selectFrom('backup_result as r')
    .leftJoin('result_copy as c', 'c.result_id', 'r.id')
    .select(['r.id', 'r.origin', 'r.name', 'c.vendor_id', 'c.state'])
    .execute();
  expect(results).toEqual([
    { id: session.result_id, origin: 'ON_DEMAND', name: LISTED.name, vendor_id: '17', state: 'LISTED' },
  ]);
});

test('a backup that is left on another system alone, and listed by the number that it has there, is the one that it was', async () => {
  const dates = { expiresAt: null, expiryEstimated: false };
  const remote = { location: 'server-2', locationName: 'lisbon', vendorId: '3', ...dates };
  const both = { ...LISTED, vendorVmRef: 'client-2', copies: [...LISTED.copies, remote] };
  const id = await recordListedBackup(db, owner, both, null);
  const alone = { ...both, vendorBackupId: '3@server-2', copies: [remote] };
  expect(await recordListedBackup(db, owner, alone, null)).toBe(id);
  expect(await recordListedBackup(db, owner, alone, null)).toBe(id);
  // Elsewhere that number is another backup.
  const other = await recordListedBackup(db, owner, { ...alone, vendorVmRef: 'client-3' }, null);
  expect(other).not.toBe(id);
  await db.deleteFrom('result_copy').where('vendor_vm_ref', 'in', ['client-2', 'client-3']).execute();
  await db.deleteFrom('backup_result').where('id', 'in', [id, other]).execute();
});

test('a restore that was begun elsewhere hangs under the backup that the backup system names, and stays there', async () => {
  const backup = (vendorBackupId: string) => recordListedBackup(db, owner, { ...LISTED, vendorBackupId }, null);
  const [restored, other] = [await backup('restored'), await backup('other')];
  const session = await recordSession(db, {
    managerId: owner.managerId,
    vm: { id: owner.vmId, name: 'vm-1', enterpriseId: owner.enterpriseId },
    vendorSessionId: '10',
    vendorVmRef: LISTED.vendorVmRef,
    kind: 'RESTORE',
    operationId: null,
    origin: 'DISCOVERED',
    policyId: null,
    replication: false,
    resultId: null,
    state: 'RUNNING',
    startedAt: STARTED,
  });
  const news = {
    state: 'RUNNING',
    progress: 1,
    message: null,
    endedAt: null,
    restoredVmRef: null,
    sizeBytes: null,
  } as const;
  const hangsUnder = async (vendorBackupId: string | null) => {
    await updateSession(db, session, 1, { ...news, vendorBackupId });
    const where = db
      .selectFrom('restore_result')
      .select('result_id')
      .where('id', '=', session.restore_id ?? '');
    return (await where.executeTakeFirstOrThrow()).result_id;
  };
  expect(await hangsUnder(null)).toBeNull();
  expect(await hangsUnder('nobody knows it')).toBeNull();
  expect(await hangsUnder('restored')).toBe(restored);
  expect(await hangsUnder('other')).not.toBe(other);
});

test('copies past their date take turns, however many stay listed', async () => {
  const past = new Date(Date.now() - 3_600_000);
  for (const number of [1, 2, 3, 4, 5]) {
    const vendorId = `overdue-${number}`;
    const copy = {
      location: 'Local',
      locationName: null,
      vendorId,
      expiresAt: new Date(past.getTime() + number),
      expiryEstimated: true,
    };
    await recordListedBackup(db, owner, { ...LISTED, vendorBackupId: vendorId, copies: [copy] }, null);
  }
  const looked: string[] = [];
  for (let batch = 0; batch < 3; batch += 1) {
    // Every batch comes so late that those before it may be looked at again.
    const options = { due: 2, sweep: 0, dueAgainMs: 0, sweepAgainMs: 0 };
    const { due } = await copiesToCheck(db, owner.managerId, options);
    for (const copy of due) {
      looked.push(copy.vendor_id);
      await recordCheck(db, copy, true);
    }
  }
  expect(new Set(looked).size).toBe(5);
});
