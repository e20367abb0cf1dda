/**
 * A backup system in this process that restores as a machine of its own, as Veeam does, over a hypervisor that is real
 * as far as anybody can tell. A test decides what it does with the machine that was there and what it tells.
 */
import type {
  BackupPlugin,
  BackupSystem,
  ListedVm,
  ResultReport,
  SessionReport,
} from '../../../activities/backup-systems/backup-system.ts';
import { ExternalSystemError } from '../../../activities/calls.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import { type Machine, linkToVCenter } from '../../../simulators/hypervisor/vcenter-link.ts';
import { startWorld } from './world.ts';

/** What a restore does, and what it says of it. */
export interface RestoreManner {
  /** Removes the machine that was backed up, if it is there. */
  readonly replaces: boolean;
  readonly tells: boolean;
  /** How many machines it makes. */
  readonly makes: number;
  readonly ends: 'SUCCEEDED' | 'FAILED';
}

const MANNER: RestoreManner = { replaces: false, tells: false, makes: 1, ends: 'SUCCEEDED' };

interface Backup extends ResultReport {
  readonly machine: Machine;
  readonly contents: Readonly<Record<string, string>>;
}

const refused = (message: string) =>
  new ExternalSystemError({ kind: 'REFUSED', system: 'BACKUP_SYSTEM', message, vendorMessage: message });

/** Makes the backup system; `plugin` is of type `veeam`, so that the rules of that type hold. */
export function restoringBeside(hypervisorUrl: string) {
  const vcenter = linkToVCenter(hypervisorUrl);
  const sessions = new Map<string, SessionReport>();
  const backups = new Map<string, Backup>();
  const control = {
    manner: MANNER,
    /** What each schedule is for: the machine by VM. */
    scheduled: new Map<string, string | null>(),
    /** How often a schedule was applied. */
    applied: 0,
    refuses: false,
    unreachable: false,
    refreshAt: undefined as string | undefined,
    /** The date that is told of each backup. */
    expiry: { expiresAt: null, expiryEstimated: true } as { expiresAt: Date | null; expiryEstimated: boolean },
    /** The schedule that came with the newest question for the backups of a machine. */
    asked: new Map<string, BackupSchedule | null>(),
  };
  const urn = (moref: string | null): string => `urn:${moref}`;

  const restore = async (backup: Backup, scheduled: boolean): Promise<string> => {
    const { replaces, tells, makes, ends } = control.manner;
    const { machine, contents } = backup;
    if (replaces && (await vcenter.machine(machine.moref)) !== undefined) {
      await vcenter.power(machine.moref, 'OFF');
      await vcenter.remove(machine.moref);
    }
    const disks = machine.disks.map((disk) => ({ ...disk, content: contents[disk.label] ?? '' }));
    const { name, cpu, memoryMiB, annotation } = machine;
    const made: Machine[] = [];
    for (let number = 0; number < makes; number += 1) {
      made.push(await vcenter.create({ name, cpu, memoryMiB, disks, annotation }));
    }
    const vendorSessionId = `restore-${sessions.size + 1}`;
    sessions.set(vendorSessionId, {
      vendorSessionId,
      kind: 'RESTORE',
      vendorVmRef: backup.vendorVmRef,
      state: ends,
      progress: 100,
      scheduled,
      scheduledBy: null,
      startedAt: new Date(),
      endedAt: new Date(),
      vendorBackupId: backup.vendorBackupId,
      restoredVmRef: tells ? (made[0]?.moref ?? null) : null,
      sizeBytes: null,
      message: ends === 'FAILED' ? 'the datastore is full' : null,
    });
    return vendorSessionId;
  };

  const reportOf = ({ machine: _machine, contents: _contents, ...report }: Backup): ResultReport => ({
    ...report,
    copies: [{ location: 'Local', locationName: null, vendorId: report.vendorBackupId, ...control.expiry }],
  });

  const system: BackupSystem = {
    quietPeriodMs: 1_000,
    check: () => {
      const found = { reachable: true, version: '1', identity: 'beside', clockSkewSeconds: 0 };
      return Promise.resolve({ ...found, problems: [], policies: [] });
    },
    serverTime: () => Promise.resolve(new Date()),
    async applySchedule(context, vm, _schedule) {
      if (control.unreachable) {
        throw new ExternalSystemError({ kind: 'UNREACHABLE', system: 'BACKUP_SYSTEM', message: 'nobody answers' });
      }
      await context.beforeWrite();
      if (control.refuses) throw refused('the job is being edited');
      control.applied += 1;
      control.scheduled.set(vm.id, vm.hypervisorRef);
      const { refreshAt } = control;
      return { vmRef: urn(vm.hypervisorRef), ...(refreshAt === undefined ? {} : { refreshAt }) };
    },
    async removeSchedule(context, vm) {
      await context.beforeWrite();
      control.scheduled.delete(vm.id);
    },
    startBackup: () => Promise.reject(refused('it makes backups by schedule only')),
    startReplication: () => Promise.reject(refused('it copies no backups')),
    async startRestore(context, _vm, copy) {
      const backup = backups.get(copy.vendorId);
      if (backup === undefined) throw refused('there is no such backup');
      await context.beforeWrite();
      return { vendorSessionId: await restore(backup, false), vendorVmRef: backup.vendorVmRef };
    },
    vmReference: (_context, vm) => Promise.resolve(urn(vm.hypervisorRef)),
    findSession: () => Promise.resolve('NONE'),
    sessions: (_context, ids) => Promise.resolve(ids.flatMap((id) => sessions.get(id) ?? [])),
    sessionsSince: (_context, since) =>
      Promise.resolve([...sessions.values()].filter(({ startedAt }) => startedAt >= since)),
    cancel: () => Promise.reject(refused('a restore is not stopped')),
    async *listResults(_context, vms: readonly ListedVm[]) {
      for (const { vendorVmRef, schedule } of vms) {
        control.asked.set(vendorVmRef, schedule);
        for (const backup of backups.values()) if (backup.vendorVmRef === vendorVmRef) yield reportOf(backup);
      }
    },
    result: (_context, _vm, id) => {
      const backup = backups.get(id);
      return Promise.resolve(backup === undefined ? undefined : reportOf(backup));
    },
    listed: () => Promise.resolve(new Set()),
  };
  const plugin: BackupPlugin = { type: 'veeam', connect: () => system };

  return {
    plugin,
    control,
    /** A backup of that machine as it is now. @returns its id. */
    async backUp(moref: string): Promise<string> {
      const machine = await vcenter.machine(moref);
      if (machine === undefined) throw new Error(`there is no machine ${moref}`);
      const vendorBackupId = `point-${backups.size + 1}`;
      const contents = await vcenter.contents(moref);
      const name = `${machine.name} ${vendorBackupId}`;
      const report = { vendorBackupId, vendorVmRef: urn(moref), name, createdAt: new Date(), sizeBytes: 1, copies: [] };
      backups.set(vendorBackupId, { ...report, machine, contents });
      return vendorBackupId;
    },
    /** A restore that somebody begins at the console. */
    async restoreAtConsole(vendorBackupId: string): Promise<void> {
      const backup = backups.get(vendorBackupId);
      if (backup === undefined) throw new Error(`there is no backup ${vendorBackupId}`);
      await restore(backup, false);
    },
    /** From now on a restore is done so. */
    restores: (manner: Partial<RestoreManner>) => {
      control.manner = { ...MANNER, ...manner };
    },
  };
}

/** A world with such a plugin in the place of Veeam's, a manager of it and a policy. */
export async function startWorldBeside() {
  let veeam: ReturnType<typeof restoringBeside> | undefined;
  const world = await startWorld({
    plugin: (url) => {
      veeam = restoringBeside(url);
      return veeam.plugin;
    },
  });
  if (veeam === undefined) throw new Error('the world has not asked for the plugin');
  const managerId = await world.newManager('veeam-1', 'veeam');
  return { world, veeam, managerId, gold: await world.newPolicy('VEEAM-GOLD', undefined, managerId) };
}
