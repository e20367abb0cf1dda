/**
 * An Avamar server over a hypervisor, both simulated in this process, and the plugins that talk to them.
 * @module
 */
import type { CallContext } from '../../../activities/calls.ts';
import { type AvamarConfig, loadAvamarConfig } from '../../../activities/backup-systems/avamar/config.ts';
import { avamarPlugin } from '../../../activities/backup-systems/avamar/plugin.ts';
import {
  type BackupSystem,
  type ManagerConnection,
  type ProtectedVm,
  Secret,
  type SessionReport,
} from '../../../activities/backup-systems/backup-system.ts';
import type { BackupSchedule, ScheduledBackup } from '../../../domain/schedules.ts';
import { startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';
import { avamarAdministration } from '../../conformance/avamar-administration.ts';
import { backupOf, openContext, scheduleOf as scheduleWith, until as patiently } from '../../conformance/port-calls.ts';
import { simulatedMachines } from '../../conformance/simulated-machines.ts';

const PASSWORD = 'avamar-simulator';

export const daily = (time: string, more: Partial<ScheduledBackup> = {}): ScheduledBackup =>
  backupOf('DAILY', { time, ...more });

export const scheduleOf = (
  backups: readonly ScheduledBackup[],
  more: Partial<BackupSchedule['policies'][number]> = {},
): BackupSchedule => scheduleWith('GOLD', backups, more);

export type AvamarWorld = Awaited<ReturnType<typeof startAvamarWorld>>;

export async function startAvamarWorld(options: { backupSeconds?: number; taskSeconds?: number; zone?: string } = {}) {
  const hypervisorServer = await startHypervisorSimulator();
  const avamarServer = await startAvamarSimulator({
    vcenterUrl: hypervisorServer.url,
    taskSeconds: options.taskSeconds ?? 0.05,
    backupSeconds: options.backupSeconds ?? 0.2,
    ...(options.zone === undefined ? {} : { timeZoneId: options.zone }),
  });
  const machines = simulatedMachines(hypervisorServer.url);
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
  const connect = (more: Partial<ManagerConnection> = {}, config: Partial<AvamarConfig> = {}): BackupSystem =>
    avamarPlugin({ clock: () => new Date(), config: { ...loadAvamarConfig(undefined), ...config } }).connect(
      manager(more),
    );
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
    /** The replication groups whose names begin so. */
    replicationGroups: async (prefix: string) =>
      (await administration.inventory()).replicationGroups.filter(({ name }) => name.startsWith(prefix)),
    /** A server that backups can be copied to. @returns its id. */
    destination: (name: string) => administration.destination(name),
    /** A VM that runs in the hypervisor. */
    deploy: (name: string): Promise<ProtectedVm> => machines.deploy(name, crypto.randomUUID()),
    /** The same VM as another machine, as after an undeploy and a deploy. */
    async redeploy(vm: ProtectedVm): Promise<ProtectedVm> {
      await machines.undeploy(vm);
      return machines.deploy(vm.name, vm.id);
    },
    async close(): Promise<void> {
      await avamarServer.close();
      await hypervisorServer.close();
    },
  };
}

/** Asks until the answer is as hoped for. @throws Error after 10 s. */
export const until = <T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> =>
  patiently({ patienceMs: 10_000 }, ask, isSo);

/** The session once it has ended. */
export function ended(system: BackupSystem, context: CallContext, id: string): Promise<SessionReport> {
  const look = async () => (await system.sessions(context, [id]))[0];
  return until(look, (report) => report !== undefined && report.endedAt !== null) as Promise<SessionReport>;
}
