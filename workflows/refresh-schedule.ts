import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/**
 * Applies a schedule again that has not changed: the offset of its time zone has, or the machine that it is for. There
 * is nothing to go back to, so what fails is left as it is, named, and tried again later.
 */
export async function refreshSchedule(input: OperationInput): Promise<void> {
  await runOperation(input, 'FAIL', async (operation) => {
    const [failure] = await operation.residueStep('BACKUP_SCHEDULE', steps.configureSchedule);
    if (failure !== undefined) throw failure;
  });
}
