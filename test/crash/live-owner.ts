/**
 * From the end of a run to a live owner of its operation: the start of the run that carries it on, or the free lock.
 * @module
 */
import type { Stage } from './stage.ts';

/** A run that was ended while its operation was open. */
export interface LostRun {
  readonly operationId: string;
  readonly workflowId: string;
  readonly runId: string;
}

/** How long each lost operation was without an owner, in milliseconds; a run that had ended its operation is left out. */
export async function ownerlessTimes(stage: Stage, lost: readonly LostRun[]): Promise<number[]> {
  const times = await Promise.all(lost.map((run) => ownerlessTime(stage, run)));
  return times.filter((time) => time !== undefined);
}

async function ownerlessTime(stage: Stage, { operationId, workflowId, runId }: LostRun): Promise<number | undefined> {
  const [operation] = await stage.rows<{ finished_at: Date | null }>(
    'select finished_at from operation where id = $1',
    [operationId],
  );
  const ended = (await stage.temporal.workflow.getHandle(workflowId, runId).describe()).closeTime?.getTime();
  if (ended === undefined || operation === undefined) return undefined;
  const finished = operation.finished_at?.getTime();
  if (finished !== undefined && finished <= ended) return undefined;
  const carriedOn = await recoveryStart(stage, workflowId);
  const owned = Math.min(carriedOn ?? Number.POSITIVE_INFINITY, finished ?? Number.POSITIVE_INFINITY);
  return Number.isFinite(owned) ? Math.max(0, owned - ended) : Date.now() - ended;
}

/** When the recovery of that run began. */
async function recoveryStart(stage: Stage, workflowId: string): Promise<number | undefined> {
  const [, base = workflowId, number = '0'] = /^(.*?)(?:\/recovery-(\d+))?$/.exec(workflowId) ?? [];
  try {
    const handle = stage.temporal.workflow.getHandle(`${base}/recovery-${Number(number ?? 0) + 1}`);
    return (await handle.describe()).startTime.getTime();
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') return undefined;
    throw error;
  }
}

/** How times are distributed. */
export interface Distribution {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
  /** How many are longer than 60 s. */
  readonly tooLong: number;
}

/** @param times in milliseconds. */
export function distributionOf(times: readonly number[]): Distribution {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return {
    count: sorted.length,
    p50: at(0.5),
    p95: at(0.95),
    max: sorted.at(-1) ?? 0,
    tooLong: sorted.filter((time) => time > 60_000).length,
  };
}
