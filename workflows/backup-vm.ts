import type { OperationInput } from './contract.ts';
import { madeButNotReplicated, requireSuccess } from './failures.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Backs a VM up now, for as long as it takes, while nobody else can touch it. The backup system does the work; this
 * run starts it once, waits for word of its end and records what it left. A replication is begun and not waited for: it
 * copies the backup and touches no VM, so it holds no lock.
 */
export async function backupVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'FAIL', async (operation) => {
    await operation.step('REQUEST_BACKUP', steps.requestBackup);
    const session = await operation.watch({ cancellable: true });
    await operation.closingStep('RECORD', steps.recordResult);
    requireSuccess(session);
    await operation.closingStep('REPLICATE', steps.replicateBackup).catch(madeButNotReplicated);
  });
}
