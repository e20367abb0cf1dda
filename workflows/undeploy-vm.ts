import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Takes a VM away. Its schedule goes first, so that no schedule is left that backs up nothing; once the VM begins to
 * be destroyed there is only forward. Backups that exist stay. With force it goes on past a backup system that does not
 * remove its schedule, which is then left behind and named.
 */
export async function undeployVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'ROLL_BACK', async (operation) => {
    await operation.ensureNoSession();
    if (operation.force) await operation.residueStep('BACKUP_SCHEDULE', steps.removeSchedule);
    else await operation.step('BACKUP_SCHEDULE', steps.removeSchedule);
    await operation.step('POWER_OFF', steps.powerOff);
    await operation.pointOfNoReturn();
    await operation.forwardStep('DECONFIGURE', steps.deconfigure);
    await operation.forwardStep('DEALLOCATE', steps.deallocate);
  });
}
