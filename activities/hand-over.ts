/**
 * Stopping a worker: what it is doing is handed over to another one, at once and without being taken for cancelled.
 * @module
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { ApplicationFailureCategory } from '@temporalio/common';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';

/** How long running activities may go on when their worker is asked to stop; then they are asked to stop too. */
export const STOP_GRACE_MS = 5_000;

/** Soon, but not so soon that a worker whose last poll is still open gets it back again and again. */
const TAKEN_UP_IN_MS = 50;

/** What became of an attempt that was handed over. */
export const HANDED_OVER = 'the worker stops; another one goes on';

/**
 * Whether an activity was stopped because its worker stops. The SDK tells an activity so in the words of the same error
 * that a cancelled operation's activity gets (sdk-core, `ActivityCancelReason::WorkerShutdown`).
 */
export function stopsWithItsWorker(error: unknown): boolean {
  return error instanceof CancelledFailure && error.message === 'WORKER_SHUTDOWN';
}

/**
 * The failure by which an attempt is handed over: the next one begins at once, on another worker. The SDK would report
 * a failure too, but with the pause that the retry policy has reached by then.
 */
function handOver(): ApplicationFailure {
  const told = { code: 'CANCELLED', message: 'the operation was cancelled while its worker stopped' };
  return ApplicationFailure.create({
    type: 'HANDED_OVER',
    message: HANDED_OVER,
    nextRetryDelay: TAKEN_UP_IN_MS,
    category: ApplicationFailureCategory.BENIGN,
    // The workflow sees this failure only when it has asked the activity to stop: then there is no next attempt.
    details: [told],
  });
}

/**
 * Hands over what an activity was doing when its worker stopped, and what would begin while it stops: nothing is begun
 * that may have to be broken off.
 * @param stopping whether the worker has been asked to stop.
 */
export function handOverWhen(stopping: () => boolean): ActivityInterceptorsFactory {
  return () => ({
    inbound: {
      async execute(input, next) {
        if (stopping()) throw handOver();
        try {
          return await next(input);
        } catch (error) {
          throw stopsWithItsWorker(error) ? handOver() : error;
        }
      },
    },
  });
}
