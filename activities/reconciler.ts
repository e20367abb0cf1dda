/**
 * The reconciler: what nobody else will do any more, it does. It starts what was not started, ends what could not be
 * started in time or whose run was lost, and keeps the watch over every backup manager going.
 *
 * A timer in every worker, one at a time by an advisory lock; not a Temporal Schedule, whose runs would bury the
 * operators' list.
 * @module
 */
import { ScheduleOverlapPolicy } from '@temporalio/client';
import { abandonOperation } from '../db/finish.ts';
import { boundOpenOperations, unboundOperations } from '../db/operation-starts.ts';
import { advanceWatermark, becomeReconciler, reconcilerState, recordFullPass } from '../db/reconciler.ts';
import { usedManagers } from '../db/watches.ts';
import { tail } from '../domain/operations.ts';
import type { Config } from '../temporal.config.ts';
import type { WatchInput } from '../workflows/contract.ts';
import { startOperation } from '../workflows/start.ts';
import { WRITE_SETTLED_MS } from './calls.ts';
import type { Dependencies } from './dependencies.ts';

/** An operation younger than this is being started by the request that made it. Milliseconds. */
const STARTING_MS = 5_000;
/** Between two looks at every open operation, whatever the list of closed runs says. Milliseconds. */
const FULL_PASS_MS = 3_600_000;
/** Closed runs are looked at for so long: they are listed a little late, and their last write may have to settle. */
const VISIBILITY_LAG_MS = 90_000;
/** Runs described per second in a full pass. */
const DESCRIBES_PER_SECOND = 20;

export interface ReconcilerOptions {
  readonly intervals: Config['intervals'];
  readonly limits: Config['limits'];
  readonly periodicTaskQueue: string;
}

/** A reconciler that is running. */
export interface Reconciler {
  stop(): Promise<void>;
}

/** Starts the reconciler; its first pass runs at once and looks at everything. */
export function startReconciler(deps: Dependencies, options: ReconcilerOptions): Reconciler {
  let stopped = false;
  let wake: () => void = () => {};
  const loop = (async () => {
    let first = true;
    while (!stopped) {
      try {
        await becomeReconciler(deps.db, () => reconcile(deps, options, first));
        first = false;
      } catch (error) {
        deps.logger.warn({ err: error }, 'a pass of the reconciler failed; it is tried again');
      }
      if (stopped) break;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, options.intervals.reconcileMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      wake();
      await loop;
    },
  };
}

/** One pass. Each part stands on its own: one that fails does not keep the others from their work. */
export async function reconcile(deps: Dependencies, options: ReconcilerOptions, everything: boolean): Promise<void> {
  const parts = [
    () => startUnstarted(deps, options),
    () => endLostRuns(deps, everything),
    () => keepWatches(deps, options),
  ];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      deps.logger.warn({ err: error }, 'a part of the reconciler failed; it is tried again');
    }
  }
}

/** Starts operations that were requested and not started; ends those that nobody expects any more. */
async function startUnstarted(deps: Dependencies, options: ReconcilerOptions): Promise<void> {
  for (const operation of await unboundOperations(deps.db, STARTING_MS)) {
    try {
      await startOrAbandon(deps, options, operation);
    } catch (error) {
      deps.logger.warn(
        { err: error, operationId: operation.id },
        'an operation could not be started; it is tried again',
      );
    }
  }
}

async function startOrAbandon(
  deps: Dependencies,
  { limits }: ReconcilerOptions,
  operation: Awaited<ReturnType<typeof unboundOperations>>[number],
): Promise<void> {
  if (operation.age_ms >= limits.startMs) {
    const minutes = Math.round(limits.startMs / 60_000);
    const message = `it could not be started within ${minutes} minutes; nothing was done, and the lock is free`;
    await abandon(deps, operation.id, null, 'NOT_STARTED_IN_TIME', message);
    return;
  }
  if (await startOperation(deps.client, operation, limits)) {
    deps.logger.info({ operationId: operation.id, vmId: operation.vm_id }, 'the reconciler started an operation');
    return;
  }
  // Started, and not begun: it waits for a worker, or it ended before it began anything.
  const lost = await howLost(deps, operation.workflow_id, undefined);
  if (lost !== undefined) await abandon(deps, operation.id, null, 'RUN_LOST', `${lost}; nothing was done`);
}

async function abandon(
  deps: Dependencies,
  operationId: string,
  runId: string | null,
  code: 'NOT_STARTED_IN_TIME' | 'RUN_LOST',
  message: string,
): Promise<void> {
  if (await abandonOperation(deps.db, operationId, runId, { code, message }, WRITE_SETTLED_MS)) {
    deps.logger.error({ operationId, code }, message);
  }
}

/** Ends operations whose run has ended without finishing them. The list of closed runs is only a hint: each is described. */
async function endLostRuns(deps: Dependencies, everything: boolean): Promise<void> {
  const state = await reconcilerState(deps.db);
  const now = deps.clock();
  const full = everything || now.getTime() - (state.full_pass_at?.getTime() ?? 0) >= FULL_PASS_MS;
  const open = await boundOpenOperations(deps.db);
  if (open.length > 0) {
    const suspects = full ? open : await closedSince(deps, open, state.closed_runs_watermark);
    for (const operation of suspects) {
      if (operation.run_id === null) continue;
      const lost = await howLost(deps, operation.workflow_id, operation.run_id);
      if (lost !== undefined) {
        const message = `${lost}; what it had begun is named as residue`;
        await abandon(deps, operation.id, operation.run_id, 'RUN_LOST', message);
      }
      if (full) await new Promise((resolve) => setTimeout(resolve, 1_000 / DESCRIBES_PER_SECOND));
    }
  }
  await advanceWatermark(deps.db, new Date(now.getTime() - VISIBILITY_LAG_MS));
  if (full) await recordFullPass(deps.db);
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
async function howLost(deps: Dependencies, workflowId: string, runId: string | undefined): Promise<string | undefined> {
  try {
    const { status } = await deps.client.workflow.getHandle(workflowId, runId).describe();
    return LOST_STATES[status.name];
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return 'Temporal no longer knows the run';
    throw error;
  }
}

/** Makes sure that every manager in use is watched, and that its results are checked for expiry. */
async function keepWatches(deps: Dependencies, options: ReconcilerOptions): Promise<void> {
  for (const manager of await usedManagers(deps.db)) {
    try {
      if (manager.needs_watch) await startWatch(deps, options, manager);
      await ensureExpiryCheck(deps, options, manager);
    } catch (error) {
      deps.logger.warn(
        { err: error, managerId: manager.id },
        'a backup manager could not be watched; it is tried again',
      );
    }
  }
}

async function startWatch(
  deps: Dependencies,
  { intervals, periodicTaskQueue }: ReconcilerOptions,
  manager: { readonly id: string; readonly name: string },
): Promise<void> {
  const input: WatchInput = {
    managerId: manager.id,
    managerName: manager.name,
    busyMs: intervals.watchMs,
    idleMs: Math.max(intervals.watchMs, Math.min(30_000, intervals.watchMs * 6)),
    resultsSyncMs: intervals.resultsSyncMs,
  };
  await deps.client.workflow.start('watchManager', {
    taskQueue: periodicTaskQueue,
    workflowId: `manager/${manager.name}~${tail(manager.id)}`,
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [input],
    staticSummary: `watch ${manager.name}`,
  });
}

async function ensureExpiryCheck(
  deps: Dependencies,
  { intervals, periodicTaskQueue }: ReconcilerOptions,
  manager: { readonly id: string; readonly name: string },
): Promise<void> {
  // Its id stays when the manager is renamed; the runs carry the name that a person looks for.
  const scheduleId = `expiry/${manager.id}`;
  try {
    await deps.client.schedule.create({
      scheduleId,
      spec: { intervals: [{ every: intervals.expiryCheckMs }], jitter: Math.min(60_000, intervals.expiryCheckMs / 10) },
      action: {
        type: 'startWorkflow',
        workflowType: 'checkExpiredResults',
        workflowId: `expiry/${manager.name}~${tail(manager.id)}`,
        taskQueue: periodicTaskQueue,
        args: [manager.id],
        staticSummary: `check expired results of ${manager.name}`,
      },
      // The default catch-up window is a year: after an outage one check is enough.
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1 minute' },
    });
  } catch (error) {
    if (!(error instanceof Error && error.name === 'ScheduleAlreadyRunning')) throw error;
  }
}
