/**
 * A hypervisor and a backup system that answer at once: a vendor's own time is not the product's. They ask for
 * permission before each write and tell their progress, as often as the real adapters do in a deploy.
 * @module
 */
import type { BackupManagers } from '../../activities/backup-systems/managers.ts';
import { backupManagers } from '../../activities/backup-systems/managers.ts';
import type { BackupSystem } from '../../activities/backup-systems/backup-system.ts';
import type { CallContext } from '../../activities/calls.ts';
import type { Hypervisor } from '../../activities/hypervisors/hypervisor.ts';
import type { Database } from '../../db/connect.ts';
import type { Sealing } from '../../db/sealing.ts';

/** What a port does for each write: the product's fence check, or nothing to see what that costs. */
export type Write = (context: CallContext, purpose: string) => Promise<void>;

/** As `activities/http.ts` does before it sends. */
export const permitted: Write = async (context, purpose) => {
  context.progress(purpose);
  await context.beforeWrite();
};

/** Without the fence check. */
export const unchecked: Write = (context, purpose) => {
  context.progress(purpose);
  return Promise.resolve();
};

const unused = () => Promise.reject(new Error('a deploy does not call this'));

/** A hypervisor that makes nothing and says that it did. Each method of a deploy is one write. */
export function instantHypervisor(write: Write): Hypervisor {
  return {
    allocate: (context, vm) => write(context, `reserve a place for ${vm.name}`),
    async configure(context, vm) {
      await write(context, `create ${vm.name}`);
      return { ref: `vm-${vm.id.slice(-8)}` };
    },
    powerOn: (context, vm) => write(context, `power on ${vm.name}`),
    inspect(context, vm) {
      context.progress(`look at ${vm.name}`);
      const hardware = { cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 20 }] };
      return Promise.resolve({ ref: `vm-${vm.id.slice(-8)}`, power: 'OFF', hardware });
    },
    reconfigure: unused,
    putBack: unused,
    commitDisks: unused,
    register: unused,
    unregister: unused,
    destroy: unused,
    deallocate: unused,
    powerOff: unused,
    machinesOf: unused,
    takeOver: unused,
    removeSuperseded: unused,
  };
}

/** The managers' directory over a backup system that answers at once; their rows are read as always. */
export function instantManagers(db: Database, sealing: Sealing, write: Write): BackupManagers {
  const plugin = { type: 'avamar', connect: () => instantBackupSystem(write) };
  return backupManagers(db, sealing, { get: () => plugin });
}

/** For a new VM Avamar takes four writes: the client, the schedule, the retention and the group. */
function instantBackupSystem(write: Write): BackupSystem {
  const uuid = '0192f0c1-2d3e-7f40-8a5b-6c7d8e9fa0b1';
  return {
    quietPeriodMs: 0,
    async applySchedule(context, vm) {
      const what = ['make it a client', 'create the schedule', 'create the retention', 'create the group'];
      for (const purpose of what) await write(context, purpose);
      const group = { groupId: uuid, scheduleId: uuid, retentionId: uuid, datasetId: null };
      return { vmRef: vm.id, groups: [{ ...group, name: `holdfast-${vm.id}-GOLD-DAILY` }] };
    },
    removeSchedule: unused,
    startBackup: unused,
    startReplication: unused,
    startRestore: unused,
    vmReference: unused,
    cancel: unused,
    result: unused,
    findSession: unused,
    listed: unused,
    check: () =>
      Promise.resolve({
        reachable: true,
        version: null,
        identity: 'bench',
        clockSkewSeconds: 0,
        problems: [],
        policies: [],
      }),
    serverTime: () => Promise.resolve(new Date()),
    sessions: () => Promise.resolve([]),
    sessionsSince: () => Promise.resolve([]),
    async *listResults() {},
  };
}
