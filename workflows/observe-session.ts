import type { OperationInput } from './contract.ts';
import { requireSuccess } from './failures.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Holds the lock of a VM that the backup system works on without having been asked by us: its own schedule, or a
 * person at its console.
 */
export async function observeSession(input: OperationInput): Promise<void> {
  await runOperation(input, 'FAIL', async (operation) => {
    await operation.closingStep('OBSERVE', steps.observeSession);
    const session = await operation.watch({ cancellable: false });
    await operation.forwardStep('REFRESH', steps.refreshVm);
    await operation.closingStep('RECORD', steps.recordResult);
    requireSuccess(session);
  });
}
