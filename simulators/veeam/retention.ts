import type { SimpleRetention } from './job-shape.ts';
import type { Point } from './state.ts';

const DAY_MS = 86_400_000;

/** What the job's retention lets go of one machine's points, given oldest first. A point that is being restored stays. */
export function expiredPoints(
  points: readonly Point[],
  { RetainLimitType, RetainCycles, RetainDaysToKeep }: SimpleRetention,
  now: number,
  inUse: ReadonlySet<string>,
): Point[] {
  const complete = points.filter(({ readyAt }) => readyAt !== undefined);
  const expired =
    RetainLimitType === 'Cycles'
      ? complete.slice(0, Math.max(0, complete.length - RetainCycles))
      : complete.slice(0, -1).filter(({ createdAt }) => createdAt < now - RetainDaysToKeep * DAY_MS);
  return expired.filter(({ id }) => !inUse.has(id));
}
