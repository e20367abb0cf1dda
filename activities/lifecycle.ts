/**
 * The steps that touch the hypervisor. Each is safe to run twice; each keeps, before its effect, what its undo needs.
 * @module
 */
import { forgetHypervisorReference, type OperationContext, rememberReference } from '../db/operation-context.ts';
import type { Hardware } from '../domain/virtual-machines.ts';
import type { StepActivities, StepInput } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import type { Hypervisor } from './hypervisors/hypervisor.ts';
import { forward, type StepAttempt, type StepOutcome } from './recorded-step.ts';

type LifecycleActivities = Pick<
  StepActivities,
  | 'allocate'
  | 'configure'
  | 'powerOn'
  | 'powerOff'
  | 'reconfigureHardware'
  | 'commitDisks'
  | 'deconfigure'
  | 'deallocate'
>;

const DONE: StepOutcome = { made: null };

/** The hypervisor of an operation's datacenter. */
export function hypervisorOf(deps: Dependencies, { datacenter }: OperationContext): Hypervisor {
  return deps.hypervisors(datacenter);
}

function desiredHardware({ operation, vm }: OperationContext): Hardware {
  return operation.desired.hardware ?? vm.hardware;
}

/** The activities of ALLOCATE, CONFIGURE, POWER_ON, POWER_OFF, RECONFIGURE, COMMIT_DISKS, DECONFIGURE and DEALLOCATE. */
export function lifecycleActivities(deps: Dependencies): LifecycleActivities {
  const run = (
    name: Parameters<typeof forward>[1],
    effect: (attempt: StepAttempt, hypervisor: Hypervisor) => Promise<StepOutcome>,
  ) => {
    return (input: StepInput) => forward(deps, name, input, (attempt) => effect(attempt, hypervisorOf(deps, attempt)));
  };
  return {
    allocate: run('ALLOCATE', async (attempt, hypervisor) => {
      await hypervisor.allocate(attempt.call, attempt.vm, desiredHardware(attempt));
      return DONE;
    }),

    configure: run('CONFIGURE', async (attempt, hypervisor) => {
      const { ref } = await hypervisor.configure(attempt.call, attempt.vm, desiredHardware(attempt));
      const vmId = attempt.vm.id;
      await attempt.record((trx) =>
        rememberReference(trx, { vmId, system: 'HYPERVISOR', systemId: attempt.datacenter.id, ref }),
      );
      return { made: { hypervisorRef: ref } };
    }),

    powerOn: run('POWER_ON', async (attempt, hypervisor) => {
      await keepPower(attempt, hypervisor);
      await hypervisor.powerOn(attempt.call, attempt.vm);
      return { made: { power: 'ON' } };
    }),

    powerOff: run('POWER_OFF', async (attempt, hypervisor) => {
      const power = await keepPower(attempt, hypervisor);
      if (power === null) return { skipped: 'the hypervisor has no such virtual machine' };
      await hypervisor.powerOff(attempt.call, attempt.vm);
      return { made: { power: 'OFF' } };
    }),

    reconfigureHardware: run('RECONFIGURE', async (attempt, hypervisor) => {
      const found = await hypervisor.inspect(attempt.call, attempt.vm);
      await attempt.keepForUndo({ hardware: found?.hardware ?? attempt.vm.hardware });
      const hardware = desiredHardware(attempt);
      await hypervisor.reconfigure(attempt.call, attempt.vm, hardware);
      return { made: { hardware } };
    }),

    commitDisks: run('COMMIT_DISKS', async (attempt, hypervisor) => {
      await hypervisor.commitDisks(attempt.call, attempt.vm, desiredHardware(attempt).disks);
      return DONE;
    }),

    deconfigure: run('DECONFIGURE', async (attempt, hypervisor) => {
      await hypervisor.destroy(attempt.call, attempt.vm);
      await attempt.record((trx) => forgetHypervisorReference(trx, attempt.vm.id));
      return DONE;
    }),

    deallocate: run('DEALLOCATE', async (attempt, hypervisor) => {
      await hypervisor.deallocate(attempt.call, attempt.vm);
      return DONE;
    }),
  };
}

/** Keeps the power state that the undo goes back to; `null` when the VM is not there. */
async function keepPower(attempt: StepAttempt, hypervisor: Hypervisor) {
  const found = await hypervisor.inspect(attempt.call, attempt.vm);
  const kept = await attempt.keepForUndo({ power: found?.power ?? null });
  return kept.power ?? null;
}
