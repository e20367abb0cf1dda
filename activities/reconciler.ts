/**
 * The reconciler: what nobody else will do any more, it does. It starts what was not started, ends what could not be
 * started in time, hands over what a lost run had begun to a recovery run, repeats what a run may not have heard, and
 * keeps the watch over every backup manager going.
 *
 * A timer in every worker, one at a time by an advisory lock; not a Temporal Schedule, whose runs would bury the
 * operators' list.
 * @module
 */
import { ScheduleOverlapPolicy } from '@temporalio/client';
import { abandonOperation } from '../db/finish.ts';
import { operationsToCancel, unboundOperations } from '../db/operation-starts.ts';
import { becomeReconciler } from '../db/reconciler.ts';
import { trySettle, unsettledOperations } from '../db/settlement.ts';
import { usedManagers } from '../db/watches.ts';
import { tail } from '../domain/operations.ts';
import type { Config } from '../temporal.config.ts';
import type { WatchInput } from '../workflows/contract.ts';
import { startOperation } from '../workflows/start.ts';
import { WRITE_SETTLED_MS } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { carryOn, carryOnLostRuns, howLost } from './lost-runs.ts';

/** An operation younger than this is being started by the request that made it. Milliseconds. */
const STARTING_MS = 5_000;

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
        if (await becomeReconciler(deps.db, () => reconcile(deps, options, first))) first = false;
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
    () => carryOnLostRuns(deps, options.limits, everything),
    () => repeatCancels(deps),
    () => endSettled(deps),
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

type Unbound = Awaited<ReturnType<typeof unboundOperations>>[number];

async function startOrAbandon(deps: Dependencies, { limits }: ReconcilerOptions, operation: Unbound): Promise<void> {
  // A recovery is never given up: what the lost run had begun would stay as it is.
  if (operation.recovery === 0 && operation.age_ms >= limits.startMs) {
    const minutes = Math.round(limits.startMs / 60_000);
    const message = `it could not be started within ${minutes} minutes; nothing was done, and the lock is free`;
    await abandon(deps, operation.id, 'NOT_STARTED_IN_TIME', message);
    return;
  }
  if (await startOperation(deps.client, operation, limits)) {
    deps.logger.info({ operationId: operation.id, vmId: operation.vm_id }, 'the reconciler started an operation');
    return;
  }
  // Started, and not begun: it waits for a worker, or it ended before it began anything.
  const lost = await howLost(deps, operation.workflow_id, undefined);
  if (lost === undefined) return;
  if (operation.recovery > 0) await carryOn(deps, limits, operation.id, null, lost);
  else await abandon(deps, operation.id, 'RUN_LOST', `${lost}; nothing was done`);
}

async function abandon(
  deps: Dependencies,
  operationId: string,
  code: 'NOT_STARTED_IN_TIME' | 'RUN_LOST',
  message: string,
): Promise<void> {
  if (await abandonOperation(deps.db, operationId, { code, message })) {
    deps.logger.error({ operationId, code }, message);
  }
}

/** Tells runs of a cancel that was promised: the word of the request that promised it may have been lost. */
async function repeatCancels(deps: Dependencies): Promise<void> {
  for (const operation of await operationsToCancel(deps.db)) {
    if (operation.run_id === null) continue;
    await deps.client.workflow
      .getHandle(operation.workflow_id, operation.run_id)
      .cancel()
      .catch((error: unknown) =>
        deps.logger.warn(
          { err: error, operationId: operation.id },
          'a cancel could not be passed on; it is tried again',
        ),
      );
  }
}

/** Ends what an operator has settled, as soon as nothing that was written can still take effect. */
async function endSettled(deps: Dependencies): Promise<void> {
  for (const operationId of await unsettledOperations(deps.db)) await trySettle(deps.db, operationId, WRITE_SETTLED_MS);
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
