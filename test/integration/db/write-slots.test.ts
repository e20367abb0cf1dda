import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { releaseWriteSlot, takeWriteSlot } from '../../../db/write-slots.ts';
import { type TestDatabase, testDatabase } from '../database.ts';
import { insertManager, insertPlace } from '../rows.ts';

let database: TestDatabase;
let managerId: string;
beforeAll(async () => {
  database = await testDatabase();
  const { db } = database;
  managerId = await insertManager(db, await insertPlace(db), { type: 'avamar', name: 'a', max_concurrent_writes: 2 });
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.db.deleteFrom('write_ticket').execute();
});

const take = (holder: string, undo = false, attempt = 1) =>
  takeWriteSlot(database.db, managerId, holder, attempt, undo);

test('of many that ask at once exactly as many write as the manager allows', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => take(`h${n}`)));
  expect(answers.filter((granted) => granted)).toHaveLength(2);
});

test('who has a slot keeps it when it asks again; who waits gets one in the order of asking', async () => {
  expect([await take('a'), await take('b'), await take('c'), await take('d')]).toEqual([true, true, false, false]);
  expect(await take('a')).toBe(true);
  await releaseWriteSlot(database.db, 'a', 1);
  expect(await take('d')).toBe(false);
  expect(await take('c')).toBe(true);
});

test('an undo goes before those that wait', async () => {
  await Promise.all([take('a'), take('b')]);
  expect(await take('c')).toBe(false);
  expect(await take('u', true)).toBe(false);
  await releaseWriteSlot(database.db, 'b', 1);
  expect(await take('c')).toBe(false);
  expect(await take('u', true)).toBe(true);
});

test('a slot whose holder died falls out by its lease', async () => {
  await Promise.all([take('a'), take('b')]);
  await database.db
    .updateTable('write_ticket')
    .set({ leased_until: new Date(Date.now() - 1_000) })
    .where('holder', '=', 'a')
    .execute();
  expect(await take('c')).toBe(true);
});

test('an attempt that wakes up late does not give the slot of a newer one back', async () => {
  await Promise.all([take('a'), take('b')]);
  expect(await take('a', false, 2)).toBe(true);
  await releaseWriteSlot(database.db, 'a', 1);
  expect(await take('c')).toBe(false);
  await releaseWriteSlot(database.db, 'a', 2);
  expect(await take('c')).toBe(true);
});
