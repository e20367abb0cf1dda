/** Deploy, reconfigure, undeploy and power: what is undone, in which order, whatever fails and whenever it is cancelled. */
import { describe, expect, test } from 'vitest';
import { ASK_FIRST, both, OPERATIONS } from './lifecycle-operations.ts';
import {
  CANCELLED,
  FENCED,
  hardware,
  irreversible,
  OPERATION_ID,
  OperationHistory,
  planned,
  REFUSAL,
  reversible,
  schedule,
  told,
} from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

const AWAY = { code: 'HYPERVISOR_UNREACHABLE', message: 'away' };

const cancel = (history: OperationHistory) => void history.cancelRequested();

describe.each(OPERATIONS)('$kind', (operation) => {
  const steps = reversible(operation);
  const forward = irreversible(operation);
  const asksFirst = ASK_FIRST.includes(operation.kind);
  const received = () => new OperationHistory(operation);
  const begun = () => (asksFirst ? received().begins().asksFirst() : received().begins());
  const crossed = () => begun().takes(steps).crosses(true);
  const eachStep = steps.map((step, index) => ({
    step,
    name: told(step),
    before: steps.slice(0, index),
    upTo: steps.slice(0, index + 1),
    next: steps[index + 1],
  }));

  test('takes its steps in order', async () => {
    await follows((forward.length > 0 ? crossed().takes(forward) : begun().takes(steps)).finishes('SUCCEEDED'));
  });

  test.each(eachStep)('$name fails: it and all before it are undone, the last one first', ({ step, before, upTo }) =>
    follows(
      begun()
        .takes(before)
        .fails(...begun().attempt(step), REFUSAL)
        .undoes(upTo)
        .finishes('ROLLED_BACK', REFUSAL),
    ),
  );

  test.each(eachStep)('$name is cancelled: it is waited for before anything is undone', ({ step, before, upTo }) =>
    follows(
      begun()
        .takes(before)
        .stops(...begun().attempt(step))
        .decides(true)
        .undoes(upTo)
        .finishesCancelled(),
    ),
  );

  test.each(eachStep)(
    '$name fails while it is asked to stop: it is cancelled, as was promised',
    ({ step, before, upTo }) =>
      follows(
        begun()
          .takes(before)
          .failsFirst(...begun().attempt(step), REFUSAL)
          .decides(true)
          .undoes(upTo)
          .finishesCancelled(),
      ),
  );

  test.each(eachStep)(
    '$name fails while it is asked to stop too late: the failure is what is told',
    ({ step, before, upTo }) =>
      follows(
        begun()
          .takes(before)
          .failsFirst(...begun().attempt(step), REFUSAL)
          .decides(false)
          .undoes(upTo)
          .finishes('ROLLED_BACK', REFUSAL),
      ),
  );

  // Where there is a point of no return, the last step before it is told of below.
  test.each(eachStep.filter(({ next }) => next !== undefined || forward.length === 0))(
    '$name is done before it hears of the cancellation: the operation is cancelled all the same',
    ({ step, before, upTo, next }) => {
      const history = begun().takes(before);
      history.completesFirst(...history.attempt(step));
      // The next step is registered before it would have begun; its undo finds nothing.
      if (next !== undefined) history.neverSchedules();
      return follows(
        history
          .decides(true)
          .undoes(next === undefined ? upTo : [...upTo, next])
          .finishesCancelled(),
      );
    },
  );

  test.each(eachStep.filter(({ next }) => next !== undefined))(
    'cancelled between $name and the next step: everything so far is undone',
    ({ upTo, next }) =>
      follows(
        begun()
          .takes(upTo)
          .cancelRequested()
          .neverSchedules()
          .decides(true)
          .undoes(next === undefined ? upTo : [...upTo, next])
          .finishesCancelled(),
      ),
  );

  test.each(eachStep)(
    '$name is cancelled and cannot be undone: that is told, not that it was cancelled',
    ({ step, before }) => {
      const history = begun().takes(before);
      history.stops(...history.attempt(step)).decides(true);
      history.fails(...history.undo(step), AWAY).undoes(before);
      return follows(history.needsAttention(true).finishes('ROLLED_BACK_WITH_RESIDUE', CANCELLED));
    },
  );

  test.each(eachStep)(
    '$name is being cancelled, which was decided otherwise: it has failed',
    ({ step, before, upTo }) =>
      follows(
        begun()
          .takes(before)
          .stops(...begun().attempt(step))
          .decides(false)
          .undoes(upTo)
          .finishes('ROLLED_BACK', CANCELLED),
      ),
  );

  test.each(eachStep)('$name belongs to another run: nothing is undone', ({ step, before }) =>
    follows(
      begun()
        .takes(before)
        .fails(...begun().attempt(step), FENCED)
        .failed('FENCED'),
    ),
  );

  test.each(eachStep)('the undo of $name fails: the others are undone all the same', async ({ step }) => {
    const history = begun().takes(steps.slice(0, -1));
    history.fails(...history.attempt(steps.at(-1) ?? step), REFUSAL);
    for (const undone of steps.toReversed()) {
      if (undone === step) history.fails(...history.undo(undone), AWAY);
      else history.undoes([undone]);
    }
    await follows(history.needsAttention(true).finishes('ROLLED_BACK_WITH_RESIDUE', REFUSAL));
  });

  test.each(eachStep)('the undo of $name belongs to another run: it goes on with it', async ({ step }) => {
    const last = steps.at(-1) ?? step;
    const history = begun().takes(steps.slice(0, -1));
    history.fails(...history.attempt(last), REFUSAL).undoes(steps.slice(steps.indexOf(step) + 1));
    await follows(history.fails(...history.undo(step), FENCED).failed('FENCED'));
  });

  test('a cancellation while it undoes changes nothing', async () => {
    const history = begun().takes(steps.slice(0, -1));
    history.fails(...history.attempt(steps.at(-1) as (typeof steps)[number]), REFUSAL);
    for (const step of steps.toReversed()) history.meanwhile(cancel, ...history.undo(step));
    history.meanwhile(cancel, ...history.end('ROLLED_BACK', REFUSAL), 'ROLLED_BACK');
    await follows(history.failed('ROLLED_BACK'));
  });

  test('it is another run’s from the beginning: nothing happens', () =>
    follows(received().fails('beginOperation', [OPERATION_ID], FENCED).failed('FENCED')));

  test('it is another run’s at the end: nothing is undone', async () => {
    const history = forward.length > 0 ? crossed().takes(forward) : begun().takes(steps);
    await follows(history.fails(...history.end('SUCCEEDED', null), FENCED).failed('FENCED'));
  });

  test('cancelled before it begins: no step is taken', () => {
    const history = received().cancelRequested().begins().neverSchedules().decides(true);
    return follows((asksFirst ? history : history.undoes(steps.slice(0, 1))).finishesCancelled());
  });

  test('cancelled while it begins: no step is taken', () => {
    const history = received();
    history.meanwhile(cancel, 'beginOperation', [OPERATION_ID], history.briefing()).neverSchedules().decides(true);
    return follows((asksFirst ? history : history.undoes(steps.slice(0, 1))).finishesCancelled());
  });
});

describe.each(OPERATIONS.filter(({ kind }) => ASK_FIRST.includes(kind)))(
  '$kind first asks the backup systems',
  (operation) => {
    const begun = () => new OperationHistory(operation).begins();

    test('a session is running: there was no effect, and nothing is undone', async () => {
      const busy = { code: 'VM_BEING_BACKED_UP', message: 'a backup is running' };
      await follows(
        begun()
          .fails(...begun().question(), busy)
          .finishes('ROLLED_BACK', busy),
      );
    });

    test('cancelled while it asks: there was no effect, and nothing is undone', () =>
      follows(
        begun()
          .stops(...begun().question())
          .decides(true)
          .finishesCancelled(),
      ));
  },
);

test('a cancel that was promised while the end was being recorded is kept', () => {
  const operation = planned('DEPLOY', { desiredSchedules: [schedule('m1')] });
  const steps = reversible(operation);
  const history = new OperationHistory(operation).begins().takes(steps);
  return follows(history.isRefusedTheEnd().decides(true).undoes(steps).finishes('CANCELLED', CANCELLED));
});

describe('what is not to be done', () => {
  test('a deploy without a policy calls no backup system', () => {
    const operation = planned('DEPLOY');
    return follows(new OperationHistory(operation).begins().takes(reversible(operation)).finishes('SUCCEEDED'));
  });

  test('a reconfigure that keeps its disks can be cancelled to the end: there is no point of no return', () => {
    const operation = planned('RECONFIGURE', {
      desiredSchedules: [schedule('m1')],
      hardware: { current: hardware(1, 10), desired: hardware(2, 10) },
    });
    const steps = reversible(operation);
    expect(steps.map(told)).toEqual(['RECONFIGURE', 'BACKUP_SCHEDULE in m1']);
    const history = new OperationHistory(operation).begins().asksFirst().takes(steps.slice(0, -1));
    for (const last of steps.slice(-1)) history.completesFirst(...history.attempt(last));
    return follows(history.decides(true).undoes(steps).finishesCancelled());
  });

  test('a reconfigure of one manager’s schedule leaves the other’s alone', () => {
    const operation = planned('RECONFIGURE', {
      currentSchedules: both,
      desiredSchedules: [schedule('m1'), schedule('m2', 'silver')],
      hardware: { current: hardware(1, 10), desired: hardware(1, 10) },
    });
    const steps = reversible(operation);
    expect(steps.map(told)).toEqual(['BACKUP_SCHEDULE in m2']);
    const history = new OperationHistory(operation).begins().asksFirst();
    for (const step of steps) history.fails(...history.attempt(step), REFUSAL);
    return follows(history.undoes(steps).finishes('ROLLED_BACK', REFUSAL));
  });

  test('an undeploy of a VM without schedules begins with its power', () => {
    const operation = planned('UNDEPLOY');
    const history = new OperationHistory(operation).begins().asksFirst().takes(reversible(operation)).crosses(true);
    return follows(history.takes(irreversible(operation)).finishes('SUCCEEDED'));
  });
});
