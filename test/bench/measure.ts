/**
 * A closed loop and its statistics.
 * @module
 */

/** What a block of work showed. */
export interface Block {
  /** Completed per second. */
  readonly perSecond: number;
  /** Of each piece of work, in milliseconds. */
  readonly latencies: readonly number[];
}

/** Does all of the work with so many pieces in flight at once. */
export async function inParallel(inFlight: number, work: readonly (() => Promise<void>)[]): Promise<Block> {
  const latencies: number[] = [];
  const queue = work.values();
  const began = performance.now();
  const loop = async () => {
    for (const piece of queue) {
      const start = performance.now();
      await piece();
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return { perSecond: (work.length * 1_000) / (performance.now() - began), latencies };
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  if (low === undefined || high === undefined) throw new Error('there is no median of nothing');
  return (low + high) / 2;
}
