/**
 * The Enterprise Manager shows what was done some time after it was done.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CallContext } from '../../calls.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 3_000;

/** Looks until there is something, or the time is over: then `undefined`. The time is the clock's, not a count of looks. */
export async function shown<T>(
  context: CallContext,
  timeoutSeconds: number,
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const deadline = performance.now() + timeoutSeconds * 1_000;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const found = await look();
    if (found !== undefined) return found;
    const left = deadline - performance.now();
    if (left <= 0) return undefined;
    await sleep(Math.min(pause, left), undefined, { signal: context.signal }).catch(() =>
      context.signal.throwIfAborted(),
    );
  }
}
