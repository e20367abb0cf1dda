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
import { openSealing } from '../../../db/sealing.ts';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import type { Settings } from '../../../simulators/veeam/settings.ts';
import { avamarConsole, newDestination } from '../../avamar-console.ts';
import { testDatabase } from '../database.ts';
import { ownNamespace } from '../temporal-namespace.ts';
import { AVAMAR_PASSWORD, openEstate } from './estate.ts';
import { faultsOf, post } from './faults.ts';
import { recordsOf } from './records.ts';
import { startVeeamServer, VEEAM_ADMINISTRATOR } from './veeam-server.ts';

export { DAILY } from './estate.ts';
export type { Fault } from './faults.ts';
export { until } from './until.ts';

Runtime.install({ logger: new DefaultLogger('ERROR', () => {}), shutdownSignals: [] });

export type World = Awaited<ReturnType<typeof startWorld>>;

/**
 * Starts everything; each world has a database, a namespace and queues of its own.
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
  const startAvamar = () =>
    startAvamarSimulator({
      vcenterUrl: hypervisor.url,
      backupSeconds: options.backupSeconds ?? 1,
      taskSeconds: 0.05,
      password: AVAMAR_PASSWORD,
    });
  const avamar = await startAvamar();
  const address = inject('temporalAddress');
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  // Of its own, as every reconciler wakes the runs that no operation of its database is waiting for.
  const namespace = await ownNamespace(connection, 'world');
  const client = new Client({ connection, namespace });
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
      namespace,
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

  const { newManager, newAvamarManager, ...estate } = await openEstate(db, sealing, {
    hypervisorUrl: hypervisor.url,
    taskQueue,
    avamarUrl: avamar.url,
  });
  const records = recordsOf(db, client);
  const inHypervisor = faultsOf(hypervisor.url, 'the hypervisor');
  const inAvamar = faultsOf(avamar.url, 'Avamar');
  const get = async (url: string) => (await (await fetch(url)).json()) as Record<string, never>;
  const others: { close(): Promise<void> }[] = [];
  /** Another Avamar with a manager of its own in the same datacenter. */
  const newAvamar = async (name: string) => {
    const other = await startAvamar();
    others.push(other);
    return {
      ...faultsOf(other.url, name),
      managerId: await newAvamarManager(name, other.url),
      console: await avamarConsole(other.url),
    };
  };

  /** A Veeam server with a manager in the same datacenter; a policy's code there is GOLD or SILVER. */
  const newVeeam = async (name: string, settings: Partial<Settings> = {}) => {
    const server = await startVeeamServer(hypervisor.url, settings);
    others.push(server);
    return {
      ...server,
      ...faultsOf(server.url, name),
      managerId: await newManager({ name, type: 'veeam', endpoint: `${server.url}/api/` }, VEEAM_ADMINISTRATOR),
    };
  };

  const request = (vmId: string) => ({ principal: estate.principal, vmId, body: {} });
  const avamarAdministrator = await avamarConsole(avamar.url);

  return {
    db,
    deps,
    client,
    newAvamar,
    newVeeam,
    /** A manager of that type in the same datacenter, which a plugin of the test answers for. */
    newManager: (name: string, type: string) => newManager({ name, type, endpoint: 'http://127.0.0.1:9' }),
    /** A request without options about the VM. */
    request,
    /** A VM that was deployed with these policies. */
    deployed: async (name: string, policyIds: readonly string[]): Promise<string> => {
      const vmId = await estate.newVm(name, policyIds);
      const { operationId } = await requests.deploy(request(vmId));
      const { state, error } = await records.ended(operationId);
      if (state !== 'SUCCEEDED') throw new Error(`${name} was not deployed: ${state} ${JSON.stringify(error)}`);
      return vmId;
    },
    /** The names of the groups in Avamar that are the VM's. */
    groups: async (vmId: string): Promise<string[]> =>
      (await avamarAdministrator('GET', '/groups?domain=/&recursive=true&size=500')).content
        .map((group: { name: string }) => group.name)
        .filter((name: string) => name.includes(vmId)),
    log,
    periodicTaskQueue,
    requests,
    ...records,
    ...estate,
    intervals,
    avamarUrl: avamar.url,
    hypervisorUrl: hypervisor.url,
    startWorker,
    stopWorker,
    /** One pass of the reconciler. */
    reconcile: (everything = false) => reconcile(deps, reconciling, everything),
    hypervisorVms: async (): Promise<{ id: string | null; power: string; moref: string; annotation?: string }[]> =>
      (await get(`${hypervisor.url}/vms`))['vms'] ?? [],
    hypervisorEffects: async (): Promise<{ kind: string; id: string }[]> =>
      (await get(`${hypervisor.url}/_simulator/effects`))['effects'] ?? [],
    breakHypervisor: inHypervisor.break,
    holdHypervisor: inHypervisor.hold,
    mendHypervisor: inHypervisor.mend,
    hypervisorHolds: inHypervisor.holds,
    breakAvamar: inAvamar.break,
    holdAvamar: inAvamar.hold,
    mendAvamar: inAvamar.mend,
    avamarHolds: inAvamar.holds,
    /** How many faults of Avamar are still to come. */
    avamarFaults: inAvamar.left,
    /** Backups that begin from now on take so long. */
    backupsTake: (backupSeconds: number) => post(`${avamar.url}/_simulator/settings`, { backupSeconds }),
    /** Replications that begin from now on take so long. */
    copiesTake: (replicationSeconds: number) => post(`${avamar.url}/_simulator/settings`, { replicationSeconds }),
    avamarOutcome: (outcome: unknown) => post(`${avamar.url}/_simulator/outcomes`, outcome),
    /** Calls the simulated Avamar as its administrator would. */
    avamar: avamarAdministrator,
    /** A server that Avamar can copy backups to. */
    newDestination: (name: string) => newDestination(avamarAdministrator, name),
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
