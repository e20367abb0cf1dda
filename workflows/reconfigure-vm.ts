import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Changes hardware and backup configuration in one operation: first what can be taken back, then the schedule, and
 * only when both are there what cannot be taken back.
 */
export async function reconfigureVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'ROLL_BACK', async (operation) => {
    await operation.ensureNoSession();
    await operation.step('RECONFIGURE', steps.reconfigureHardware);
    await operation.step('BACKUP_SCHEDULE', steps.configureSchedule);
    await operation.pointOfNoReturn();
    await operation.forwardStep('COMMIT_DISKS', steps.commitDisks);
  });
}
