import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  findTemporal,
  freePort,
  startTemporalServer,
  type TemporalServer,
  type TemporalServerOptions,
} from '../../bin/temporal-server.ts';
import { loadConfig } from '../../temporal.config.ts';

let folder: string;
let options: TemporalServerOptions & { readonly uiPort: number };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-temporal-'));
  const binary = await findTemporal(loadConfig(process.env).temporal, () => undefined);
  options = {
    binary,
    port: await freePort(),
    uiPort: await freePort(),
    dbFile: join(folder, 'temporal.db'),
    namespace: 'default',
    logFile: join(folder, 'temporal.log'),
    searchAttributes: { VmName: 'Keyword' },
  };
  // The first use of a machine without a Temporal CLI builds one.
}, 600_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function withClient<T>({ address }: TemporalServer, use: (client: Client) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address });
  try {
    return await use(new Client({ connection }));
  } finally {
    await connection.close();
  }
}

test('a server with a file still knows its runs after a restart on the same port', { timeout: 20_000 }, async () => {
  const first = await startTemporalServer(options);
  try {
    await withClient(first, (client) =>
      client.workflow.start('anything', { workflowId: 'kept', taskQueue: 'nobody-listens' }),
    );
  } finally {
    await first.stop();
  }
  const second = await startTemporalServer(options);
  try {
    expect(second.address).toBe(first.address);
    const description = await withClient(second, (client) => client.workflow.getHandle('kept').describe());
    expect(description.status.name).toBe('RUNNING');
    expect((await fetch(second.uiUrl ?? '')).status).toBe(200);
  } finally {
    await second.stop();
  }
});

test('runs that were acknowledged survive a SIGKILL of the server', { timeout: 20_000 }, async () => {
  const first = await startTemporalServer(options);
  await withClient(first, (client) =>
    client.workflow.start('anything', { workflowId: 'survivor', taskQueue: 'nobody-listens' }),
  );
  process.kill(first.pid, 'SIGKILL');
  expect(await first.ended).toBe('SIGKILL');
  const second = await startTemporalServer(options);
  try {
    const description = await withClient(second, (client) => client.workflow.getHandle('survivor').describe());
    expect(description.status.name).toBe('RUNNING');
  } finally {
    await second.stop();
  }
});

test('a second server on the same file is refused with the process to stop', { timeout: 20_000 }, async () => {
  const server = await startTemporalServer(options);
  try {
    await expect(startTemporalServer({ ...options, port: await freePort() })).rejects.toThrow(
      `still uses ${options.dbFile} (process ${server.pid})`,
    );
  } finally {
    await server.stop();
  }
});

test('a taken port is one sentence that names the variable to change', async () => {
  const intruder = createServer().listen(0, '127.0.0.1');
  await once(intruder, 'listening');
  const { port } = intruder.address() as AddressInfo;
  try {
    await expect(startTemporalServer({ ...options, port })).rejects.toThrow(
      `Port ${port} is in use by another program; set HOLDFAST_TEMPORAL_PORT to a free port for the Temporal server.`,
    );
    await expect(startTemporalServer({ ...options, uiPort: port })).rejects.toThrow(/HOLDFAST_TEMPORAL_UI_PORT/);
  } finally {
    intruder.close();
  }
});

test('a TEMPORAL_CLI_PATH that is no Temporal CLI is refused by its name', async () => {
  const { cacheDir } = loadConfig(process.env).temporal;
  await expect(findTemporal({ cliPath: '/bin/true', cacheDir }, () => undefined)).rejects.toThrow(
    /TEMPORAL_CLI_PATH: \/bin\/true is not a Temporal CLI/,
  );
});

test('a server that cannot start says why', { timeout: 20_000 }, async () => {
  const { dbFile: _, ...inMemory } = options;
  await expect(startTemporalServer({ ...inMemory, binary: '/bin/false' })).rejects.toThrow(/ended \(exit code 1\)/);
});
