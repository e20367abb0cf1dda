/**
 * `npm run codegen`: the types of the tables, from a database that has just been made by the migrations.
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCodegen } from '../db/codegen.ts';
import { startEmbeddedPostgres } from '../db/embedded.ts';
import { migrateToLatest } from '../db/migrate.ts';

/**
 * Writes `db/schema.ts`, or with `verify` only compares it. It uses a cluster of its own, so that no half-migrated
 * database of a developer can leak into the types.
 */
export async function codegen(options: { readonly verify: boolean }): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-codegen-'));
  const database = await startEmbeddedPostgres({ dataDir: join(folder, 'pg'), durable: false });
  try {
    await migrateToLatest(database.url);
    await runCodegen(database.url, options);
  } finally {
    await database.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
