/** Refreshes of schedules: what fails is left as it is, since there is nothing to go back to. */
import { describe, test } from 'vitest';
import type { PlannedStep } from '../../domain/plan.ts';
import { FENCED, OperationHistory, planned, recovered, REFUSAL, schedule } from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

describe('a refresh of a schedule', () => {
  const operation = planned('SCHEDULE_REFRESH', { currentSchedules: [schedule('m1')] });
  const [apply] = operation.plan as [PlannedStep];
  const begun = () => new OperationHistory(operation).begins();

  test('applies it again', () => follows(begun().takes([apply]).finishes('SUCCEEDED')));

  test('that is refused undoes nothing, and asks for a person', () =>
    follows(
      begun()
        .fails(...begun().attempt(apply), REFUSAL)
        .needsAttention(true)
        .finishes('FAILED', REFUSAL),
    ));

  test('is not disturbed by a cancellation', async () => {
    const history = begun();
    history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.attempt(apply));
    await follows(history.finishes('SUCCEEDED'));
  });

  test('that is cancelled before it begins goes on too', () =>
    follows(new OperationHistory(operation).cancelRequested().begins().takes([apply]).finishes('SUCCEEDED')));

  test('that belongs to another run is left to it', () =>
    follows(
      begun()
        .fails(...begun().attempt(apply), FENCED)
        .failed('FENCED'),
    ));

  test.each(['BEGUN', 'DONE', null] as const)('whose run was lost (%s) goes forward', (before) =>
    follows(
      new OperationHistory(recovered(operation, 'FORWARD', () => before)).begins().takes([apply]).finishes('SUCCEEDED'),
    ),
  );

  test('whose run was lost, and which is refused then, has failed', () => {
    const history = new OperationHistory(recovered(operation, 'FORWARD', () => 'BEGUN')).begins();
    return follows(
      history
        .fails(...history.attempt(apply), REFUSAL)
        .needsAttention(true)
        .finishes('FAILED', REFUSAL),
    );
  });
});
