/**
 * What a virtual machine is, which states it can be in, and what may be done to it in each.
 * @module
 */
import type { OperationKind } from './operations.ts';

/** The states a VM is stored in. `LOCKED` is not one of them: it is derived from the lock when a VM is read. */
export const VM_STATES = ['NOT_ALLOCATED', 'ALLOCATED', 'CONFIGURED', 'ON', 'PAUSED', 'OFF', 'UNKNOWN'] as const;
export type VmState = (typeof VM_STATES)[number];

/** What a client reads: the stored state, or `LOCKED` while an operation holds the VM. */
export type VisibleVmState = VmState | 'LOCKED';

/** States in which the VM exists in the hypervisor and has been started: Abiquo calls these "deployed". */
export const DEPLOYED_STATES = ['ON', 'OFF', 'PAUSED'] as const satisfies readonly VmState[];

export type PowerState = 'ON' | 'OFF';

/** A disk; `label` is unique within its VM and stays for the disk's life. */
export interface Disk {
  readonly label: string;
  readonly sizeGiB: number;
}

/** The hardware of a VM: memory in MiB, disks in GiB. */
export interface Hardware {
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly disks: readonly Disk[];
}

/**
 * The states from which each operation may begin (Abiquo VM-7, VM-12, BC-42, BC-43 and its transition table).
 * An undeploy is also allowed from `UNKNOWN` and `CONFIGURED`: it is the way out of a half-made VM.
 */
export const ALLOWED_FROM: Readonly<Record<OperationKind, readonly VmState[]>> = {
  REGISTER: ['NOT_ALLOCATED'],
  DEPLOY: ['NOT_ALLOCATED'],
  RECONFIGURE: ['ON', 'OFF'],
  UNDEPLOY: ['ON', 'OFF', 'PAUSED', 'UNKNOWN', 'ALLOCATED', 'CONFIGURED'],
  POWER_ON: ['OFF', 'CONFIGURED'],
  POWER_OFF: ['ON'],
  BACKUP: DEPLOYED_STATES,
  SCHEDULED_BACKUP: VM_STATES,
  RESTORE: DEPLOYED_STATES,
  SCHEDULE_REFRESH: DEPLOYED_STATES,
  CLEANUP: VM_STATES,
};

/** Whether two hardware descriptions are the same, whatever the order of their disks. */
export function sameHardware(a: Hardware, b: Hardware): boolean {
  return a.cpu === b.cpu && a.memoryMiB === b.memoryMiB && sameDisks(a.disks, b.disks);
}

/** What becomes of the disks of a VM; a label that is kept means the same disk. */
export interface DiskChanges {
  readonly added: readonly Disk[];
  /** With their new size. */
  readonly grown: readonly Disk[];
  /** With the size that they are asked to have: nobody can give them that without losing what is on them. */
  readonly shrunk: readonly Disk[];
  /** As they are now. */
  readonly removed: readonly Disk[];
}

/** What has to happen to the disks that are there so that they become the wanted ones. */
export function diskChanges(current: readonly Disk[], wanted: readonly Disk[]): DiskChanges {
  const sizes = new Map(current.map((disk) => [disk.label, disk.sizeGiB]));
  const labels = new Set(wanted.map((disk) => disk.label));
  const size = (disk: Disk): number => sizes.get(disk.label) ?? disk.sizeGiB;
  return {
    added: wanted.filter((disk) => !sizes.has(disk.label)),
    grown: wanted.filter((disk) => disk.sizeGiB > size(disk)),
    shrunk: wanted.filter((disk) => disk.sizeGiB < size(disk)),
    removed: current.filter((disk) => !labels.has(disk.label)),
  };
}

/** The hardware without the disks that bear another label than these. */
export function onlyDisks(hardware: Hardware, labels: readonly string[]): Hardware {
  return { ...hardware, disks: hardware.disks.filter((disk) => labels.includes(disk.label)) };
}

/** Whether two lists hold the same disks with the same sizes, in any order. */
export function sameDisks(a: readonly Disk[], b: readonly Disk[]): boolean {
  if (a.length !== b.length) return false;
  const sizes = new Map(a.map((disk) => [disk.label, disk.sizeGiB]));
  return b.every((disk) => sizes.get(disk.label) === disk.sizeGiB);
}
