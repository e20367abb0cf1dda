import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Takes over a machine that runs in the hypervisor already: its state and hardware are read back, and nothing of it
 * changes but a mark. Backup jobs that others made for it stay as they are; its first policy comes by a reconfigure.
 */
export async function registerVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'ROLL_BACK', async (operation) => {
    await operation.step('REGISTER', steps.register);
  });
}
