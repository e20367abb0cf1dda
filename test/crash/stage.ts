/**
 * The system under test as `npm start` runs it, with everything that a trial needs to act upon it and to look at it.
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { embeddedUrlIfRunning } from '../../db/embedded.ts';
import { type Answer, developmentClient, setUp } from '../acceptance/client.ts';
import { freePorts, type Part, RunningSystem } from '../acceptance/running-system.ts';
import { avamarConsole, newDestination } from '../avamar-console.ts';
import { Holds } from './holds.ts';
import { type SimulatorState, simulatorState } from './simulator-state.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** A part that was killed is back within moments; a database may have to recover first. Milliseconds. */
const OUTAGE_LIMIT_MS = 60_000;

export type Stage = Awaited<ReturnType<typeof openStage>>;

/** A lost clone, and a restore that was never begun, are believed to be neither within the time of a trial. */
const VEEAM_CONFIG = 'cloneSettlingSeconds: 60\nquietPeriodSeconds: 60\n';
/** Nothing but sessions takes longer than it must. */
const QUICK_VEEAM = { collectSeconds: 0.05, includeSeconds: 0.1, lookupSeconds: 0, pointReadySeconds: 0 };

/** Brings a system up, with a tenant of each backup system, a datacenter for each, and policies. */
export async function openStage(given: Readonly<Record<string, string>>) {
  const dataDir = mkdtempSync(join(tmpdir(), 'holdfast-crash-'));
  const veeamConfig = join(dataDir, 'veeam.yaml');
  writeFileSync(veeamConfig, VEEAM_CONFIG);
  const settings = { HOLDFAST_VEEAM_CONFIG_PATH: veeamConfig, ...given };
  const system = new RunningSystem(dataDir, await freePorts(), settings);
  await system.start();
  const databaseUrl = embeddedUrlIfRunning(join(dataDir, 'pg'));
  if (databaseUrl === undefined) throw new Error('the database does not run');
  await Holds.install(databaseUrl);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 4, connectionTimeoutMillis: 2_000 });
  pool.on('error', () => undefined);
  const temporalAddress = `127.0.0.1:${system.ports.temporal}`;
  const connection = await Connection.connect({ address: temporalAddress });
  const simulators = {
    hypervisor: `http://127.0.0.1:${system.ports.hypervisor}`,
    avamar: `http://127.0.0.1:${system.ports.avamar}`,
    veeam: `http://127.0.0.1:${system.ports.veeam}`,
  };
  const admin = developmentClient(system, 'CLOUD_ADMIN');
  const tenant = await setUp(admin, system, 'acme');
  const { policyId } = tenant;
  const policies = `/v1/datacenters/${tenant.datacenterId}/backup-policies`;
  await accepted(
    admin('PUT', `/v1/backup-policies/${policyId}`, policy(tenant.managerId, 'GOLD', 7, { subtype: 'DAILY' })),
  );
  const weekly = { subtype: 'WEEKLY_PLANNED', days: { mode: 'fixed', value: [weekdayIn(3)] } };
  const silver = await accepted(admin('POST', policies, policy(tenant.managerId, 'SILVER', 14, weekly)));
  const silverId: string = silver.body['id'];
  await accepted(admin('PUT', `/v1/enterprises/${tenant.enterpriseId}/backup-policies/${silverId}`));
  const veeamTenant = await setUp(admin, system, 'veeam', 'veeam');
  const nightly = policy(veeamTenant.managerId, 'GOLD', 7, { subtype: 'DAILY' });
  await accepted(admin('PUT', `/v1/backup-policies/${veeamTenant.policyId}`, nightly));
  const console = await avamarConsole(simulators.avamar);
  await newDestination(console, 'lisbon');
  // By default two writes at a time: whole rounds would queue, and nobody would be where the fault shall strike.
  await pool.query('update backup_manager set max_concurrent_writes = 200');
  const { paths } = (await admin('GET', '/openapi.json')).body;
  let second: ChildProcess | undefined;

  return {
    system,
    dataDir,
    databaseUrl,
    /** Whether this release reconfigures disks. */
    changesDisks: !JSON.stringify(paths).includes('VM_DISKS_NOT_RECONFIGURABLE'),
    simulators,
    tenant: { ...tenant, silverId },
    /** Whose machines Veeam protects. */
    veeamTenant,
    api: admin,
    console,
    /** What the simulated Veeam is told behind its clients' backs. */
    veeam: (method: string, path: string, body: unknown) => told(`${simulators.veeam}/_simulator${path}`, method, body),
    temporal: new Client({ connection }),

    /** Rows; asks again while the database is away. */
    rows: <T extends object>(text: string, values: readonly unknown[] = []): Promise<T[]> =>
      patiently(async () => (await pool.query<T>(text, [...values])).rows),

    state: (): SimulatorState => simulatorState(dataDir),

    /** Sessions that begin from now on take so long. */
    async sessionsTake(seconds: number): Promise<void> {
      const pace = { backupSeconds: seconds, restoreSeconds: seconds, taskSeconds: 0.1 };
      await told(`${simulators.avamar}/_simulator/settings`, 'POST', { ...pace, replicationSeconds: seconds });
      await told(`${simulators.veeam}/_simulator/settings`, 'POST', { ...pace, ...QUICK_VEEAM });
    },

    hypervisor: async (method: string, path: string, body?: unknown): Promise<any> => {
      const answer = await fetch(`${simulators.hypervisor}${path}`, {
        method,
        headers: { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return answer.status === 204 ? undefined : await answer.json();
    },

    /** `kill -9`, and wait until it is gone. */
    async kill(part: Exclude<Part, 'everything'>): Promise<void> {
      const pids = system.pidsOf(part);
      await system.kill(part);
      while (pids.some(isAlive)) await sleep(20);
    },

    /** Waits until every part is there again. */
    async whole(): Promise<void> {
      await patiently(() => pool.query('select'));
      await patiently(() => connection.workflowService.describeNamespace({ namespace: 'default' }));
      await patiently(async () => {
        const { ok } = await fetch(`${system.url}/readyz`);
        if (!ok) throw new Error('the API is not ready');
      });
    },

    /** Waits until the backup systems are being looked at: what had them in hand may have been killed a moment ago. */
    async watchIsAlive(used: ReadonlySet<'avamar' | 'veeam'>): Promise<void> {
      const managers = { avamar: tenant.managerId, veeam: veeamTenant.managerId };
      const look = async () =>
        new Map(
          (
            await this.rows<{ manager_id: string; tick: string }>(
              'select manager_id, tick from manager_watch where manager_id = any($1)',
              [[...used].map((backup) => managers[backup])],
            )
          ).map(({ manager_id: id, tick }) => [id, tick]),
        );
      const before = await look();
      const isNew = ([id, tick]: readonly [string, string]) => tick !== before.get(id);
      await waitFor(look, (now) => now.size === used.size && [...now].every(isNew), 90_000);
    },

    /** Stops the worker in the middle of whatever it does; answers how to wake it. */
    freezeWorker(): () => void {
      const pids = system.pidsOf('worker');
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      return () => {
        for (const pid of pids) process.kill(pid, 'SIGCONT');
      };
    },

    /** Another worker beside the first. */
    async startSecondWorker(): Promise<void> {
      const log = join(dataDir, 'logs', `worker-2-${randomBytes(3).toString('hex')}.log`);
      const output = openSync(log, 'a');
      second = spawn(process.execPath, ['bin/holdfast.mjs', 'worker'], {
        cwd: ROOT,
        stdio: ['ignore', output, output],
        env: {
          ...process.env,
          ...settings,
          HOLDFAST_DATA_DIR: dataDir,
          DATABASE_URL: databaseUrl,
          TEMPORAL_ADDRESS: temporalAddress,
        },
      });
      closeSync(output);
      const deadline = Date.now() + 60_000;
      while (!readFileSync(log, 'utf8').includes('worker started')) {
        if (Date.now() > deadline || second.exitCode !== null)
          throw new Error(`the second worker did not start: ${log}`);
        await sleep(50);
      }
    },

    async stopSecondWorker(): Promise<void> {
      const child = second;
      second = undefined;
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    },

    /** @param keep leaves the folder with its logs. */
    async close(keep: boolean): Promise<void> {
      await this.stopSecondWorker();
      await pool.end();
      await connection.close();
      if (keep) await system.stop();
      else await system.remove();
    },
  };
}

/** Its time is half a day away: no backup of its own begins in the middle of a trial. */
function policy(managerId: string, code: string, retentionDays: number, configuration: object) {
  const hour = { hour: '2-digit', minute: '2-digit', timeZone: 'Europe/Madrid' } as const;
  const value = new Date(Date.now() + 12 * 3_600_000).toLocaleTimeString('en-GB', hour);
  const configurations = [{ type: 'COMPLETE', time: { mode: 'fixed', value }, ...configuration }];
  return { code, name: code, managerId, retentionDays, configurations };
}

function weekdayIn(days: number): string {
  const day = { weekday: 'long', timeZone: 'Europe/Madrid' } as const;
  return new Date(Date.now() + days * 86_400_000).toLocaleDateString('en-GB', day).toUpperCase();
}

/** Tells a simulator something. @throws Error with its answer when it does not take it. */
async function told(url: string, method: string, body: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
}

async function accepted(answering: Promise<Answer>): Promise<Answer> {
  const answer = await answering;
  if (answer.status >= 300) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

/** Tries again while a part is being started anew. */
export async function patiently<T>(ask: () => Promise<T>, limitMs = OUTAGE_LIMIT_MS): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(200);
    }
  }
}

/** Asks until the answer is as wanted. @returns the last answer, wanted or not, when the time is up. */
export async function waitFor<T>(
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
  limitMs: number,
  everyMs = 100,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (wanted(answer) || Date.now() > deadline) return answer;
    await sleep(everyMs);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
