import type { OperationInput } from './contract.ts';
import { requireSuccess } from './failures.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Restores a backup into the VM as it is now. Started at most once: a second restore over the first is the one mistake
 * that cannot be mended. A machine that it superseded and that cannot be removed, or a schedule that cannot be put back,
 * is residue, not a failed restore.
 */
export async function restoreVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'FAIL', async (operation) => {
    await operation.ensureNoSession();
    // From here on it cannot be cancelled: a restore that was stopped half way leaves a VM that is neither.
    await operation.closingStep('REQUEST_RESTORE', steps.requestRestore);
    const session = await operation.watch({ cancellable: false });
    await operation.forwardStep('REFRESH', steps.refreshVm);
    await operation.residueStep('REPLACE', steps.replaceVm);
    await operation.residueStep('BACKUP_SCHEDULE', steps.configureSchedule);
    await operation.closingStep('RECORD', steps.recordResult);
    requireSuccess(session);
  });
}
