/**
 * Runs that ended without finishing their operation (terminated, timed out, reset away, unknown to Temporal): none of
 * their code runs any more, so what they had begun is handed to a recovery run.
 * @module
 */
import { openOperationsAfter, openOperationsOf, startableOperation, strayRuns } from '../db/operation-starts.ts';
import { advanceFullPass, advanceWatermark, beginFullPass, fullPass, reconcilerState } from '../db/reconciler.ts';
import { handOver, type WorkflowRun } from '../db/runs.ts';
import { type Limits, SESSION_CHANGED } from '../workflows/contract.ts';
import { startOperation } from '../workflows/start.ts';
import type { Dependencies } from './dependencies.ts';

/** Operations whose run is described in one pass, where all of them are looked at. */
const SLICE = 100;
/** Runs described per second then. */
const DESCRIBES_PER_SECOND = 50;

/**
 * Finds operations whose run has ended without finishing them, and hands each to a recovery run. The list of closed
 * runs is only a hint: each is described. Hourly, and when a worker starts, all open operations are looked at besides,
 * some in each pass, so that the others are not kept waiting.
 */
export async function carryOnLostRuns(deps: Dependencies, limits: Limits, everything: boolean): Promise<void> {
  if (everything) await beginFullPass(deps.db);
  const { closed_runs_watermark: watermark } = await reconcilerState(deps.db);
  const closed = await closedSince(deps, watermark);
  const lastClosed = closed.at(-1);
  for (const operation of await openOperationsOf(
    deps.db,
    closed.map((run) => run.runId),
  )) {
    await carryOnIfLost(deps, limits, operation);
  }
  await wakeStrayRuns(deps, watermark);
  if (lastClosed !== undefined) await advanceWatermark(deps.db, lastClosed.closeTime);
  await lookAtSlice(deps, limits);
}

/** Looks at some of all open operations, if they are to be looked at now: nobody has to have listed their runs. */
async function lookAtSlice(deps: Dependencies, limits: Limits): Promise<void> {
  const pass = await fullPass(deps.db);
  if (pass === undefined) return;
  if (pass.after === null) await wakeStrayRuns(deps, null);
  const slice = await openOperationsAfter(deps.db, pass.after, SLICE);
  for (const operation of slice) {
    await carryOnIfLost(deps, limits, operation);
    await new Promise((resolve) => setTimeout(resolve, 1_000 / DESCRIBES_PER_SECOND));
  }
  await advanceFullPass(deps.db, slice.length < SLICE ? null : (slice.at(-1)?.id ?? null));
}

async function carryOnIfLost(
  deps: Dependencies,
  limits: Limits,
  operation: Awaited<ReturnType<typeof openOperationsOf>>[number],
): Promise<void> {
  if (operation.run_id === null) return;
  const lost = await howLost(deps, operation.workflow_id, operation.run_id);
  if (lost !== undefined) await carryOn(deps, limits, operation.id, operation.run_id, lost);
}

/** Hands the operation of a lost run to a recovery run, and starts that; if it cannot be started now, a later pass does. */
export async function carryOn(
  deps: Dependencies,
  limits: Limits,
  operationId: string,
  runId: string | null,
  lost: string,
): Promise<void> {
  if (!(await handOver(deps.db, operationId, runId, lost))) return;
  deps.logger.warn({ operationId, lostRunId: runId }, `a run was lost and is carried on: ${lost}`);
  await startOperation(deps.client, await startableOperation(deps.db, operationId), limits);
}

/**
 * Wakes runs that no operation is waiting for: someone has reset a run. They find out that they were overtaken as soon
 * as they look, which one that waits for a session would do only after an hour.
 */
async function wakeStrayRuns(deps: Dependencies, since: Date | null): Promise<void> {
  const started = since === null ? '' : ` AND StartTime > '${since.toISOString()}'`;
  const query = `ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'vm/'${started}`;
  const runs: WorkflowRun[] = [];
  for await (const { workflowId, runId } of deps.client.workflow.list({ query })) runs.push({ workflowId, runId });
  for (const { workflowId, runId } of await strayRuns(deps.db, runs)) {
    deps.logger.warn({ workflowId, runId }, 'a run has been overtaken; it is woken, so that it ends');
    await deps.client.workflow
      .getHandle(workflowId, runId)
      .signal(SESSION_CHANGED)
      .catch((error: unknown) => deps.logger.warn({ err: error, workflowId, runId }, 'a run could not be woken'));
  }
}

/**
 * The runs that are listed as closed since the watermark, in the order of their end: one query for all of them. The
 * watermark is one of Temporal's own times, so that no clock of ours can hide a run.
 */
async function closedSince(deps: Dependencies, watermark: Date | null): Promise<{ runId: string; closeTime: Date }[]> {
  const since = (watermark ?? new Date(0)).toISOString();
  const query = `ExecutionStatus != 'Running' AND CloseTime > '${since}' AND WorkflowId STARTS_WITH 'vm/'`;
  const closed: { runId: string; closeTime: Date }[] = [];
  for await (const { runId, closeTime } of deps.client.workflow.list({ query })) {
    if (closeTime !== undefined) closed.push({ runId, closeTime });
  }
  return closed.toSorted((one, other) => one.closeTime.getTime() - other.closeTime.getTime());
}

const LOST_STATES: Readonly<Record<string, string>> = {
  TERMINATED: 'the run was terminated',
  TIMED_OUT: 'the run timed out',
  COMPLETED: 'the run ended without finishing the operation',
  FAILED: 'the run failed without finishing the operation',
  CANCELLED: 'the run was cancelled without finishing the operation',
};

/** How the run was lost, in words; `undefined` while it is open. */
export async function howLost(
  deps: Dependencies,
  workflowId: string,
  runId: string | undefined,
): Promise<string | undefined> {
  try {
    const { status } = await deps.client.workflow.getHandle(workflowId, runId).describe();
    return LOST_STATES[status.name];
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return 'Temporal no longer knows the run';
    throw error;
  }
}
