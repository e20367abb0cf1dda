/** Replications in the record: sessions that lock nothing, and the one that a backup result shows. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { recordNewSessions } from '../../../activities/adoption.ts';
import type { SessionReport } from '../../../activities/backup-systems/backup-system.ts';
import type { Database } from '../../../db/connect.ts';
import { claimIntent, openIntent } from '../../../db/intents.ts';
import { rememberReference } from '../../../db/operation-context.ts';
import { listBegins, noteUnseen, restorableCopies } from '../../../db/result-copies.ts';
import { recordListedBackup } from '../../../db/results.ts';
import { resultView } from '../../../db/result-list.ts';
import {
  recordSession,
  runningSessionOf,
  sessionsInFlight,
  sessionsToAdopt,
  sessionsToNotify,
  updateSession,
} from '../../../db/sessions.ts';
import { schedulingPolicies } from '../../../db/vm-schedules.ts';
import type { SessionState } from '../../../domain/results.ts';
import { type TestDatabase, testDatabase } from '../database.ts';
import { insertManager, insertPlace, insertVm } from '../rows.ts';

const MADE = new Date('2026-11-22T02:00:00Z');
const minutesLater = (minutes: number) => new Date(MADE.getTime() + minutes * 60_000);

let database: TestDatabase;
let db: Database;
let owner: { readonly vmId: string; readonly enterpriseId: string; readonly managerId: string };
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  const place = await insertPlace(db);
  const managerId = await insertManager(db, place, { type: 'avamar', name: 'a' });
  owner = { vmId: await insertVm(db, place, 'vm-1'), enterpriseId: place.enterpriseId, managerId };
});
beforeEach(async () => {
  await db.deleteFrom('session').execute();
  await db.deleteFrom('result_copy').execute();
  await db.deleteFrom('backup_result').execute();
});
afterAll(() => database.drop());

const backup = (labelNumber: string, createdAt: Date): Promise<string> => {
  const copies = [
    { location: 'Local', locationName: null, vendorId: labelNumber, expiresAt: null, expiryEstimated: false },
  ];
  const listed = { vendorVmRef: 'client-1', name: labelNumber, createdAt, sizeBytes: 1, copies };
  return recordListedBackup(db, owner, { ...listed, vendorBackupId: `client-1/${labelNumber}` }, null);
};

async function replication(id: string, startedAt: Date, state: SessionState, resultId: string | null = null) {
  const session = await recordSession(db, {
    managerId: owner.managerId,
    vm: { id: owner.vmId, name: 'vm-1', enterpriseId: owner.enterpriseId },
    vendorSessionId: id,
    vendorVmRef: 'client-1',
    kind: 'REPLICATION',
    operationId: null,
    origin: 'SCHEDULED',
    policyId: null,
    replication: true,
    resultId,
    state: 'RUNNING',
    startedAt,
  });
  const news = { progress: 100, endedAt: startedAt, vendorBackupId: null, restoredVmRef: null, sizeBytes: null };
  await updateSession(db, session, 1, { ...news, state, message: `${id} ended ${state}` });
  return session;
}

async function backupOperation(workflowId: string): Promise<string> {
  const datacenter = await db.selectFrom('virtual_machine').select('datacenter_id').executeTakeFirstOrThrow();
  const operation = await db
    .insertInto('operation')
    .values({
      vm_id: owner.vmId,
      enterprise_id: owner.enterpriseId,
      datacenter_id: datacenter.datacenter_id,
      kind: 'BACKUP',
      fence: 1,
      workflow_id: workflowId,
      requested_by: 'test',
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return operation.id;
}

const shown = async (resultId: string) => (await resultView(db, null, resultId))?.last_replication?.message ?? null;

test('a backup that nothing was copied of since it was made shows no replication', async () => {
  const id = await backup('1', MADE);
  await replication('before', minutesLater(-1), 'SUCCEEDED');
  expect(await shown(id)).toBeNull();
});

test('a backup shows the first replication that succeeded, since later ones have nothing left to copy of it', async () => {
  const id = await backup('1', MADE);
  await replication('failed', minutesLater(1), 'FAILED');
  expect(await shown(id)).toBe('failed ended FAILED');
  await replication('copied', minutesLater(2), 'WARNING');
  await replication('again', minutesLater(3), 'SUCCEEDED');
  await replication('failed-later', minutesLater(4), 'FAILED');
  expect(await shown(id)).toBe('copied ended WARNING');
});

test('a replication of one backup alone is not shown with another', async () => {
  const [one, other] = [await backup('1', MADE), await backup('2', MADE)];
  await replication('of-one', minutesLater(1), 'SUCCEEDED', one);
  expect([await shown(one), await shown(other)]).toEqual(['of-one ended SUCCEEDED', null]);
});

test('a replication that runs is watched, and neither locks the VM nor counts as working on it', async () => {
  await replication('running', minutesLater(1), 'RUNNING');
  const { managerId, vmId } = owner;
  expect((await sessionsInFlight(db, managerId)).map((session) => session.vendor_session_id)).toEqual(['running']);
  expect(await sessionsToAdopt(db, managerId)).toEqual([]);
  expect(await runningSessionOf(db, managerId, vmId)).toBeUndefined();
});

test('a replication that is not listed any more is looked for a day longer, and not for ever', async () => {
  const { id } = await replication('gone', minutesLater(1), 'UNKNOWN');
  const inFlight = async () => (await sessionsInFlight(db, owner.managerId)).map((session) => session.id);
  const seen = (hoursAgo: number) =>
    db
      .updateTable('session')
      .set({ last_seen_at: new Date(Date.now() - hoursAgo * 3_600_000) })
      .execute();
  await seen(23);
  expect(await inFlight()).toEqual([id]);
  await seen(25);
  expect(await inFlight()).toEqual([]);
  await db.updateTable('session').set({ state: 'RUNNING' }).execute();
  expect(await inFlight()).toEqual([id]);
});

test('a replication is recorded while a start of the same VM is unresolved: it is the answer to none', async () => {
  const { managerId, vmId } = owner;
  const operationId = await backupOperation('vm/vm-1/unresolved');
  const { id } = await openIntent(db, { operationId, vmId, managerId, kind: 'START_BACKUP' });
  await claimIntent(db, id, { epoch: 1, vendorTime: MADE, subject: { vendorVmRef: 'client-1' } });
  await rememberReference(db, { vmId, system: 'BACKUP_SYSTEM', systemId: managerId, ref: 'client-1' });
  const report = (kind: 'BACKUP' | 'REPLICATION'): SessionReport => ({
    vendorSessionId: `new ${kind}`,
    kind,
    vendorVmRef: 'client-1',
    state: 'RUNNING',
    progress: 0,
    scheduled: true,
    scheduledBy: null,
    startedAt: MADE,
    endedAt: null,
    vendorBackupId: null,
    restoredVmRef: null,
    sizeBytes: null,
    message: null,
  });
  await recordNewSessions(db, managerId, [report('BACKUP'), report('REPLICATION')]);
  const known = await db.selectFrom('session').select('vendor_session_id').execute();
  expect(known).toEqual([{ vendor_session_id: 'new REPLICATION' }]);
  await db.deleteFrom('intent').where('operation_id', '=', operationId).execute();
  await db.deleteFrom('operation').where('id', '=', operationId).execute();
});

test('a replication that was seen before its operation could record it belongs to that operation, and is settled once', async () => {
  const id = await backup('1', MADE);
  const seen = await replication('seen', minutesLater(1), 'SUCCEEDED');
  expect((await sessionsToNotify(db, owner.managerId)).map((session) => session.id)).toEqual([seen.id]);
  await db.updateTable('session').set({ notified_at: MADE }).where('id', '=', seen.id).execute();
  const operationId = await backupOperation('vm/vm-1/backup');
  const given = await recordSession(db, {
    managerId: owner.managerId,
    vm: { id: owner.vmId, name: 'vm-1', enterpriseId: owner.enterpriseId },
    vendorSessionId: 'seen',
    vendorVmRef: 'client-1',
    kind: 'REPLICATION',
    operationId,
    origin: 'ON_DEMAND',
    policyId: null,
    replication: true,
    resultId: id,
    state: 'RUNNING',
    startedAt: MADE,
  });
  expect(given).toMatchObject({ id: seen.id, operation_id: operationId, result_id: id, state: 'SUCCEEDED' });
  expect(await sessionsToNotify(db, owner.managerId)).toEqual([]);
});

test('a copy that the last list did not show is restored only when there is no other', async () => {
  const copy = { locationName: null, expiresAt: null, expiryEstimated: false };
  const local = { ...copy, location: 'Local', vendorId: '1' };
  const remote = { ...copy, location: 'lisbon', vendorId: '101' };
  const listed = { vendorBackupId: 'client-1/1', vendorVmRef: 'client-1', name: '1', createdAt: MADE, sizeBytes: 1 };
  const id = await recordListedBackup(db, owner, { ...listed, copies: [local, remote] }, null);
  const places = async () => (await restorableCopies(db, id)).map(({ location }) => location);
  expect(await places()).toEqual(['Local', 'lisbon']);

  const begun = await listBegins(db);
  await recordListedBackup(db, owner, { ...listed, copies: [remote] }, null);
  await noteUnseen(db, owner.managerId, ['another-client'], begun);
  expect(await places()).toEqual(['Local', 'lisbon']);
  await noteUnseen(db, owner.managerId, ['client-1'], begun);
  expect(await places()).toEqual(['lisbon', 'Local']);

  await recordListedBackup(db, owner, { ...listed, copies: [local, remote] }, null);
  expect(await places()).toEqual(['Local', 'lisbon']);
});

test('a schedule of the backup system leads to the policy that it serves', async () => {
  const policy = { code: 'GOLD', name: 'Gold', timeZone: 'UTC', retentionDays: 7, backups: [] };
  const policies = [
    { ...policy, policyId: 'p1', replication: true },
    { ...policy, policyId: 'p2', replication: false },
  ];
  const ref = { vmRef: 'client-1', policies: { 'group-1': 'p1', 'group-2': 'p2', 'group-3': 'gone' } };
  const operation = await db.selectFrom('operation').select('id').executeTakeFirst();
  await db
    .insertInto('vm_schedule')
    .values({
      vm_id: owner.vmId,
      manager_id: owner.managerId,
      schedule: JSON.stringify({ managerId: owner.managerId, policies }),
      ref: JSON.stringify(ref),
      operation_id: operation?.id ?? '',
    })
    .execute();
  const found = (await schedulingPolicies(db, owner.managerId, [owner.vmId])).get(owner.vmId);
  expect([...(found ?? [])].map(([group, { policyId, replication: copied }]) => [group, policyId, copied])).toEqual([
    ['group-1', 'p1', true],
    ['group-2', 'p2', false],
  ]);
});
