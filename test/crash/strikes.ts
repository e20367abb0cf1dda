/**
 * How each fault strikes operations that are where they shall be.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Holds } from './holds.ts';
import type { LostRun } from './live-owner.ts';
import { patiently, type Stage, waitFor } from './stage.ts';
import type { Trial } from './trials.ts';

/** Faults that strike one run. */
export type RunFault = 'terminated' | 'reset' | 'cancelled';

/** How long a worker stays frozen. Milliseconds. */
const FROZEN_MS = 60_000;
/** In this time a worker that wakes does what it was about to do. Milliseconds. */
const AWAKE_MS = 5_000;
/** What was kept back goes on so long after the fault: a request that is on the wire reaches its system soon. */
const AFTERMATH_MS = 1_500;

/** Strikes all trials of a round, and lets go what was held. Answers the runs that it ended. */
export async function strike(stage: Stage, trials: readonly Trial[], holds: Holds): Promise<LostRun[]> {
  const group = trials[0]?.cell.fault.group;
  switch (group) {
    case 'worker':
      await killWorker(stage, trials, holds);
      return [];
    case 'frozen worker':
      return await freeze(stage, trials, holds);
    case 'temporal':
    case 'database':
      await stage.kill(group);
      await holds.release();
      return [];
    case 'runs': {
      const lost = await Promise.all(trials.map((trial) => strikeRun(stage, trial.cell.fault.name as RunFault, trial)));
      await sleep(AFTERMATH_MS);
      await holds.release();
      return lost.flatMap((run) => run ?? []);
    }
    case 'api':
      await stage.kill('api');
      await holds.release();
      return [];
    case undefined:
      return [];
  }
}

async function killWorker(stage: Stage, trials: readonly Trial[], holds: Holds): Promise<void> {
  await stage.kill('worker');
  const unrecorded = trials.filter(({ cell }) => cell.fault.name === 'killed-unrecorded');
  await holds.abandonStatements(unrecorded.flatMap(({ hold }) => hold ?? []));
  // A request whose client is dead goes nowhere: it is seen to go before anything is let go.
  await waitFor(
    async () => [...(await holds.holding())].some(({ hold }) => hold.system !== 'database' && hold.when === 'before'),
    (held) => !held,
    5_000,
    20,
  );
  await holds.release();
}

/**
 * The frozen worker's attempts are taken over by another one, in the same run or in one that carries a lost run on; when
 * it wakes it believes that nothing has happened.
 */
async function freeze(stage: Stage, trials: readonly Trial[], holds: Holds): Promise<LostRun[]> {
  const wake = stage.freezeWorker();
  const since = Date.now();
  try {
    const losing = trials.filter(({ cell }) => cell.fault.name === 'frozen-lost');
    const lost = await Promise.all(losing.map((trial) => strikeRun(stage, 'terminated', trial)));
    await sleep(AFTERMATH_MS);
    await holds.release();
    await stage.startSecondWorker();
    await sleep(Math.max(0, FROZEN_MS - (Date.now() - since)));
    return lost.flatMap((run) => run ?? []);
  } finally {
    wake();
    await sleep(AWAKE_MS);
  }
}

/** Ends one run, or asks to. */
export async function strikeRun(
  stage: Stage,
  fault: RunFault,
  trial: Pick<Trial, 'operationId' | 'decision'>,
): Promise<LostRun | undefined> {
  const { operationId } = trial;
  // It never came into being: that is told where the trial is judged.
  if (operationId === '') return undefined;
  if (fault === 'cancelled') {
    const answer = await patiently(() => stage.api('POST', `/v1/operations/${operationId}/cancel`));
    if (answer.status === 202) trial.decision = String(answer.body['decision']);
    else if (answer.status === 404) await cancelRun(stage, operationId);
    else throw new Error(`cancel: ${answer.status} ${JSON.stringify(answer.body)}`);
    return undefined;
  }
  const [run] = await stage.rows<{ workflow_id: string; run_id: string | null }>(
    'select workflow_id, run_id from operation where id = $1 and finished_at is null',
    [operationId],
  );
  if (run === undefined || run.run_id === null) return undefined;
  const handle = stage.temporal.workflow.getHandle(run.workflow_id, run.run_id);
  try {
    if (fault === 'terminated') await handle.terminate('a trial');
    else await reset(stage, run.workflow_id, run.run_id);
  } catch (error) {
    // It ended before the fault reached it.
    if (error instanceof Error && /not ?found|already completed/i.test(`${error.name} ${error.message}`))
      return undefined;
    throw error;
  }
  return { operationId, workflowId: run.workflow_id, runId: run.run_id };
}

/** As the Temporal UI does it. */
async function cancelRun(stage: Stage, operationId: string): Promise<void> {
  const [run] = await stage.rows<{ workflow_id: string }>('select workflow_id from operation where id = $1', [
    operationId,
  ]);
  if (run !== undefined) await stage.temporal.workflow.getHandle(run.workflow_id).cancel();
}

/** To the end of its first workflow task: everything that it did is forgotten, and done again if nobody prevents it. */
async function reset(stage: Stage, workflowId: string, runId: string): Promise<void> {
  const { workflowService } = stage.temporal;
  const { history } = await workflowService.getWorkflowExecutionHistory({
    namespace: 'default',
    execution: { workflowId, runId },
    maximumPageSize: 20,
  });
  const first = history?.events?.find((event) => event.workflowTaskCompletedEventAttributes != null);
  if (first?.eventId == null) throw new Error(`${workflowId} has not begun`);
  await workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId, runId },
    reason: 'a trial',
    workflowTaskFinishEventId: first.eventId,
    requestId: `${runId}-reset`,
  });
}
