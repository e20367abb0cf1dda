import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCodegen } from '../../../db/codegen.ts';
import { connect } from '../../../db/connect.ts';
import { migrateToLatest, migrator } from '../../../db/migrate.ts';
import { type TestDatabase, testDatabase } from '../database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.drop());

test('db/schema.ts is what the migrations make', async () => {
  await expect(runCodegen(database.url, { verify: true })).resolves.toBeUndefined();
});

test('every migration goes down and up again', async () => {
  const db = connect<unknown>({ url: database.url, poolSize: 1, application: 'holdfast-test' });
  const run = migrator(db);
  const names = (await run.getMigrations()).map((migration) => migration.name);
  for (const name of names.toReversed()) {
    const { error, results } = await run.migrateDown();
    expect({ error, down: results?.map((result) => result.migrationName) }).toEqual({ error: undefined, down: [name] });
  }
  const { error, results } = await run.migrateToLatest();
  expect({ error, up: results?.map((result) => result.migrationName) }).toEqual({ error: undefined, up: names });
  await db.destroy();
});

test('two processes that migrate at once do it once', async () => {
  const answers = await Promise.all([migrateToLatest(database.url), migrateToLatest(database.url)]);
  expect(answers.flatMap((answer) => answer.applied)).toEqual([]);
});

test('no time is finer than a cursor can hold', async () => {
  const { rows } = await sql<{ table: string; column: string; precision: number }>`
    select table_name as table, column_name as column, datetime_precision as precision
    from information_schema.columns
    where table_schema = 'public' and table_name not like 'kysely%' and data_type like 'timestamp%'
  `.execute(database.db);
  expect(rows.length).toBeGreaterThan(50);
  expect(rows.filter((row) => row.precision !== 3)).toEqual([]);
});
