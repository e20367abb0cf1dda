/**
 * What a step that could not be undone has left behind, in words that let a person remove it, and how a cleanup deals
 * with it.
 * @module
 */
import type { OperationKind, Residue, StepName } from './operations.ts';
import type { PlannedStep } from './plan.ts';
import type { VmState } from './virtual-machines.ts';

/** Where the leftovers lie. */
export interface ResiduePlace {
  readonly operationId: string;
  readonly kind: OperationKind;
  readonly vmId: string;
  readonly vmName: string;
  readonly datacenterName: string;
  readonly hypervisorRef: string | null;
  readonly managerName: string | null;
  /** What the backup system calls what the step made, where that is known. */
  readonly vendorRef: string | null;
  /** What the hypervisor calls the machines that a restore could not remove. */
  readonly leftMachines: readonly string[];
}

/** The residue of a step that was begun and not undone; `null` when such a step leaves nothing behind. */
export function residueOf(step: StepName, place: ResiduePlace): Residue | null {
  const { vmName, datacenterName } = place;
  const cleanup = `POST /v1/operations/${place.operationId}/retry-cleanup`;
  const undeploy = `POST /v1/virtual-machines/${place.vmId}/undeploy`;
  const inHypervisor = (description: string): Residue => ({
    system: 'HYPERVISOR',
    systemName: datacenterName,
    ref: place.hypervisorRef ?? place.vmId,
    description,
    // A VM that was to be made or removed goes with an undeploy too; one that was only changed shall stay.
    removeWith: place.kind === 'DEPLOY' || place.kind === 'UNDEPLOY' ? `${cleanup} or ${undeploy}` : cleanup,
  });
  const inBackupSystem = (description: string): Residue => {
    const name = place.managerName ?? 'the backup system';
    return {
      system: 'BACKUP_SYSTEM',
      systemName: name,
      ref: place.vendorRef ?? place.vmId,
      description: `${description} in ${name}`,
      removeWith: cleanup,
    };
  };
  switch (step) {
    case 'REGISTER':
      return inHypervisor(`${vmName} may still bear the mark of Holdfast in ${datacenterName}`);
    case 'ALLOCATE':
      return inHypervisor(`a reserved place for ${vmName} may be left in ${datacenterName}`);
    case 'CONFIGURE':
      return inHypervisor(`${vmName} may be left in ${datacenterName}, switched off`);
    case 'POWER_ON':
    case 'POWER_OFF':
      return inHypervisor(`the power of ${vmName} may not be what it was`);
    case 'RECONFIGURE':
    case 'COMMIT_DISKS':
      return inHypervisor(`the hardware of ${vmName} may be partly changed`);
    case 'DECONFIGURE':
    case 'DEALLOCATE':
      return inHypervisor(`${vmName} may be partly removed from ${datacenterName}`);
    case 'REPLACE': {
      const ref = place.leftMachines.join(', ');
      const description = `${ref} may be left in ${datacenterName} beside ${vmName}, whose mark it bears`;
      return { ...inHypervisor(description), ref };
    }
    case 'BACKUP_SCHEDULE':
      return inBackupSystem(`a backup schedule of ${vmName} may be left, or may be missing`);
    case 'REQUEST_BACKUP':
      return inBackupSystem(`a backup of ${vmName} may be running`);
    case 'REQUEST_RESTORE':
      return inBackupSystem(`a restore of ${vmName} may be running`);
    default:
      return null;
  }
}

/** What is known of a leftover that waits to be cleared. */
export interface Leftover {
  readonly system: Residue['system'];
  /** The manager of a leftover in a backup system; `null` when it is not known any more. */
  readonly managerId: string | null;
}

/** The steps that clear these leftovers: one for the hypervisor, one for each backup manager. Empty: nothing is left. */
export function cleanupSteps(leftovers: readonly Leftover[]): PlannedStep[] {
  const managers = leftovers.flatMap(({ system, managerId }) =>
    system === 'BACKUP_SYSTEM' && managerId !== null ? [managerId] : [],
  );
  const hypervisor = leftovers.some((left) => left.system === 'HYPERVISOR');
  return [
    ...(hypervisor ? [{ name: 'CLEAN_HYPERVISOR', managerId: null, skip: null } as const] : []),
    ...[...new Set(managers)].map((managerId) => ({ name: 'CLEAN_BACKUP_SYSTEM', managerId, skip: null }) as const),
  ];
}

/**
 * What a cleanup may do to the VM.
 * - `REMOVE`: it was never there for anybody, or shall not be there any more: it goes.
 * - `RELEASE`: it was somebody's before Holdfast was told of it: it stays, without our mark.
 * - `MEND`: it shall be there: what was changed is put in order.
 * - `OWNED`: what was left has become part of a VM that was deployed or in use since: it stays.
 */
export type WayOfCleaning = 'REMOVE' | 'RELEASE' | 'MEND' | 'OWNED';

/**
 * Chooses what a cleanup may do. Only what a deploy left, or an undeploy that was past its point of no return, is
 * removed, and only where nobody can have had the VM in use since.
 */
export function wayOfCleaning(
  left: {
    readonly kind: OperationKind;
    readonly crossed: boolean;
    readonly deployedSince: boolean;
    readonly usedSince: boolean;
  },
  state: VmState,
): WayOfCleaning {
  if (left.deployedSince) return 'OWNED';
  if (left.kind === 'REGISTER') return 'RELEASE';
  if (left.kind !== 'DEPLOY' && !(left.kind === 'UNDEPLOY' && left.crossed)) return 'MEND';
  if (left.usedSince) return 'OWNED';
  return state === 'UNKNOWN' || state === 'NOT_ALLOCATED' ? 'REMOVE' : 'OWNED';
}
