/**
 * A Veeam Enterprise Manager over a hypervisor, both simulated in this process, and the plugins that talk to them.
 * @module
 */
import {
  type BackupSystem,
  type ManagerConnection,
  type ProtectedVm,
  Secret,
} from '../../../activities/backup-systems/backup-system.ts';
import { loadVeeamConfig, type VeeamConfig } from '../../../activities/backup-systems/veeam/config.ts';
import { veeamPlugin } from '../../../activities/backup-systems/veeam/plugin.ts';
import { simulatedHypervisor } from '../../../activities/hypervisors/simulated/simulated-hypervisor.ts';
import type { Tls } from '../../../db/columns.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import { startVeeamSimulator, type VeeamSimulatorOptions } from '../../../simulators/veeam/start.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { until } from './avamar-world.ts';

const PASSWORD = 'veeam-simulator';
const HARDWARE = { cpu: 1, memoryMiB: 512, disks: [{ label: 'Hard disk 1', sizeGiB: 1 }] };

/** Nothing takes long, and nothing is late, unless a test wants it so. */
const QUICK = {
  backupSeconds: 0.1,
  restoreSeconds: 0.1,
  taskSeconds: 0.02,
  collectSeconds: 0.02,
  includeSeconds: 0.05,
  lookupSeconds: 0,
  pointReadySeconds: 0,
};

/** A job as the administrator of the server sees it. */
export interface SeenJob {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly scheduleConfigured: boolean;
  readonly scheduleEnabled: boolean;
  readonly schedule: Readonly<Record<string, any>>;
  readonly retention: Readonly<Record<string, unknown>>;
  readonly includes: readonly { readonly ref: string; readonly name: string }[];
}

export type VeeamWorld = Awaited<ReturnType<typeof startVeeamWorld>>;

export async function startVeeamWorld(options: Partial<VeeamSimulatorOptions> = {}) {
  const hypervisorServer = await startHypervisorSimulator();
  const server = await startVeeamSimulator({
    ...options,
    vcenterUrl: hypervisorServer.url,
    settings: { ...QUICK, ...options.settings },
  });
  const hypervisor = simulatedHypervisor({ endpoint: hypervisorServer.url, name: 'dc-1' });
  const context = openContext();
  const manager = (more: Partial<ManagerConnection> = {}): ManagerConnection => ({
    id: '0198a1b2-0000-7000-8000-00000000000b',
    name: 'veeam-1',
    endpoint: `${server.url}/api/`,
    credentials: { user: 'Administrator', password: new Secret(PASSWORD) },
    tls: { mode: 'system' } satisfies Tls,
    ...more,
  });
  /** Another process: a plugin that remembers nothing. */
  const connect = (more: Partial<ManagerConnection> = {}, config: Partial<VeeamConfig> = {}): BackupSystem => {
    const defaults = { ...loadVeeamConfig(undefined), taskTimeoutSeconds: 10, includeTimeoutSeconds: 3 };
    return veeamPlugin({ clock: () => new Date(), config: { ...defaults, ...config } }).connect(manager(more));
  };
  const control = async (path: string, body?: unknown, method = 'POST'): Promise<any> => {
    const response = await fetch(`${server.url}/_simulator${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  const jobs = async (): Promise<SeenJob[]> => ((await control('/jobs', undefined, 'GET')) as { jobs: SeenJob[] }).jobs;

  return {
    hypervisor,
    hypervisorUrl: hypervisorServer.url,
    veeamUrl: server.url,
    context,
    connect,
    control,
    fault: (fault: unknown) => control('/faults', fault),
    async healthy(): Promise<void> {
      for (const path of ['/faults', '/pages', '/outcomes']) await control(path, undefined, 'DELETE');
    },
    advance: (advanceSeconds: number) => control('/clock', { advanceSeconds }),
    settings: (settings: unknown) => control('/settings', settings),
    endSessions: () => control('/sessions', undefined, 'DELETE'),
    async now(): Promise<Date> {
      return new Date(((await control('/clock', undefined, 'GET')) as { now: string }).now);
    },
    /** How often each call came, by method and path. */
    async requests(): Promise<Record<string, number>> {
      return ((await control('/requests', undefined, 'GET')) as { counts: Record<string, number> }).counts;
    },
    /** How many calls came in all, those to log in left out. */
    async calls(): Promise<number> {
      const counts = ((await control('/requests', undefined, 'GET')) as { counts: Record<string, number> }).counts;
      const isCall = (name: string) => !/sessionMngr|\/api\/?$|_simulator/.test(name);
      return Object.entries(counts).reduce((sum, [name, count]) => (isCall(name) ? sum + count : sum), 0);
    },
    jobs,
    async job(vm: ProtectedVm): Promise<SeenJob | undefined> {
      return (await jobs()).find(({ name }) => name === `holdfast-${vm.id}`);
    },
    changeJob: (id: string, change: unknown) => control(`/jobs/${id}`, change, 'PATCH'),
    deleteJob: (id: string) => control(`/jobs/${id}`, undefined, 'DELETE'),
    startJob: (id: string) => control(`/jobs/${id}/start`, undefined),
    /** A VM that runs in the hypervisor. */
    async deploy(name: string, id: string = crypto.randomUUID()): Promise<ProtectedVm> {
      await hypervisor.allocate(context, { id, name }, HARDWARE);
      const { ref } = await hypervisor.configure(context, { id, name }, HARDWARE);
      return { id, name, hypervisorRef: ref, vendorRefs: [] };
    },
    async undeploy(vm: ProtectedVm): Promise<void> {
      await hypervisor.destroy(context, vm);
      await hypervisor.deallocate(context, vm);
    },
    async disk(vm: ProtectedVm, content?: string): Promise<string> {
      const url = `${hypervisorServer.url}/vms/${vm.id}/disks/Hard%20disk%201/content`;
      const change = content === undefined ? {} : { method: 'PUT', body: JSON.stringify({ content }) };
      return ((await (await fetch(url, change)).json()) as { content: string }).content;
    },
    async close(): Promise<void> {
      await server.close();
      await hypervisorServer.close();
    },
  };
}

export { openContext, until };
export { daily, ended, scheduleOf } from './avamar-world.ts';
