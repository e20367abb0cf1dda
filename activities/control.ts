/**
 * Beginning, deciding, ending: the activities that change only the database.
 * @module
 */
import { decideCancel } from '../db/cancellation.ts';
import { finishOperation } from '../db/finish.ts';
import { managerNames, operationContext } from '../db/operation-context.ts';
import { claimedIntent } from '../db/intents.ts';
import { crossPointOfNoReturn, isHeldBy, NO_MANAGER, type OperationRow } from '../db/operations.ts';
import { bindRun } from '../db/runs.ts';
import { sessionOfOperation } from '../db/sessions.ts';
import { type StepRow, stepsOf } from '../db/steps.ts';
import { recoveryMode } from '../domain/operations.ts';
import type { BriefedStep, Briefing, ControlActivities } from '../workflows/contract.ts';
import type { Dependencies } from './dependencies.ts';
import { currentRun, currentRunId, lookAtSession } from './observations.ts';
import { fencedFailure } from './recorded-step.ts';

/** The activities that begin, decide and end. */
export function controlActivities(deps: Dependencies): ControlActivities {
  return {
    beginOperation: async (operationId) => {
      const operation = await bindRun(deps.db, operationId, currentRun());
      if (operation === undefined) throw fencedFailure('the operation has ended, or belongs to another run');
      return briefing(deps, operationId);
    },

    decideCancel: async (operationId) => {
      const decision = await decideCancel(deps.db, operationId, currentRunId(), 'the Temporal UI or API');
      if (decision === undefined) throw fencedFailure('the operation is not this run’s');
      return decision !== 'TOO_LATE';
    },

    crossPointOfNoReturn: async (operationId) => {
      const runId = currentRunId();
      if (await crossPointOfNoReturn(deps.db, operationId, runId)) return true;
      if (!(await isHeldBy(deps.db, operationId, runId))) throw fencedFailure('the operation is not this run’s');
      return false;
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
      before: howFar(step),
    })),
    force: operation.request.forceUndeploy === true,
    recovery: operation.recovery === 0 ? null : await recoveryOf(deps, operation, steps),
  };
}

/** How far an earlier run has come with a step. */
function howFar(step: StepRow): BriefedStep['before'] {
  if (step.attempts === 0) return null;
  if (step.compensation === 'DONE' || step.compensation === 'SKIPPED') return 'UNDONE';
  return step.state === 'DONE' ? 'DONE' : 'BEGUN';
}

async function recoveryOf(deps: Dependencies, operation: OperationRow, steps: readonly StepRow[]) {
  const { id, kind, origin } = operation;
  const session = await sessionOfOperation(deps.db, id);
  const mode = recoveryMode({
    kind,
    origin,
    crossed: operation.point_of_no_return_at !== null,
    sessionPossible: session !== undefined || (await claimedIntent(deps.db, id)) !== undefined,
    undoing: steps.some((step) => step.compensation !== null),
  });
  return { mode, lost: operation.lost ?? 'the run was lost', cancelled: operation.cancel_requested_at !== null };
}
