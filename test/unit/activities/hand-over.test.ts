import { CancelledFailure, type Context } from '@temporalio/activity';
import { expect, test } from 'vitest';
import { handOverWhen } from '../../../activities/hand-over.ts';

const HANDED_OVER = { type: 'HANDED_OVER', nonRetryable: false };

function execute(stopping: boolean, activity: () => Promise<unknown>): Promise<unknown> {
  const { inbound } = handOverWhen(() => stopping)({} as Context);
  if (inbound?.execute === undefined) throw new Error('activities are not intercepted');
  return inbound.execute({ args: [], headers: {} }, activity);
}

test('a worker that stops begins nothing', async () => {
  let begun = false;
  const activity = async () => {
    begun = true;
  };
  await expect(execute(true, activity)).rejects.toMatchObject(HANDED_OVER);
  expect(begun).toBe(false);
});

test('what is broken off because the worker stops is handed over', async () => {
  const activity = () => Promise.reject(new CancelledFailure('WORKER_SHUTDOWN'));
  await expect(execute(false, activity)).rejects.toMatchObject(HANDED_OVER);
});

test('what is cancelled, and what fails, stays as it is', async () => {
  for (const error of [new CancelledFailure('CANCELLED'), new Error('no room')]) {
    await expect(execute(false, () => Promise.reject(error))).rejects.toBe(error);
  }
});

test('what ends well, ends well', async () => {
  expect(await execute(false, async () => 'done')).toBe('done');
});
