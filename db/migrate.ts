/**
 * Brings a database to the newest schema. Safe to run from several processes at once: the migrator takes a lock.
 * @module
 */
import { readdir } from 'node:fs/promises';
import { Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { connect } from './connect.ts';

/** Holdfast lets PostgreSQL make its uuidv7 ids, which came with version 18. */
const OLDEST_POSTGRESQL = 18;

/** All migrations by name, in the order in which they run. */
async function migrations(): Promise<Record<string, Migration>> {
  const folder = new URL('./migrations/', import.meta.url);
  const files = (await readdir(folder)).filter((file) => /^\d{4}_\w+\.ts$/.test(file)).toSorted();
  const modules = await Promise.all(
    files.map(async (file) => [file.replace('.ts', ''), (await import(new URL(file, folder).href)) as Migration]),
  );
  return Object.fromEntries(modules);
}

/** A migrator over the given connection, for tests that go up and down step by step. */
export function migrator(db: Kysely<unknown>): Migrator {
  return new Migrator({ db, provider: { getMigrations: migrations } });
}

/**
 * Applies what is missing.
 * @returns the names of the migrations that this call applied.
 * @throws when the server is too old, or when a migration fails (nothing of that migration stays).
 */
export async function migrateToLatest(url: string): Promise<{ applied: string[] }> {
  const db = connect<unknown>({ url, poolSize: 2, application: 'holdfast-migrate' });
  try {
    const version = await sql<{ major: number }>`
      select current_setting('server_version_num')::int / 10000 as major`.execute(db);
    const major = version.rows[0]?.major ?? 0;
    if (major < OLDEST_POSTGRESQL) {
      throw new Error(`Holdfast needs PostgreSQL ${OLDEST_POSTGRESQL} or newer; this server is ${major}.`);
    }
    const { error, results } = await migrator(db).migrateToLatest();
    if (error !== undefined) throw error;
    const applied = (results ?? []).filter((result) => result.status === 'Success');
    return { applied: applied.map((result) => result.migrationName) };
  } finally {
    await db.destroy();
  }
}
