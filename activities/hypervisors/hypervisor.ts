/**
 * The port to a hypervisor. Every method is idempotent by the VM's id: called again after a lost answer it does
 * nothing more and answers the same.
 * @module
 */
import type { Disk, Hardware, PowerState } from '../../domain/virtual-machines.ts';
import type { CallContext } from '../calls.ts';
import type { OnCall } from '../http.ts';

/** What the hypervisor needs to know of a VM. */
export interface VmIdentity {
  readonly id: string;
  readonly name: string;
}

/** What a VM is like in the hypervisor. */
export interface InspectedVm {
  /** What the hypervisor calls it, for example `vm-12`; a new one after every deploy. */
  readonly ref: string;
  readonly power: PowerState;
  readonly hardware: Hardware;
}

/** A machine that bears the mark of a VM. */
export interface MarkedMachine extends InspectedVm {
  /** Whether it is the VM now; others were restored beside it, or have been it before. */
  readonly isVm: boolean;
}

/** Changes of a VM's hardware that can be taken back. */
export interface HardwareChange {
  readonly cpu: number;
  readonly memoryMiB: number;
  /** New disks, empty. */
  readonly attach: readonly Disk[];
  /** Labels of disks to detach; they keep what is on them. */
  readonly detach: readonly string[];
}

/** How a `HardwareChange` is taken back. */
export interface PreviousHardware {
  readonly cpu: number;
  readonly memoryMiB: number;
  /** Labels of disks that were detached. */
  readonly attach: readonly string[];
  /** Labels of disks that were new. */
  readonly remove: readonly string[];
}

/** Changes of a VM's disks that cannot be taken back. */
export interface FinalDiskChanges {
  /** With their new sizes. */
  readonly grow: readonly Disk[];
  /** Labels of detached disks to delete with what is on them. */
  readonly remove: readonly string[];
}

/**
 * Disks that a change does not name are never touched: a disk of which Holdfast knows nothing may be somebody's only
 * copy.
 * @throws ExternalSystemError from every method.
 */
export interface Hypervisor {
  /** Reserves a place for the VM. */
  allocate(context: CallContext, vm: VmIdentity, hardware: Hardware): Promise<void>;
  /** Creates the VM in its place, switched off, with the VM's mark in its annotation. */
  configure(context: CallContext, vm: VmIdentity, hardware: Hardware): Promise<{ readonly ref: string }>;
  /**
   * Gives the VM this cpu and memory, attaches new disks and detaches others without deleting them. What is so already
   * stays so. A new disk whose label a detached one bears is refused.
   */
  reconfigure(context: CallContext, vm: VmIdentity, change: HardwareChange): Promise<void>;
  /**
   * Takes `reconfigure` back, whether or not it had its effect: cpu and memory as they were, detached disks attached
   * with what is on them, new ones deleted. A new disk that was never attached is not there to be deleted.
   */
  putBack(context: CallContext, vm: VmIdentity, previous: PreviousHardware): Promise<void>;
  /**
   * Grows disks, then deletes others; there is no way back. A disk that is large enough already, or gone already, is
   * left as it is. When growing is refused nothing is deleted. Only a detached disk is deleted: where one that is named
   * is attached everything is refused.
   */
  commitDisks(context: CallContext, vm: VmIdentity, changes: FinalDiskChanges): Promise<void>;
  /** Removes the VM with its disks; absent is success. It must be off. */
  destroy(context: CallContext, vm: VmIdentity): Promise<void>;
  /** Gives the place back; absent is success. */
  deallocate(context: CallContext, vm: VmIdentity): Promise<void>;
  powerOn(context: CallContext, vm: VmIdentity): Promise<void>;
  powerOff(context: CallContext, vm: VmIdentity): Promise<void>;
  /**
   * Takes over a machine that is there already: marks it with the VM's id, by which every other method finds it, and
   * changes nothing else but its annotation, which bears the mark too. Answers what `inspect` answers.
   * @param ref what the hypervisor calls the machine.
   * @throws HoldfastError HYPERVISOR_VM_NOT_FOUND; HYPERVISOR_VM_IN_USE when it bears the mark of another VM.
   */
  register(context: CallContext, vm: VmIdentity, ref: string): Promise<InspectedVm>;
  /** Takes the mark of `register` away again and leaves the machine as it is; without a mark it is success. */
  unregister(context: CallContext, vm: VmIdentity): Promise<void>;
  /** What is there now, attached disks alone; `undefined` when the hypervisor has no such VM. */
  inspect(context: CallContext, vm: VmIdentity): Promise<InspectedVm | undefined>;
  /** Every machine that bears the VM's mark: the VM itself, and what was restored of it under any name. */
  machinesOf(context: CallContext, vm: VmIdentity): Promise<readonly MarkedMachine[]>;
  /**
   * Makes that machine be the VM. The one that was it until now is not any more; it keeps its mark, by which
   * `removeSuperseded` knows it. Answers what `inspect` answers from then on.
   * @param ref what the hypervisor calls the machine that shall be the VM.
   * @throws HoldfastError HYPERVISOR_VM_NOT_FOUND; HYPERVISOR_VM_IN_USE when it is another VM, or does not bear the mark
   * of this one.
   */
  takeOver(context: CallContext, vm: VmIdentity, ref: string): Promise<InspectedVm>;
  /**
   * Removes a machine that was the VM, with its disks. Only one is removed that bears the VM's mark, is no VM and is
   * switched off.
   * @returns false when there is no such machine.
   * @throws HoldfastError HYPERVISOR_VM_IN_USE when it is a VM, or bears no mark of this one; SUPERSEDED_VM_IN_USE when
   * it is switched on.
   */
  removeSuperseded(context: CallContext, vm: VmIdentity, ref: string): Promise<boolean>;
}

/** Makes the hypervisor of a datacenter; `type` is a hypervisor plugin type. */
export type HypervisorFactory = (datacenter: {
  readonly type: string;
  readonly endpoint: string;
  readonly name: string;
  /** To be told of every call to the hypervisor. */
  readonly onCall?: OnCall;
}) => Hypervisor;
