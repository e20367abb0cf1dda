/**
 * The steps that touch the hypervisor. Each is safe to run twice; each keeps, before its effect, what its undo needs.
 * @module
 */
import { leftDisk } from '../db/cleanup.ts';
import {
  forgetHypervisorReference,
  type OperationContext,
  operationContext,
  type VmReference,
} from '../db/operation-context.ts';
import { keepSeen } from '../db/seen.ts';
import { HoldfastError } from '../domain/errors.ts';
import { type Disk, type DiskChanges, diskChanges, type Hardware, onlyDisks } from '../domain/virtual-machines.ts';
import type { StepActivities, StepInput } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import type { Hypervisor } from './hypervisors/hypervisor.ts';
import { currentRunId, operationCall } from './observations.ts';
import { fencedFailure, forward, type StepAttempt, type StepOutcome } from './recorded-step.ts';

type LifecycleActivities = Pick<
  StepActivities,
  | 'register'
  | 'allocate'
  | 'configure'
  | 'powerOn'
  | 'powerOff'
  | 'reconfigureHardware'
  | 'commitDisks'
  | 'deconfigure'
  | 'deallocate'
  | 'seeVm'
>;

const DONE: StepOutcome = { made: null };

/** The hypervisor of an operation's datacenter. */
export function hypervisorOf(deps: Dependencies, { datacenter }: OperationContext): Hypervisor {
  return deps.hypervisors(datacenter);
}

function desiredHardware({ operation, vm }: OperationContext): Hardware {
  return operation.desired.hardware ?? vm.hardware;
}

/**
 * The activities of REGISTER, ALLOCATE, CONFIGURE, POWER_ON, POWER_OFF, RECONFIGURE, COMMIT_DISKS, DECONFIGURE and
 * DEALLOCATE, and the look at a VM whose operation can go neither on nor back.
 */
export function lifecycleActivities(deps: Dependencies): LifecycleActivities {
  const run = (
    name: Parameters<typeof forward>[1],
    effect: (attempt: StepAttempt, hypervisor: Hypervisor) => Promise<StepOutcome>,
  ) => {
    return (input: StepInput) => forward(deps, name, input, (attempt) => effect(attempt, hypervisorOf(deps, attempt)));
  };
  return {
    register: run('REGISTER', async (attempt, hypervisor) => {
      const { hypervisorRef } = attempt.operation.request;
      if (hypervisorRef === undefined) throw new Error('REGISTER needs a reference of the hypervisor');
      const { ref, hardware, power } = await hypervisor.register(attempt.call, attempt.vm, hypervisorRef);
      return { made: { hypervisorRef: ref, hardware, power }, reference: referenceOf(attempt, ref) };
    }),

    allocate: run('ALLOCATE', async (attempt, hypervisor) => {
      await hypervisor.allocate(attempt.call, attempt.vm, desiredHardware(attempt));
      return DONE;
    }),

    configure: run('CONFIGURE', async (attempt, hypervisor) => {
      const { ref } = await hypervisor.configure(attempt.call, attempt.vm, desiredHardware(attempt));
      return { made: { hypervisorRef: ref }, reference: referenceOf(attempt, ref) };
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
      const before = attempt.step.undo_input?.hardware ?? found?.hardware;
      // Where there is no VM there is nothing to take back: the hypervisor refuses the change.
      if (before !== undefined) {
        await ensureNoneLeft(deps, attempt);
        ensureChangeable(attempt, before);
        await attempt.keepForUndo({ hardware: before });
      }
      const { cpu, memoryMiB } = desiredHardware(attempt);
      const { added, removed } = requestedDiskChanges(attempt);
      const change = { cpu, memoryMiB, attach: added, detach: labelsOf(removed) };
      await hypervisor.reconfigure(attempt.call, attempt.vm, change);
      return DONE;
    }),

    commitDisks: run('COMMIT_DISKS', async (attempt, hypervisor) => {
      const { grown, removed } = requestedDiskChanges(attempt);
      await hypervisor.commitDisks(attempt.call, attempt.vm, { grow: grown, remove: labelsOf(removed) });
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

    seeVm: async ({ operationId }) => {
      const context = await operationContext(deps.db, operationId);
      const found = await hypervisorOf(deps, context).inspect(operationCall(deps, operationId), context.vm);
      if (found === undefined) return;
      const { power } = found;
      const named = labelsOf([...context.vm.hardware.disks, ...desiredHardware(context).disks]);
      const hardware = onlyDisks(found.hardware, named);
      if (!(await keepSeen(deps.db, operationId, currentRunId(), { power, hardware }))) {
        throw fencedFailure('the operation has ended, or another run carries it on');
      }
    },
  };
}

/**
 * What shall happen to the disks. The VM's row tells what Holdfast knows of them; it does not change while the
 * operation lasts.
 */
export function requestedDiskChanges(context: OperationContext): DiskChanges {
  return diskChanges(context.vm.hardware.disks, desiredHardware(context).disks);
}

/** The labels of disks. */
export function labelsOf(disks: readonly Disk[]): string[] {
  return disks.map((disk) => disk.label);
}

/**
 * People change machines in the hypervisor too: what could then be neither finished nor taken back is not begun.
 * @param before what the hypervisor had before the step's first effect.
 */
function ensureChangeable(context: OperationContext, before: Hardware): void {
  const changes = requestedDiskChanges(context);
  const found = new Map(before.disks.map((disk) => [disk.label, disk.sizeGiB]));
  const differs = (disk: Disk, how: string): HoldfastError =>
    new HoldfastError(
      'VM_HARDWARE_DIFFERS',
      `disk ${disk.label} of ${context.vm.name} ${how} in ${context.datacenter.name}; nothing was changed`,
    );
  for (const disk of changes.added) {
    if (found.has(disk.label)) throw differs(disk, 'is to be added and is there already');
  }
  for (const disk of changes.grown) {
    const size = found.get(disk.label);
    if (size === undefined) throw differs(disk, 'is to grow and is not there');
    if (size > disk.sizeGiB) throw differs(disk, `is to grow to ${disk.sizeGiB} GiB and already has ${size}`);
  }
}

/** A disk that an earlier reconfigure could not delete is never taken for a new one: whoever wants its label clears it. */
async function ensureNoneLeft(deps: Dependencies, attempt: StepAttempt): Promise<void> {
  const { vm, datacenter } = attempt;
  const left = await leftDisk(deps.db, vm.id, labelsOf(requestedDiskChanges(attempt).added));
  if (left === undefined) return;
  throw new HoldfastError(
    'VM_HARDWARE_DIFFERS',
    `disk ${left.label} of ${vm.name} is to be added, and a removed one of that label may still lie in ${datacenter.name}; ` +
      `nothing was changed. Clear it first: POST /v1/operations/${left.operationId}/retry-cleanup`,
  );
}

function referenceOf({ vm, datacenter }: OperationContext, ref: string): VmReference {
  return { vmId: vm.id, system: 'HYPERVISOR', systemId: datacenter.id, ref };
}

/** Keeps the power state that the undo goes back to; `null` when the VM is not there. */
async function keepPower(attempt: StepAttempt, hypervisor: Hypervisor) {
  const found = await hypervisor.inspect(attempt.call, attempt.vm);
  const kept = await attempt.keepForUndo({ power: found?.power ?? null });
  return kept.power ?? null;
}
