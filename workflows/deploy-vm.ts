import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Brings a VM into being together with its backup schedule. If the backup system refuses the schedule there is no VM:
 * one that nobody backs up is worse than none.
 */
export async function deployVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'ROLL_BACK', async (operation) => {
    await operation.step('ALLOCATE', steps.allocate);
    await operation.step('CONFIGURE', steps.configure);
    await operation.step('POWER_ON', steps.powerOn);
    await operation.step('BACKUP_SCHEDULE', steps.configureSchedule);
  });
}
