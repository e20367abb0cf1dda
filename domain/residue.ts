/**
 * What a step that could not be undone has left behind, in words that let a person remove it.
 * @module
 */
import type { Residue, StepName } from './operations.ts';

/** Where the leftovers lie. */
export interface ResiduePlace {
  readonly vmId: string;
  readonly vmName: string;
  readonly datacenterName: string;
  readonly hypervisorRef: string | null;
  readonly managerName: string | null;
  /** What the backup system calls what the step made, where that is known. */
  readonly vendorRef: string | null;
}

/** The residue of a step that was begun and not undone; `null` when such a step leaves nothing behind. */
export function residueOf(step: StepName, place: ResiduePlace): Residue | null {
  const { vmName, datacenterName } = place;
  const vmRef = place.hypervisorRef ?? place.vmId;
  const undeploy = `POST /v1/virtual-machines/${place.vmId}/undeploy`;
  const inHypervisor = (description: string): Residue => ({
    system: 'HYPERVISOR',
    systemName: datacenterName,
    ref: vmRef,
    description,
    removeWith: undeploy,
  });
  switch (step) {
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
    case 'BACKUP_SCHEDULE':
      return inBackupSystem(place, `a backup schedule of ${vmName} may be left, or may be missing`);
    case 'REQUEST_BACKUP':
      return inBackupSystem(place, `a backup of ${vmName} may be running`);
    case 'REQUEST_RESTORE':
      return inBackupSystem(place, `a restore of ${vmName} may be running`);
    default:
      return null;
  }
}

function inBackupSystem(place: ResiduePlace, description: string): Residue {
  const name = place.managerName ?? 'the backup system';
  return {
    system: 'BACKUP_SYSTEM',
    systemName: name,
    ref: place.vendorRef ?? place.vmId,
    description: `${description} in ${name}`,
    removeWith: `look for ${place.vendorRef ?? place.vmName} at the console of ${name}`,
  };
}
