/**
 * An Avamar server over a hypervisor, both simulated in this process, and the plugins that talk to them.
 * @module
 */
import { rememberedWrites } from '../../named-writes.ts';
import type { CallContext, NamingContext } from '../../../activities/calls.ts';
import { loadAvamarConfig } from '../../../activities/backup-systems/avamar/config.ts';
import { avamarPlugin } from '../../../activities/backup-systems/avamar/plugin.ts';
import {
  type BackupSystem,
  type ManagerConnection,
  type ProtectedVm,
  Secret,
  type SessionReport,
} from '../../../activities/backup-systems/backup-system.ts';
import { simulatedHypervisor } from '../../../activities/hypervisors/simulated/simulated-hypervisor.ts';
import type { BackupSchedule, ScheduledBackup } from '../../../domain/schedules.ts';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import { avamarAdministration } from '../../conformance/avamar-administration.ts';

const PASSWORD = 'avamar-simulator';
const HARDWARE = {
  cpu: 1,
  memoryMiB: 512,
  disks: [
    { label: 'Hard disk 1', sizeGiB: 1 },
    { label: 'Hard disk 2', sizeGiB: 1 },
  ],
};

/** A context that permits everything; `writes` counts the permissions that were asked for. */
export function openContext(): NamingContext & { writes: number } {
  return {
    signal: new AbortController().signal,
    progress: () => {},
    writes: 0,
    namedWrites: rememberedWrites,
    async beforeWrite() {
      this.writes += 1;
    },
  };
}

export function daily(time: string, more: Partial<ScheduledBackup> = {}): ScheduledBackup {
  return { type: 'COMPLETE', subtype: 'DAILY', time, days: null, disks: null, ...more };
}

export function scheduleOf(
  backups: readonly ScheduledBackup[],
  more: Partial<BackupSchedule['policies'][number]> = {},
): BackupSchedule {
  const policy = { policyId: 'p1', code: 'GOLD', name: 'Gold', replication: false, timeZone: 'Europe/Madrid' };
  return { managerId: 'm1', policies: [{ ...policy, retentionDays: 7, backups, ...more }] };
}

export type AvamarWorld = Awaited<ReturnType<typeof startAvamarWorld>>;

export async function startAvamarWorld(options: { backupSeconds?: number; taskSeconds?: number; zone?: string } = {}) {
  const hypervisorServer = await startHypervisorSimulator();
  const avamarServer = await startAvamarSimulator({
    vcenterUrl: hypervisorServer.url,
    taskSeconds: options.taskSeconds ?? 0.05,
    backupSeconds: options.backupSeconds ?? 0.2,
    ...(options.zone === undefined ? {} : { timeZoneId: options.zone }),
  });
  const hypervisor = simulatedHypervisor({ endpoint: hypervisorServer.url, name: 'dc-1' });
  const context = openContext();
  const manager = (more: Partial<ManagerConnection> = {}): ManagerConnection => ({
    id: '0198a1b2-0000-7000-8000-00000000000a',
    name: 'avamar-1',
    endpoint: `${avamarServer.url}/api/v1`,
    credentials: { user: 'MCUser', password: new Secret(PASSWORD) },
    tls: { mode: 'system' },
    ...more,
  });
  /** Another process: a plugin that remembers no login. */
  const connect = (more: Partial<ManagerConnection> = {}): BackupSystem =>
    avamarPlugin({ clock: () => new Date(), config: loadAvamarConfig(undefined) }).connect(manager(more));
  const control = async (path: string, body: unknown, method = 'POST'): Promise<unknown> => {
    const response = await fetch(`${avamarServer.url}/_simulator${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  };
  /** A person at the console, with a login of their own. */
  const administration = await avamarAdministration(avamarServer.url, 'MCUser', PASSWORD);

  return {
    hypervisor,
    hypervisorUrl: hypervisorServer.url,
    avamarUrl: avamarServer.url,
    context,
    connect,
    atConsole: (method: string, path: string, body?: unknown) => administration.call(method, path, body),
    administration,
    fault: (fault: unknown) => control('/faults', fault),
    noFaults: () => control('/faults', undefined, 'DELETE'),
    advance: (advanceSeconds: number) => control('/clock', { advanceSeconds }),
    outcome: (outcome: unknown) => control('/outcomes', outcome),
    settings: (settings: unknown) => control('/settings', settings),
    async requests(): Promise<Record<string, number>> {
      const { counts } = (await (await fetch(`${avamarServer.url}/_simulator/requests`)).json()) as {
        counts: Record<string, number>;
      };
      return counts;
    },
    inventory: () => administration.inventory(),
    clients: () => administration.clients(),
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
      await avamarServer.close();
      await hypervisorServer.close();
    },
  };
}

/** Asks until the answer is as hoped for. @throws Error after 10 s. */
export async function until<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`Still ${JSON.stringify(answer)} after 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The session once it has ended. */
export function ended(system: BackupSystem, context: CallContext, id: string): Promise<SessionReport> {
  const look = async () => (await system.sessions(context, [id]))[0];
  return until(look, (report) => report !== undefined && report.endedAt !== null) as Promise<SessionReport>;
}
