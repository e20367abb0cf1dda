import type { OperationInput } from './contract.ts';
import { runOperation, steps } from './operation-run.ts';

/** Switches a VM on or off; the plan holds the one step that it takes. */
export async function powerVm(input: OperationInput): Promise<void> {
  await runOperation(input, 'ROLL_BACK', async (operation) => {
    if (operation.kind === 'POWER_OFF') await operation.ensureNoSession();
    await operation.step('POWER_ON', steps.powerOn);
    await operation.step('POWER_OFF', steps.powerOff);
  });
}
