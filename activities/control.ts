/**
 * Beginning, deciding, ending: the activities that change only the database.
 * @module
 */
import { finishOperation } from '../db/finish.ts';
import { managerNames, operationContext } from '../db/operation-context.ts';
import { bindRun, crossPointOfNoReturn, decideCancel, isHeldBy, NO_MANAGER } from '../db/operations.ts';
import { stepsOf } from '../db/steps.ts';
import type { Briefing, ControlActivities } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import { currentRunId, lookAtSession } from './observations.ts';
import { fencedFailure } from './recorded-step.ts';

/** The activities that begin, decide and end. */
export function controlActivities(deps: Dependencies): ControlActivities {
  return {
    beginOperation: async (operationId) => {
      const operation = await bindRun(deps.db, operationId, currentRunId());
      if (operation === undefined) throw fencedFailure('the operation has ended, or belongs to another run');
      return briefing(deps, operationId);
    },

    decideCancel: async (operationId) =>
      (await decideCancel(deps.db, operationId, 'the Temporal UI or API')) !== 'TOO_LATE',

    crossPointOfNoReturn: async (operationId) => {
      const runId = currentRunId();
      if (!(await isHeldBy(deps.db, operationId, runId))) throw fencedFailure('the operation is not this run’s');
      return crossPointOfNoReturn(deps.db, operationId, runId);
    },

    finishOperation: async (end) => {
      const state = await finishOperation(deps.db, currentRunId(), end);
      if (state === undefined) throw fencedFailure('the operation is not this run’s to end');
      if (state !== null) {
        deps.logger.info({ operationId: end.operationId, outcome: state, error: end.error }, 'operation ended');
      }
      return state;
    },

    lookAtSession: (operationId) => lookAtSession(deps, operationId),
  };
}

async function briefing(deps: Dependencies, operationId: string): Promise<Briefing> {
  const { operation, vm, datacenter, enterpriseName } = await operationContext(deps.db, operationId);
  const steps = await stepsOf(deps.db, operationId);
  const names = await managerNames(deps.db, datacenter.id);
  return {
    kind: operation.kind,
    vmName: vm.name,
    datacenterName: datacenter.name,
    enterpriseName,
    steps: steps.map((step) => ({
      name: step.name,
      managerId: step.manager_id === NO_MANAGER ? null : step.manager_id,
      managerName: names.get(step.manager_id) ?? null,
      skip: step.state === 'SKIPPED' ? (step.reason ?? 'nothing to do') : null,
    })),
  };
}
