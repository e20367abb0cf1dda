/** Undeploys that go on past a backup system, and cleanups: what cannot be done is left, and keeps nothing else from being done. */
import { describe, test } from 'vitest';
import type { PlannedStep } from '../../domain/plan.ts';
import {
  FENCED,
  irreversible,
  LIMITS,
  OPERATION_ID,
  OperationHistory,
  type PlannedOperation,
  planned,
  recovered,
  REFUSAL,
  schedule,
} from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

describe('a forced undeploy', () => {
  const operation: PlannedOperation = {
    ...planned('UNDEPLOY', { currentSchedules: [schedule('m1'), schedule('m2')] }),
    told: { force: true },
  };
  const [first, second, off] = operation.plan as [PlannedStep, PlannedStep, PlannedStep];
  const begun = () => new OperationHistory(operation).begins().asksFirst();
  const refused = (step: PlannedStep, history = begun()) =>
    history.fails(...history.attempt(step), REFUSAL).needsAttention(true);

  test.each([
    ['the first', () => refused(first).takes([second])],
    ['the second', () => refused(second, begun().takes([first]))],
    ['neither', () => refused(second, refused(first))],
  ])('goes on when %s backup system does not remove its schedule', (_, history) =>
    follows(history().takes([off]).crosses(true).takes(irreversible(operation)).finishes('SUCCEEDED')),
  );

  test('is rolled back when the VM cannot be switched off: the schedules are put back', async () => {
    const history = begun().takes([first, second]);
    await follows(
      history
        .fails(...history.attempt(off), REFUSAL)
        .undoes([first, second, off])
        .finishes('ROLLED_BACK', REFUSAL),
    );
  });

  test('that belongs to another run is left to it', () =>
    follows(
      begun()
        .fails(...begun().attempt(first), FENCED)
        .failed('FENCED'),
    ));
});

describe('a cleanup', () => {
  const step = (name: PlannedStep['name'], managerId: string | null): PlannedStep => ({ name, managerId, skip: null });
  const hypervisor = step('CLEAN_HYPERVISOR', null);
  const m1 = step('CLEAN_BACKUP_SYSTEM', 'm1');
  const m2 = step('CLEAN_BACKUP_SYSTEM', 'm2');
  const steps = [hypervisor, m1, m2];
  const operation: PlannedOperation = { kind: 'CLEANUP', origin: 'HOLDFAST', plan: steps };
  const begun = () => new OperationHistory(operation).begins();

  test('clears one system after the other', () => follows(begun().takes(steps).finishes('SUCCEEDED')));

  test.each(steps.map((refusing) => ({ refusing, name: refusing.managerId ?? 'the hypervisor' })))(
    'cleans the others when $name refuses, and has failed',
    async ({ refusing }) => {
      const history = begun();
      for (const each of steps) {
        if (each === refusing) history.fails(...history.attempt(each), REFUSAL).needsAttention(true);
        else history.takes([each]);
      }
      await follows(history.finishes('FAILED', REFUSAL));
    },
  );

  test.each(steps)('is not disturbed by a cancellation ($name)', async (during) => {
    const history = begun();
    for (const each of steps) {
      if (each === during) history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.attempt(each));
      else history.takes([each]);
    }
    await follows(history.finishes('SUCCEEDED'));
  });

  test.each(steps)('that belongs to another run is left to it ($name)', async (taken) => {
    const history = begun().takes(steps.slice(0, steps.indexOf(taken)));
    await follows(history.fails(...history.attempt(taken), FENCED).failed('FENCED'));
  });

  test('whose run was lost is done again from its beginning', () =>
    follows(
      new OperationHistory(recovered(operation, 'FORWARD', (each) => (each === hypervisor ? 'DONE' : null)))
        .begins()
        .takes(steps)
        .finishes('SUCCEEDED'),
    ));

  test('whose run was lost, and which fails again, has failed', async () => {
    const history = new OperationHistory(recovered(operation, 'FORWARD', () => 'BEGUN')).begins();
    history.fails(...history.attempt(hypervisor), REFUSAL).needsAttention(true);
    await follows(history.takes([m1, m2]).finishes('FAILED', REFUSAL));
  });
});

test('nothing of an operation is forced or recovered that says nothing of it', () => {
  const history = new OperationHistory(planned('UNDEPLOY', { currentSchedules: [schedule('m1')] })).begins();
  const question = { operationId: OPERATION_ID, managerId: null, retryMs: LIMITS.stepRetryMs };
  return follows(history.fails('ensureNoSession', [question], FENCED).failed('FENCED'));
});
