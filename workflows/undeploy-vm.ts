import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Takes a VM away. Its schedule goes first, so that no schedule is left that backs up nothing; once the VM begins to
 * be destroyed there is only forward. Backups that exist stay.
 */
export async function undeployVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'ROLL_BACK', async (operation) => {
    await operation.ensureNoSession();
    await operation.step('BACKUP_SCHEDULE', steps.removeSchedule);
    await operation.step('POWER_OFF', steps.powerOff);
    await operation.pointOfNoReturn();
    await operation.forwardStep('DECONFIGURE', steps.deconfigure);
    await operation.forwardStep('DEALLOCATE', steps.deallocate);
  });
}
