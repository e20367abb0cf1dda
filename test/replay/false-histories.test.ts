/** The other replay tests are worth something only if a history that the code does not follow is noticed. */
import { expect, test } from 'vitest';
import { OperationHistory, planned, REFUSAL, reversible } from './operation-history.ts';
import { withReplay } from './replay.ts';

const operation = planned('DEPLOY');
const steps = reversible(operation);
const { replay } = withReplay();

const begun = () => new OperationHistory(operation).begins();

test('steps in another order are a violation of determinism', async () => {
  const { error } = await replay(begun().takes(steps.toReversed()).finishes('SUCCEEDED'));
  expect(error?.name).toBe('DeterminismViolationError');
});

test('another end of the run is a violation of determinism', async () => {
  const history = begun().takes(steps);
  const { error } = await replay(history.does(...history.end('SUCCEEDED', null), 'SUCCEEDED').failed('FAILED'));
  expect(error?.name).toBe('DeterminismViolationError');
});

test('a step that is not waited for when it is cancelled is a violation of determinism', async () => {
  const [first] = steps;
  if (first === undefined) throw new Error('a deploy has steps');
  const { error } = await replay(
    begun()
      .isLeft(...begun().attempt(first))
      .decides(true),
  );
  expect(error?.name).toBe('DeterminismViolationError');
});

test('undos in another order are seen in what the workflow asked for', async () => {
  const history = begun().takes(steps.slice(0, -1));
  for (const last of steps.slice(-1)) history.fails(...history.attempt(last), REFUSAL);
  // The server compares the activities' types alone: all undos are one type.
  history.undoes(steps.toReversed()).finishes('ROLLED_BACK', REFUSAL);
  const { commands, error } = await replay(history);
  expect(error).toBeUndefined();
  expect(commands).not.toEqual(history.commands);
});
