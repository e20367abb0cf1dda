/**
 * How far the clock of a backup system is from ours.
 * @module
 */

/**
 * A `Date` header is cut to the second, so the clock was half a second later on average; and nobody knows when within
 * the call it was read. Less than this is no skew that anybody could tell.
 */
const UNTOLD_MS = 1_500;

/**
 * The other clock minus ours, in whole seconds; 0 for what cannot be told from the same time.
 * @param shown the `Date` header of an answer.
 * @param asked when the call began, by our clock.
 * @param answered when its answer was there.
 */
export function clockSkewSeconds(shown: Date, asked: Date, answered: Date): number {
  const middle = (asked.getTime() + answered.getTime()) / 2;
  const skew = shown.getTime() + 500 - middle;
  return Math.abs(skew) < UNTOLD_MS ? 0 : Math.round(skew / 1_000);
}
