/**
 * Operations in one process, with nothing replaced: a real PostgreSQL, a real Temporal server, both simulators over
 * HTTP, and a worker that a test can stop and start.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, type Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { inject } from 'vitest';
import type { BackupPlugin } from '../../../activities/backup-systems/backup-system.ts';
import { backupManagers } from '../../../activities/backup-systems/managers.ts';
import { type BackupPlugins, backupPlugins } from '../../../activities/backup-systems/plugins.ts';
import type { Dependencies } from '../../../activities/dependencies.ts';
import { hypervisorFactory } from '../../../activities/hypervisors/factory.ts';
import { reconcile, type Reconciler, startReconciler } from '../../../activities/reconciler.ts';
import { createWorkers } from '../../../activities/worker.ts';
import { createOperationRequests } from '../../../api/operation-requests.ts';
import type { OperationRow } from '../../../db/operations.ts';
import { openSealing } from '../../../db/sealing.ts';
import { stepsOf } from '../../../db/steps.ts';
import { isTerminal } from '../../../domain/operations.ts';
import type { Principal } from '../../../domain/privileges.ts';
import type { PolicyConfiguration } from '../../../domain/policies.ts';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import type { Settings } from '../../../simulators/veeam/settings.ts';
import { avamarConsole } from '../../avamar-console.ts';
import { testDatabase } from '../database.ts';
import { startVeeamServer, VEEAM_ADMINISTRATOR } from './veeam-server.ts';

const PASSWORD = 'avamar-simulator';

Runtime.install({ logger: new DefaultLogger('ERROR', () => {}), shutdownSignals: [] });

export const DAILY: PolicyConfiguration = {
  type: 'COMPLETE',
  subtype: 'DAILY',
  time: { mode: 'fixed', value: '03:30' },
  days: { mode: 'dont_apply' },
  disks: { mode: 'dont_apply' },
};

/** What a fault switch of a simulator takes. */
export interface Fault {
  readonly method?: string;
  readonly path: string;
  /** A regular expression that the body of the request matches. */
  readonly body?: string;
  readonly when: 'before' | 'after';
  readonly times?: number;
  readonly action:
    | { readonly status: number; readonly body?: unknown }
    | { readonly drop: true }
    | { readonly delayMs: number }
    | { readonly hold: true };
}

export type World = Awaited<ReturnType<typeof startWorld>>;

/**
 * Starts everything; each world has a database and queues of its own.
 * @param options.clock what the worker takes the time to be; by default it is right.
 * @param options.undoRetryMs how long an undo is tried.
 * @param options.stepRetryMs how long a step is tried.
 */
export async function startWorld(
  options: {
    readonly backupSeconds?: number;
    readonly clock?: () => Date;
    readonly undoRetryMs?: number;
    readonly stepRetryMs?: number;
    /** A plugin in the place of the one of its type, made for the hypervisor at that address. */
    readonly plugin?: (hypervisorUrl: string) => BackupPlugin;
    /** The configuration file of the Veeam plugin; without it, the defaults. */
    readonly veeamConfig?: string;
  } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-world-'));
  const database = await testDatabase();
  const { db } = database;
  const hypervisor = await startHypervisorSimulator();
  const avamar = await startAvamarSimulator({
    vcenterUrl: hypervisor.url,
    backupSeconds: options.backupSeconds ?? 1,
    taskSeconds: 0.05,
    password: PASSWORD,
  });
  const address = inject('temporalAddress');
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  const client = new Client({ connection });
  const taskQueue = `test-${randomUUID()}`;
  const periodicTaskQueue = `${taskQueue}-periodic`;
  const sealing = openSealing({ masterKeyFile: undefined, dataDir: folder });
  const limits = {
    stepRetryMs: options.stepRetryMs ?? 3_000,
    undoRetryMs: options.undoRetryMs ?? 6_000,
    startMs: 900_000,
  };
  const intervals = { reconcileMs: 500, watchMs: 250, resultsSyncMs: 1_000, expiryCheckMs: 3_600_000 };
  const log: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => log.push(line) });
  const clock = options.clock ?? (() => new Date());
  const veeamConfigPath = options.veeamConfig === undefined ? undefined : join(folder, 'veeam.yaml');
  if (veeamConfigPath !== undefined) writeFileSync(veeamConfigPath, options.veeamConfig ?? '');
  const loaded = backupPlugins({ avamarConfigPath: undefined, veeamConfigPath }, clock);
  const replaced = options.plugin?.(hypervisor.url);
  const plugins: BackupPlugins = {
    get: (type) => (replaced?.type === type ? replaced : loaded.get(type)),
  };
  const deps: Dependencies = {
    db,
    client,
    hypervisors: hypervisorFactory,
    managers: backupManagers(db, sealing, plugins),
    logger,
    clock,
    limits,
    intervals,
  };
  const requests = createOperationRequests({ db, temporal: client, logger, limits, periodicTaskQueue });

  const reconciling = { intervals, limits, periodicTaskQueue };
  let running: { workers: Worker[]; reconciler: Reconciler; done: Promise<unknown> } | undefined;
  const startWorker = async () => {
    const workers = await createWorkers(deps, {
      connection: native,
      namespace: 'default',
      taskQueue,
      periodicTaskQueue,
      workflowBundle: { codePath: inject('workflowBundle') },
    });
    running = {
      workers,
      reconciler: startReconciler(deps, reconciling),
      done: Promise.all(workers.map((worker) => worker.run())),
    };
  };
  const stopWorker = async () => {
    for (const worker of running?.workers ?? []) worker.shutdown();
    await running?.reconciler.stop();
    await running?.done;
    running = undefined;
  };
  await startWorker();

  const enterprise = await db
    .insertInto('enterprise')
    .values({ name: 'acme' })
    .returning('id')
    .executeTakeFirstOrThrow();
  const datacenter = await db
    .insertInto('datacenter')
    .values({
      name: 'dc-madrid',
      time_zone: 'Europe/Madrid',
      hypervisor_type: 'simulated',
      hypervisor_endpoint: hypervisor.url,
      task_queue: taskQueue,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const insertManager = async (
    manager: { readonly name: string; readonly type: string; readonly endpoint: string },
    credentials = { user: 'MCUser', password: PASSWORD },
  ): Promise<string> => {
    const { id } = await db
      .insertInto('backup_manager')
      .values({ datacenter_id: datacenter.id, ...manager })
      .returning('id')
      .executeTakeFirstOrThrow();
    await db
      .updateTable('backup_manager')
      .set({ credentials_sealed: sealing.seal(JSON.stringify(credentials), `backup_manager/${id}`) })
      .where('id', '=', id)
      .execute();
    return id;
  };
  const insertAvamar = (name: string, url: string): Promise<string> =>
    insertManager({ name, type: 'avamar', endpoint: `${url}/api/v1` });
  const managerId = await insertAvamar('avamar-1', avamar.url);
  const token = await db
    .insertInto('token')
    .values({ role: 'PLATFORM', name: 'platform', hash: Buffer.from(randomUUID()) })
    .returning('id')
    .executeTakeFirstOrThrow();
  const principal: Principal = { tokenId: token.id, name: 'platform', role: 'PLATFORM', enterpriseId: null };

  const newPolicy = async (
    code: string,
    configurations: readonly PolicyConfiguration[] = [DAILY],
    ofManager: string = managerId,
  ) => {
    const policy = await db
      .insertInto('backup_policy')
      .values({
        datacenter_id: datacenter.id,
        manager_id: ofManager,
        code,
        name: code,
        time_zone: 'Europe/Madrid',
        retention_days: 7,
        configurations: JSON.stringify(configurations),
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    await db.insertInto('allowance').values({ enterprise_id: enterprise.id, policy_id: policy.id }).execute();
    return policy.id;
  };

  const newVm = async (name: string, policyIds: readonly string[]) => {
    const vm = await db
      .insertInto('virtual_machine')
      .values({
        enterprise_id: enterprise.id,
        datacenter_id: datacenter.id,
        name,
        cpu: 2,
        memory_mib: 2048,
        disks: JSON.stringify([
          { label: 'system', sizeGiB: 20 },
          { label: 'data', sizeGiB: 50 },
        ]),
        backup_policies: JSON.stringify(policyIds.map((policyId) => ({ policyId, configurations: [] }))),
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    return vm.id;
  };

  const mend = async (url: string): Promise<void> => {
    await fetch(`${url}/_simulator/faults`, { method: 'DELETE' });
  };
  const get = async (url: string) => (await (await fetch(url)).json()) as Record<string, never>;
  const post = async (url: string, body: unknown): Promise<unknown> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    return response.json().catch(() => undefined);
  };
  /** Keeps requests that match waiting on the server until they are let go. */
  const hold = async (url: string, fault: Omit<Fault, 'action'>) => {
    const { id } = (await post(`${url}/_simulator/faults`, { ...fault, action: { hold: true } })) as { id: number };
    return {
      held: () =>
        until(
          `a request to ${url} is held`,
          async () => (await faultsOf(url)).find((one) => one.id === id)?.holding,
          (holding) => holding === 1,
        ),
      letGo: async (): Promise<void> => {
        await fetch(`${url}/_simulator/faults/${id}`, { method: 'DELETE' });
      },
    };
  };

  const operation = (id: string): Promise<OperationRow> =>
    db.selectFrom('operation').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

  const others: { close(): Promise<void> }[] = [];
  /** Another Avamar with a manager of its own in the same datacenter. */
  const newAvamar = async (name: string) => {
    const other = await startAvamarSimulator({
      vcenterUrl: hypervisor.url,
      backupSeconds: options.backupSeconds ?? 1,
      taskSeconds: 0.05,
      password: PASSWORD,
    });
    others.push(other);
    return {
      managerId: await insertAvamar(name, other.url),
      console: await avamarConsole(other.url),
      break: (fault: Fault) => post(`${other.url}/_simulator/faults`, fault),
      mend: () => mend(other.url),
    };
  };

  /** A Veeam server with a manager in the same datacenter; a policy's code there is GOLD or SILVER. */
  const newVeeam = async (name: string, settings: Partial<Settings> = {}) => {
    const server = await startVeeamServer(hypervisor.url, settings);
    others.push(server);
    return {
      ...server,
      managerId: await insertManager({ name, type: 'veeam', endpoint: `${server.url}/api/` }, VEEAM_ADMINISTRATOR),
      break: (fault: Fault) => post(`${server.url}/_simulator/faults`, fault),
      hold: (fault: Omit<Fault, 'action'>) => hold(server.url, fault),
      mend: () => mend(server.url),
    };
  };

  const request = (vmId: string) => ({ principal, vmId, body: {} });
  const ended = (id: string, limitMs?: number) =>
    until(
      `operation ${id} ends`,
      () => operation(id),
      (row) => isTerminal(row.state),
      limitMs,
    );

  const residue = (operationId: string) =>
    db
      .selectFrom('residue')
      .selectAll()
      .where('operation_id', '=', operationId)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
  const avamarAdministrator = await avamarConsole(avamar.url);

  return {
    db,
    deps,
    client,
    newAvamar,
    newVeeam,
    /** A manager of that type in the same datacenter, which a plugin of the test answers for. */
    newManager: (name: string, type: string) => insertManager({ name, type, endpoint: 'http://127.0.0.1:9' }),
    /** A request without options about the VM. */
    request,
    /** A VM that was deployed with these policies. */
    deployed: async (name: string, policyIds: readonly string[]): Promise<string> => {
      const vmId = await newVm(name, policyIds);
      const { operationId } = await requests.deploy(request(vmId));
      const { state, error } = await ended(operationId);
      if (state !== 'SUCCEEDED') throw new Error(`${name} was not deployed: ${state} ${JSON.stringify(error)}`);
      return vmId;
    },
    /** What the operation left behind, in the order in which it was named. */
    residue,
    /** Waits until the operation whose run was lost is another run's. */
    takenOver: (operationId: string) =>
      until(
        'a recovery has taken over',
        () => operation(operationId),
        ({ recovery }) => recovery === 1,
      ),
    /** What of that nobody has cleared yet. */
    uncleared: async (operationId: string) => (await residue(operationId)).filter((row) => row.cleared_at === null),
    /** How the run of the operation failed, as JSON. */
    runFailure: async (operationId: string): Promise<string> => {
      const { workflow_id: workflowId } = await operation(operationId);
      const failure = await client.workflow
        .getHandle(workflowId)
        .result()
        .catch((error: { cause?: unknown }) => error.cause);
      return JSON.stringify(failure);
    },
    /** The names of the groups in Avamar that are the VM's. */
    groups: async (vmId: string): Promise<string[]> =>
      (await avamarAdministrator('GET', '/groups?domain=/&recursive=true&size=500')).content
        .map((group: { name: string }) => group.name)
        .filter((name: string) => name.includes(vmId)),
    log,
    periodicTaskQueue,
    requests,
    principal,
    enterpriseId: enterprise.id,
    datacenterId: datacenter.id,
    managerId,
    intervals,
    avamarUrl: avamar.url,
    hypervisorUrl: hypervisor.url,
    newPolicy,
    newVm,
    startWorker,
    stopWorker,
    operation,
    /** One pass of the reconciler. */
    reconcile: (everything = false) => reconcile(deps, reconciling, everything),
    /** The VM's stored row with its lock. */
    vm: (id: string) =>
      db
        .selectFrom('virtual_machine as vm')
        .leftJoin('vm_lock as l', 'l.vm_id', 'vm.id')
        .selectAll('vm')
        .select(['l.operation_id', 'l.fence', 'l.reason'])
        .where('vm.id', '=', id)
        .executeTakeFirstOrThrow(),
    /** The operation once it has ended. */
    ended,
    /** `NAME STATE/COMPENSATION` for each step. */
    story: async (id: string) =>
      (await stepsOf(db, id)).map((step) =>
        step.compensation === null ? `${step.name} ${step.state}` : `${step.name} ${step.state}/${step.compensation}`,
      ),
    hypervisorVms: async (): Promise<{ id: string | null; power: string; moref: string; annotation?: string }[]> =>
      (await get(`${hypervisor.url}/vms`))['vms'] ?? [],
    hypervisorEffects: async (): Promise<{ kind: string; id: string }[]> =>
      (await get(`${hypervisor.url}/_simulator/effects`))['effects'] ?? [],
    breakHypervisor: (fault: Fault) => post(`${hypervisor.url}/_simulator/faults`, fault),
    holdHypervisor: (fault: Omit<Fault, 'action'>) => hold(hypervisor.url, fault),
    breakAvamar: (fault: Fault) => post(`${avamar.url}/_simulator/faults`, fault),
    holdAvamar: (fault: Omit<Fault, 'action'>) => hold(avamar.url, fault),
    /** How many faults of Avamar are still to come. */
    avamarFaults: async (): Promise<number> => (await faultsOf(avamar.url)).length,
    mendAvamar: () => mend(avamar.url),
    mendHypervisor: () => mend(hypervisor.url),
    /** Waits until the hypervisor holds a request that a fault of action `hold` matches. */
    hypervisorHolds: () =>
      until(
        'the hypervisor holds a request',
        () => holding(hypervisor.url),
        (held) => held > 0,
      ),
    /** The same for Avamar. */
    avamarHolds: () =>
      until(
        'Avamar holds a request',
        () => holding(avamar.url),
        (held) => held > 0,
      ),
    /** Backups that begin from now on take so long. */
    backupsTake: (backupSeconds: number) => post(`${avamar.url}/_simulator/settings`, { backupSeconds }),
    /** Replications that begin from now on take so long. */
    copiesTake: (replicationSeconds: number) => post(`${avamar.url}/_simulator/settings`, { replicationSeconds }),
    avamarOutcome: (outcome: unknown) => post(`${avamar.url}/_simulator/outcomes`, outcome),
    /** Calls the simulated Avamar as its administrator would. */
    avamar: avamarAdministrator,
    stop: async () => {
      await stopWorker();
      await native.close();
      await connection.close();
      for (const other of others) await other.close();
      await avamar.close();
      await hypervisor.close();
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Asks until the answer is as wanted; when it is not in time it fails and shows the last answer. */
export async function until<T>(
  what: string,
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
  limitMs = 25_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`not in time: ${what}; last: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

/** How many requests a simulator holds. */
async function holding(url: string): Promise<number> {
  return (await faultsOf(url)).reduce((sum, fault) => sum + fault.holding, 0);
}

async function faultsOf(url: string): Promise<{ readonly id: number; readonly holding: number }[]> {
  const answer = await fetch(`${url}/_simulator/faults`);
  return ((await answer.json()) as { faults: { id: number; holding: number }[] }).faults;
}
