/**
 * The API in process, with a real PostgreSQL and a real Temporal server. No worker runs: an operation that was asked for
 * stays open and keeps its virtual machine locked.
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { inject } from 'vitest';
import { createApp } from '../../../api/app.ts';
import { createOperationRequests } from '../../../api/operation-requests.ts';
import { openTemporal } from '../../../api/temporal-client.ts';
import { connect } from '../../../db/connect.ts';
import { openSealing } from '../../../db/sealing.ts';
import { createToken } from '../../../db/tokens.ts';
import { loadConfig } from '../../../temporal.config.ts';
import { testDatabase } from '../database.ts';

// The tests say what they expect of a document.
type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
  readonly text: string;
}

export interface RequestOptions {
  readonly body?: unknown;
  /** Sent as it is, in place of a JSON body. */
  readonly raw?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export type TestApi = Awaited<ReturnType<typeof startTestApi>>;

/** Starts the API; each one has a database of its own. */
export async function startTestApi(
  options: {
    readonly databaseUrl?: string;
    readonly temporalAddress?: string;
    readonly temporalNamespace?: string;
  } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-api-'));
  const database = await testDatabase();
  const db =
    options.databaseUrl === undefined
      ? database.db
      : connect({ url: options.databaseUrl, poolSize: 2, application: 'holdfast-test' });
  const lines: string[] = [];
  const logger = pino(
    { level: 'trace' },
    new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    }),
  );
  const config = loadConfig({});
  const temporal = await openTemporal({
    ...config.temporal,
    address: options.temporalAddress ?? inject('temporalAddress'),
    namespace: options.temporalNamespace ?? config.temporal.namespace,
  });
  const operations = createOperationRequests({
    db,
    temporal: temporal.client,
    logger,
    limits: config.limits,
    periodicTaskQueue: `periodic-${database.url.split('/').at(-1)}`,
  });
  const sealing = openSealing({ masterKeyFile: undefined, dataDir: folder });
  const app = createApp({ db, operations, temporal: temporal.client, sealing, logger, config });

  const tokens = {
    admin: (await createToken(database.db, { role: 'CLOUD_ADMIN', name: 'admin', enterpriseId: null })).token,
    platform: (await createToken(database.db, { role: 'PLATFORM', name: 'platform', enterpriseId: null })).token,
  };

  async function send(
    token: string | undefined,
    method: string,
    path: string,
    { body, raw, headers }: RequestOptions = {},
  ): Promise<Answer> {
    const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await app.request(path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(content === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(content === undefined ? {} : { body: content }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  /** Sends, and throws what was answered unless it has the expected status. */
  async function expectStatus(status: number, ...request: Parameters<typeof send>): Promise<Json> {
    const answer = await send(...request);
    if (answer.status !== status) {
      throw new Error(`${request[1]} ${request[2]}: ${answer.status}, not ${status}: ${answer.text}`);
    }
    return answer.body;
  }

  const unique = (() => {
    let count = 0;
    return (prefix: string) => `${prefix}-${++count}`;
  })();

  return {
    app,
    db: database.db,
    databaseUrl: database.url,
    sealing,
    tokens,
    /** Every line that was logged. */
    lines,
    send,
    expectStatus,
    unique,

    async newEnterprise() {
      const enterprise = await expectStatus(201, tokens.admin, 'POST', '/v1/enterprises', {
        body: { name: unique('enterprise') },
      });
      const token = async (role: string): Promise<string> =>
        (
          await expectStatus(201, tokens.admin, 'POST', `/v1/enterprises/${enterprise.id}/tokens`, {
            body: { role, name: unique(role.toLowerCase()) },
          })
        ).token;
      return {
        id: enterprise.id as string,
        name: enterprise.name as string,
        admin: await token('ENTERPRISE_ADMIN'),
        user: await token('USER'),
      };
    },

    newDatacenter: () =>
      expectStatus(201, tokens.admin, 'POST', '/v1/datacenters', {
        body: {
          name: unique('datacenter'),
          timeZone: 'Europe/Madrid',
          hypervisor: { type: 'simulated', endpoint: 'http://127.0.0.1:1' },
        },
      }),

    newManager: (datacenterId: string, more: Record<string, unknown> = {}) =>
      expectStatus(201, tokens.admin, 'POST', `/v1/datacenters/${datacenterId}/backup-managers`, {
        body: {
          type: 'avamar',
          name: unique('manager'),
          endpoint: 'http://127.0.0.1:1',
          credentials: { user: 'someone', password: 'canary-password' },
          ...more,
        },
      }),

    newPolicy: (datacenterId: string, managerId: string, more: Record<string, unknown> = {}) =>
      expectStatus(201, tokens.admin, 'POST', `/v1/datacenters/${datacenterId}/backup-policies`, {
        body: {
          managerId,
          code: unique('CODE'),
          name: 'Nightly',
          configurations: [{ type: 'COMPLETE', subtype: 'DAILY', time: { mode: 'fixed', value: '03:30' } }],
          ...more,
        },
      }),

    allow: (enterpriseId: string, policyId: string) =>
      expectStatus(204, tokens.admin, 'PUT', `/v1/enterprises/${enterpriseId}/backup-policies/${policyId}`),

    newVm: (token: string, datacenterId: string, more: Record<string, unknown> = {}) =>
      expectStatus(201, token, 'POST', '/v1/virtual-machines', { body: vmBody(datacenterId, unique('vm'), more) }),

    /** Makes the stored state of a VM what an operation would have made it. */
    setState: (vmId: string, state: 'NOT_ALLOCATED' | 'ON' | 'OFF' | 'UNKNOWN') =>
      database.db.updateTable('virtual_machine').set({ state }).where('id', '=', vmId).execute(),

    async stop() {
      await temporal.close();
      if (options.databaseUrl !== undefined) await db.destroy();
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The body that creates a small VM. */
export function vmBody(datacenterId: string, name: string, more: Record<string, unknown> = {}) {
  return { name, datacenterId, cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 20 }], ...more };
}
