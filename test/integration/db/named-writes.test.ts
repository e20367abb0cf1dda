import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../../db/connect.ts';
import {
  beginNamedWrite,
  claimedIntent,
  closeIntents,
  settleNamedWrite,
  unsettledNamedWrite,
  unsettledNames,
  vmsWithOpenIntent,
} from '../../../db/intents.ts';
import { type TestDatabase, testDatabase } from '../database.ts';
import { insertManager, insertPlace, insertVm, type Place, requestedDeploy } from '../rows.ts';

let database: TestDatabase;
let db: Database;
let place: Place;
let managers: [string, string];
beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  place = await insertPlace(db);
  const newManager = (name: string) =>
    insertManager(db, place, { type: 'veeam', name, endpoint: 'https://em:9398/api/' });
  managers = [await newManager('em-1'), await newManager('em-2')];
});
afterAll(() => database.drop());

let vmId: string;
let by: { readonly operationId: string; readonly epoch: number };
beforeEach(async () => {
  const name = `vm-${randomUUID()}`;
  vmId = await insertVm(db, place, name);
  const operation = await requestedDeploy(db, place, { id: vmId, name }, []);
  by = { operationId: operation.id, epoch: 1 };
});

const write = (more: Partial<Parameters<typeof unsettledNamedWrite>[1]> = {}) => ({
  vmId,
  managerId: managers[0],
  name: 'job-1',
  ...more,
});

test('a write whose end nobody knows is remembered when its process has died, and when its operation has ended', async () => {
  expect(await unsettledNamedWrite(db, write())).toBeUndefined();
  await beginNamedWrite(db, write(), by);
  const age = await unsettledNamedWrite(db, write());
  expect(age).toBeGreaterThanOrEqual(0);
  expect(age).toBeLessThan(60_000);
  await closeIntents(db, by.operationId);
  expect(await unsettledNamedWrite(db, write())).toBeGreaterThanOrEqual(0);
  await settleNamedWrite(db, write(), 'FOUND');
  expect(await unsettledNamedWrite(db, write())).toBeUndefined();
});

test('it counts from the newest attempt to make it', async () => {
  await beginNamedWrite(db, write(), by);
  const anHourAgo = new Date(Date.now() - 3_600_000);
  await db.updateTable('intent').set({ claimed_at: anHourAgo }).where('operation_id', '=', by.operationId).execute();
  expect(await unsettledNamedWrite(db, write())).toBeGreaterThan(3_000_000);
  await beginNamedWrite(db, write(), { ...by, epoch: 2 });
  expect(await unsettledNamedWrite(db, write())).toBeLessThan(60_000);
});

test('another name, manager or virtual machine is none of its business', async () => {
  await beginNamedWrite(db, write(), by);
  for (const other of [write({ name: 'job-2' }), write({ managerId: managers[1] }), write({ vmId: randomUUID() })]) {
    expect(await unsettledNamedWrite(db, other)).toBeUndefined();
    await settleNamedWrite(db, other, 'ABSENT');
  }
  expect(await unsettledNamedWrite(db, write())).toBeGreaterThanOrEqual(0);
});

test('one operation can make something in several backup systems', async () => {
  await beginNamedWrite(db, write(), by);
  await beginNamedWrite(db, write({ managerId: managers[1] }), by);
  await settleNamedWrite(db, write(), 'FOUND');
  expect(await unsettledNamedWrite(db, write({ managerId: managers[1] }))).toBeGreaterThanOrEqual(0);
});

test('it is no start of a session: nobody waits for one because of it', async () => {
  await beginNamedWrite(db, write(), by);
  expect(await claimedIntent(db, by.operationId)).toBeUndefined();
  expect(await vmsWithOpenIntent(db, managers[0])).toEqual(new Set());
});

test('the names of one virtual machine that begin in a way are found, until they are settled', async () => {
  const names = (prefix: string, managerId = managers[0]) => unsettledNames(db, { vmId, managerId, prefix });
  await beginNamedWrite(db, write({ name: 'groups of_a' }), by);
  await beginNamedWrite(db, write({ name: 'groups of_b', managerId: managers[1] }), by);
  expect(await names('groups of')).toEqual(['groups of_a']);
  expect(await names('groups ofX')).toEqual([]);
  expect(await names('groups', managers[1])).toEqual(['groups of_b']);
  await closeIntents(db, by.operationId);
  expect(await names('groups of')).toEqual(['groups of_a']);
  await settleNamedWrite(db, write({ name: 'groups of_a' }), 'ABSENT');
  expect(await names('groups of')).toEqual([]);
});
