/**
 * Schedules that have to be applied again although nothing about them changes: a backup system that keeps an offset and
 * not a time zone runs an hour wrong once the zone's offset changes.
 * @module
 */
import { startableOperation } from '../db/operation-starts.ts';
import { requestOperation } from '../db/operations.ts';
import { lockVm } from '../db/virtual-machines.ts';
import { schedulesToRefresh } from '../db/vm-schedules.ts';
import { planSteps } from '../domain/plan.ts';
import { startOperation } from '../workflows/start.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import type { Dependencies } from './dependencies.ts';

/** Refreshes that one look begins. A zone's change makes all of its schedules due at once; the next looks go on. */
const REFRESHES_PER_LOOK = 20;

/**
 * Begins a refresh for schedules of the manager that are due. A VM that is busy is tried again with a later look.
 * @param now by the backup system's clock.
 * @returns how many were begun.
 */
export async function refreshSchedules(deps: Dependencies, manager: ConnectedManager, now: Date): Promise<number> {
  let begun = 0;
  for (const vmId of await schedulesToRefresh(deps.db, manager.id, now, REFRESHES_PER_LOOK)) {
    const operationId = await requestRefresh(deps, manager, now, vmId);
    if (operationId === undefined) continue;
    begun += 1;
    // The reconciler starts it where this does not reach Temporal.
    await startOperation(deps.client, await startableOperation(deps.db, operationId), deps.limits).catch((error) =>
      deps.logger.warn({ err: error, operationId }, 'the operation will be started by the reconciler'),
    );
  }
  return begun;
}

/** Requests the refresh, unless the VM has changed since it was found to be due. */
function requestRefresh(
  deps: Dependencies,
  manager: ConnectedManager,
  now: Date,
  vmId: string,
): Promise<string | undefined> {
  return deps.db.transaction().execute(async (trx) => {
    const vm = await lockVm(trx, vmId, null);
    if (vm === undefined || vm.lockedBy !== null) return undefined;
    if ((await schedulesToRefresh(trx, manager.id, now, 1, vmId)).length === 0) return undefined;
    const kind = 'SCHEDULE_REFRESH';
    const schedule = { managerId: manager.id, policies: [] };
    const { id } = await requestOperation(trx, {
      vm,
      kind,
      origin: 'HOLDFAST',
      request: { managerId: manager.id },
      desired: {},
      steps: planSteps({ kind, origin: 'HOLDFAST', currentSchedules: [schedule], desiredSchedules: [] }),
      requestedBy: 'Holdfast',
    });
    return id;
  });
}
