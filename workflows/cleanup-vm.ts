import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Clears what an earlier operation had to leave behind, and nothing that the VM owns by now. Each system is cleaned on
 * its own: one that refuses keeps its residue and does not keep the others from being cleaned.
 */
export async function cleanupVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'FAIL', async (operation) => {
    const failures = [
      ...(await operation.residueStep('CLEAN_HYPERVISOR', steps.cleanHypervisor)),
      ...(await operation.residueStep('CLEAN_BACKUP_SYSTEM', steps.cleanBackupSystem)),
    ];
    if (failures.length > 0) throw failures[0];
  });
}
