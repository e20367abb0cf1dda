/**
 * What the integration tests share: one PostgreSQL cluster with a migrated template (a database of its own costs a test
 * file some 25 ms), one Temporal server in memory, and one bundle of the workflows.
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import pg from 'pg';
import { pino } from 'pino';
import type { TestProject } from 'vitest/node';
import { registerSearchAttributes } from '../../activities/search-attributes.ts';
import { bundleWorkflows } from '../../activities/worker.ts';
import { findTemporal, freePort, startTemporalServer } from '../../bin/temporal-server.ts';
import { startEmbeddedPostgres } from '../../db/embedded.ts';
import { migrateToLatest } from '../../db/migrate.ts';
import { loadConfig } from '../../temporal.config.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The cluster's address; its database `holdfast_template` is migrated. */
    postgresUrl: string;
    temporalAddress: string;
    /** File with the bundled workflows. */
    workflowBundle: string;
  }
}

/** The database that every test database is a copy of. */
export const TEMPLATE = 'holdfast_template';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-cluster-'));
  const cluster = await startEmbeddedPostgres({ dataDir: join(folder, 'pg'), durable: false });
  const client = new pg.Client({ connectionString: cluster.url });
  await client.connect();
  await client.query(`create database ${TEMPLATE}`);
  await client.end();
  const template = new URL(cluster.url);
  template.pathname = `/${TEMPLATE}`;
  await migrateToLatest(template.href);
  project.provide('postgresUrl', cluster.url);

  const config = loadConfig(process.env);
  const temporal = await startTemporalServer({
    binary: await findTemporal(config.temporal, (note) => console.log(note)),
    port: await freePort(),
    namespace: 'default',
    logFile: join(folder, 'temporal.log'),
    // The id of an operation's workflow is used once, but a manager's watch may be started again at once.
    dynamicConfig: { 'history.workflowIdReuseMinimalInterval': '0s' },
  });
  project.provide('temporalAddress', temporal.address);
  const connection = await Connection.connect({ address: temporal.address });
  await registerSearchAttributes(connection, 'default');
  await connection.close();

  const bundle = join(folder, 'workflows.js');
  writeFileSync(bundle, (await bundleWorkflows(pino({ level: 'silent' }))).code);
  project.provide('workflowBundle', bundle);

  return async () => {
    await temporal.stop();
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}
