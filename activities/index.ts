/**
 * All activities of a worker.
 * @module
 */
import type { ControlActivities, PeriodicActivities, StepActivities } from '../workflows/contract.ts';
import { cleanupActivities } from './cleanup.ts';
import { controlActivities } from './control.ts';
import type { Dependencies } from './dependencies.ts';
import { expiryActivities } from './expiry.ts';
import { lifecycleActivities } from './lifecycle.ts';
import { checkActivities } from './manager-check.ts';
import { observationActivities } from './observations.ts';
import { recordActivities } from './records.ts';
import { replicationActivities } from './replications.ts';
import { restoredMachineActivities } from './restored-machine.ts';
import { scheduleActivities } from './schedules.ts';
import { requestActivities } from './sessions.ts';
import { undoStep } from './undo.ts';
import { watchActivities } from './watching.ts';

/** The activities of operations. */
export function createActivities(deps: Dependencies): ControlActivities & StepActivities {
  return {
    ...controlActivities(deps),
    ...lifecycleActivities(deps),
    ...scheduleActivities(deps),
    ...requestActivities(deps),
    ...observationActivities(deps),
    ...restoredMachineActivities(deps),
    ...recordActivities(deps),
    ...replicationActivities(deps),
    ...cleanupActivities(deps),
    undoStep: (input) => undoStep(deps, input),
  };
}

/** The activities that run periodically, on a queue of their own so that they cannot starve users. */
export function createPeriodicActivities(deps: Dependencies): PeriodicActivities {
  return { ...watchActivities(deps), ...expiryActivities(deps), ...checkActivities(deps) };
}
