/**
 * The port to a hypervisor. Every method is idempotent by the VM's id: called again after a lost answer it does
 * nothing more and answers the same.
 * @module
 */
import type { Disk, Hardware, PowerState } from '../../domain/virtual-machines.ts';
import type { CallContext } from '../calls.ts';

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

/** @throws ExternalSystemError from every method. */
export interface Hypervisor {
  /** Reserves a place for the VM. */
  allocate(context: CallContext, vm: VmIdentity, hardware: Hardware): Promise<void>;
  /** Creates the VM in its place, switched off. */
  configure(context: CallContext, vm: VmIdentity, hardware: Hardware): Promise<{ readonly ref: string }>;
  /**
   * Gives the VM this cpu and memory, and disks that can be taken away again: added ones are attached, missing ones
   * detached but not deleted, grown ones left as they are.
   */
  reconfigure(context: CallContext, vm: VmIdentity, hardware: Hardware): Promise<void>;
  /** Makes changes of disks final: grows, and deletes the detached. There is no way back. */
  commitDisks(context: CallContext, vm: VmIdentity, disks: readonly Disk[]): Promise<void>;
  /** Removes the VM with its disks; absent is success. It must be off. */
  destroy(context: CallContext, vm: VmIdentity): Promise<void>;
  /** Gives the place back; absent is success. */
  deallocate(context: CallContext, vm: VmIdentity): Promise<void>;
  powerOn(context: CallContext, vm: VmIdentity): Promise<void>;
  powerOff(context: CallContext, vm: VmIdentity): Promise<void>;
  /** What is there now; `undefined` when the hypervisor has no such VM. */
  inspect(context: CallContext, vm: VmIdentity): Promise<InspectedVm | undefined>;
}

/** Makes the hypervisor of a datacenter; `type` is a hypervisor plugin type. */
export type HypervisorFactory = (datacenter: {
  readonly type: string;
  readonly endpoint: string;
  readonly name: string;
}) => Hypervisor;
