/**
 * Runs that ended without finishing their operation (terminated, timed out, reset away, unknown to Temporal): none of
 * their code runs any more, so what they had begun is handed to a recovery run.
 * @module
 */
import { boundOpenOperations, startableOperation, strayRuns } from '../db/operation-starts.ts';
import { advanceWatermark, reconcilerState, recordFullPass } from '../db/reconciler.ts';
import { handOver, type WorkflowRun } from '../db/runs.ts';
import { type Limits, SESSION_CHANGED } from '../workflows/contract.ts';
import { startOperation } from '../workflows/start.ts';
import type { Dependencies } from './dependencies.ts';

/** Between two looks at every open operation, whatever the list of closed runs says. Milliseconds. */
const FULL_PASS_MS = 3_600_000;
/** Closed runs are looked at for so long: they are listed a little late. */
const VISIBILITY_LAG_MS = 90_000;
/** Runs described per second in a full pass. */
const DESCRIBES_PER_SECOND = 20;

/**
 * Finds operations whose run has ended without finishing them, and hands each to a recovery run. The list of closed
 * runs is only a hint: each is described.
 */
export async function carryOnLostRuns(deps: Dependencies, limits: Limits, everything: boolean): Promise<void> {
  const state = await reconcilerState(deps.db);
  const now = deps.clock();
  const full = everything || now.getTime() - (state.full_pass_at?.getTime() ?? 0) >= FULL_PASS_MS;
  const open = await boundOpenOperations(deps.db);
  const suspects = full || open.length === 0 ? open : await closedSince(deps, open, state.closed_runs_watermark);
  for (const operation of suspects) {
    if (operation.run_id === null) continue;
    const lost = await howLost(deps, operation.workflow_id, operation.run_id);
    if (lost !== undefined) await carryOn(deps, limits, operation.id, operation.run_id, lost);
    if (full) await new Promise((resolve) => setTimeout(resolve, 1_000 / DESCRIBES_PER_SECOND));
  }
  await wakeStrayRuns(deps, full ? null : state.closed_runs_watermark);
  await advanceWatermark(deps.db, new Date(now.getTime() - VISIBILITY_LAG_MS));
  if (full) await recordFullPass(deps.db);
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

type OpenOperation = Awaited<ReturnType<typeof boundOpenOperations>>[number];

/** Those of the open operations whose run is listed as closed since the watermark: one query for all of them. */
async function closedSince(
  deps: Dependencies,
  open: readonly OpenOperation[],
  watermark: Date | null,
): Promise<OpenOperation[]> {
  const since = (watermark ?? new Date(0)).toISOString();
  const query = `ExecutionStatus != 'Running' AND CloseTime > '${since}' AND WorkflowId STARTS_WITH 'vm/'`;
  const closed = new Set<string>();
  for await (const run of deps.client.workflow.list({ query })) closed.add(run.runId);
  return open.filter((operation) => operation.run_id !== null && closed.has(operation.run_id));
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
