/**
 * What runs do, also those that were lost or made by a reset: in the database, as their activities do it.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { finishOperation } from '../../../../db/finish.ts';
import { crossPointOfNoReturn, setOutcomeKnown } from '../../../../db/operations.ts';
import { bindRun, handOver as handOverInDatabase } from '../../../../db/runs.ts';
import { beginAttempt, endAttempt, endUndoAttempt } from '../../../../db/steps.ts';
import { type Deed, differs, type Follow, type Real, type Which } from './deeds.ts';
import { end, handOver, holds, isOpen, type Model, type Operation, type Run, workflowOf } from './rules.ts';

/** What a run does, or somebody who has found out that it is lost. */
export async function run(
  model: Model,
  real: Real,
  deed: Extract<Deed, { run: Which } | { deed: 'lose sight of' }>,
  operation: Operation,
): Promise<Follow> {
  const { db } = real.api;
  const { id } = operation;
  const here = (later: Model) => later.operations.find((candidate) => candidate.id === id) as Operation;
  if (deed.deed === 'lose sight of') {
    await setOutcomeKnown(db, id, false, 'a test');
    return (later) => {
      const mine = here(later);
      if (mine.state === 'RUNNING') mine.state = 'UNKNOWN_OUTCOME';
      return undefined;
    };
  }
  const run = runOf(model, operation, deed.run);
  switch (deed.deed) {
    case 'bind': {
      const bound = await bindRun(db, id, run);
      return (later) => {
        const mine = here(later);
        if (isOpen(mine) && mine.run === null && run.workflowId === workflowOf(later, mine)) {
          mine.run = run.runId;
          if (mine.state === 'REQUESTED') mine.state = 'RUNNING';
        }
        return differs(holds(mine, run.runId), bound !== undefined);
      };
    }
    case 'cross': {
      const crossed = await crossPointOfNoReturn(db, id, run.runId);
      return (later) => {
        const mine = here(later);
        const may = holds(mine, run.runId) && !mine.cancelled;
        if (may) mine.crossed = true;
        return differs(may, crossed);
      };
    }
    case 'leave behind': {
      const left = await leaveBehind(real, operation, run.runId);
      return (later) => {
        const mine = here(later);
        const may = holds(mine, run.runId) && mine.kind === 'DEPLOY' && !mine.leftover;
        if (may) mine.leftover = true;
        return differs(may, left);
      };
    }
    case 'finish': {
      const mayGoBack = !operation.crossed && !['BACKUP', 'RESTORE', 'CLEANUP'].includes(operation.kind);
      const error = deed.outcome === 'SUCCEEDED' ? null : { code: 'INTERNAL', message: 'a test' };
      const ending = { operationId: id, outcome: deed.outcome, error, unlessCancelled: mayGoBack };
      const state = await finishOperation(db, run.runId, ending);
      return (later) => {
        const mine = here(later);
        if (!holds(mine, run.runId)) {
          const told = mine.run === run.runId ? mine.state : undefined;
          return differs([told], [state]);
        }
        if (mine.cancelled && mayGoBack && deed.outcome === 'SUCCEEDED') return differs([null], [state]);
        // A cancel that came while everything was being undone has what it asked for.
        const outcome = deed.outcome === 'ROLLED_BACK' && mine.cancelled ? 'CANCELLED' : deed.outcome;
        end(later, mine, outcome);
        return differs([outcome], [state]);
      };
    }
    case 'hand over': {
      const lostRun = deed.run === 'own' ? operation.run : run.runId;
      const handedOver = await handOverInDatabase(db, id, lostRun, 'a test ended it');
      return (later) => {
        const mine = here(later);
        const may = isOpen(mine) && mine.run === lostRun;
        if (may) handOver(later, mine);
        return differs(may, handedOver);
      };
    }
  }
}

function runOf(model: Model, operation: Operation, which: Which): Run {
  const current = workflowOf(model, operation);
  const lost = operation.lost.at(-1);
  if (which === 'lost' && lost !== undefined) return lost;
  const runId = which === 'own' && operation.run !== null ? operation.run : randomUUID();
  return { workflowId: current, runId };
}

/** The run makes the VM, and cannot undo it. */
async function leaveBehind({ api: { db } }: Real, operation: Operation, runId: string): Promise<boolean> {
  if (operation.kind !== 'DEPLOY' || operation.leftover) return false;
  const key = { operationId: operation.id, name: 'CONFIGURE', managerId: null } as const;
  const made = await beginAttempt(db, key, { runId, direction: 'forward', settleMs: 0, activityAttempt: 1 });
  if (made === undefined) return false;
  if (!made.tooLate) await endAttempt(db, { ...key, runId, epoch: made.epoch }, { state: 'DONE', made: null });
  const undone = await beginAttempt(db, key, { runId, direction: 'undo', settleMs: 0, activityAttempt: 1 });
  if (undone === undefined) return false;
  const error = { code: 'HYPERVISOR_REFUSED', message: 'a test' };
  return endUndoAttempt(db, { ...key, runId, epoch: undone.epoch }, 'FAILED', error, true);
}
