/**
 * A database of its own for a test file.
 * @module
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { connect, type Database } from '../../db/connect.ts';
import { TEMPLATE } from './cluster.ts';

export interface TestDatabase {
  readonly url: string;
  readonly db: Database;
  /** Closes the connections and removes the database. */
  drop(): Promise<void>;
}

/** Makes a migrated, empty database. */
export async function testDatabase(): Promise<TestDatabase> {
  const cluster = inject('postgresUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = async (statement: string) => {
    const client = new pg.Client({ connectionString: cluster });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await admin(`create database ${name} template ${TEMPLATE} strategy file_copy`);
  const url = new URL(cluster);
  url.pathname = `/${name}`;
  const db = connect({ url: url.href, poolSize: 8, application: 'holdfast-test' });
  return {
    url: url.href,
    db,
    drop: async () => {
      await db.destroy();
      await admin(`drop database if exists ${name} with (force)`);
    },
  };
}
