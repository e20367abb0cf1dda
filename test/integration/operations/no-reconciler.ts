/**
 * Moments in which no reconciler does anything, though workers run.
 * @module
 */
import { becomeReconciler } from '../../../db/reconciler.ts';
import { until, type World } from './world.ts';

/** Does the work as if it were a pass of the reconciler: there is one at a time, so all others wait for its end. */
export async function withoutReconciler<T>({ db }: World, work: () => Promise<T>): Promise<T> {
  let done: { readonly answer: T } | undefined;
  await until(
    'the pass of the reconciler ends',
    () =>
      becomeReconciler(db, async () => {
        done = { answer: await work() };
      }),
    (worked) => worked,
  );
  if (done === undefined) throw new Error('the work was not done');
  return done.answer;
}
