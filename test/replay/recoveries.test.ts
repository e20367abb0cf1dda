/** What a recovery does with an operation whose run was lost, wherever that was. */
import { describe, test } from 'vitest';
import type { PlannedStep } from '../../domain/plan.ts';
import { SESSION_CHANGED } from '../../workflows/contract.ts';
import { OPERATIONS } from './lifecycle-operations.ts';
import {
  CANCELLED,
  FENCED,
  failedThere,
  HOUR,
  irreversible,
  OPERATION_ID,
  OperationHistory,
  planned,
  recovered,
  REFUSAL,
  reversible,
  RUN_LOST,
  schedule,
  session,
  told,
} from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

const cancel = (history: OperationHistory) => void history.cancelRequested();
const AWAY = { code: 'HYPERVISOR_UNREACHABLE', message: 'away' };

describe.each(OPERATIONS)('$kind, lost before its point of no return', (operation) => {
  const steps = reversible(operation);
  /** Lost while that step was being taken. */
  const lostAt = (step: PlannedStep, cancelled = false) => {
    const index = steps.indexOf(step);
    const before = (each: PlannedStep) => {
      const position = steps.indexOf(each);
      if (position < 0 || position > index) return null;
      return position === index ? 'BEGUN' : 'DONE';
    };
    return new OperationHistory(recovered(operation, 'UNDO', before, cancelled)).begins();
  };
  const eachStep = steps.map((step, index) => ({ step, name: told(step), upTo: steps.slice(0, index + 1) }));

  test('nothing was begun: nothing is undone', () =>
    follows(new OperationHistory(recovered(operation, 'UNDO', () => null)).begins().finishes('ROLLED_BACK', RUN_LOST)));

  test.each(eachStep)('in $name: it and all before it are undone, the last one first', ({ step, upTo }) =>
    follows(lostAt(step).undoes(upTo).finishes('ROLLED_BACK', RUN_LOST)),
  );

  test.each(eachStep)('in $name, after a cancel was promised: it ends cancelled', ({ step, upTo }) =>
    follows(lostAt(step, true).undoes(upTo).finishes('CANCELLED', CANCELLED)),
  );

  test.each(eachStep)('in $name; a cancellation while it is undone changes nothing', async ({ step, upTo }) => {
    const history = lostAt(step);
    for (const each of upTo.toReversed()) history.meanwhile(cancel, ...history.undo(each));
    history.meanwhile(cancel, ...history.end('ROLLED_BACK', RUN_LOST), 'ROLLED_BACK');
    await follows(history.failed('ROLLED_BACK'));
  });

  test.each(eachStep)(
    'in $name, which cannot be undone: the others are undone all the same',
    async ({ step, upTo }) => {
      const history = lostAt(step);
      history
        .fails(...history.undo(step), AWAY)
        .undoes(upTo.slice(0, -1))
        .needsAttention(true);
      await follows(history.finishes('ROLLED_BACK_WITH_RESIDUE', RUN_LOST));
    },
  );

  test.each(eachStep)('in $name, and this run is overtaken too: it is left to the next one', ({ step }) =>
    follows(
      lostAt(step)
        .fails(...lostAt(step).undo(step), FENCED)
        .failed('FENCED'),
    ),
  );

  test.each(eachStep)('while $name was being undone: what is undone is not undone again', ({ step, upTo }) => {
    const index = steps.indexOf(step);
    const before = (each: PlannedStep) => {
      if (!steps.includes(each)) return null;
      return steps.indexOf(each) > index ? 'UNDONE' : 'DONE';
    };
    const history = new OperationHistory(recovered(operation, 'UNDO', before)).begins();
    return follows(history.undoes(upTo).finishes('ROLLED_BACK', RUN_LOST));
  });
});

describe.each(OPERATIONS.filter((operation) => irreversible(operation).length > 0))(
  '$kind, lost past its point of no return',
  (operation) => {
    const forward = irreversible(operation);
    const lostAt = (step: PlannedStep) => {
      const index = operation.plan.indexOf(step);
      const before = (each: PlannedStep) => {
        const position = operation.plan.indexOf(each);
        if (position > index) return null;
        return position === index ? 'BEGUN' : 'DONE';
      };
      return new OperationHistory(recovered(operation, 'FORWARD', before)).begins();
    };
    const eachStep = forward.map((step, index) => ({ step, name: told(step), before: forward.slice(0, index) }));
    /** Crossed again: the database says that it was. */
    const goesOn = (step: PlannedStep) => lostAt(step).does('crossPointOfNoReturn', [OPERATION_ID], true);

    test.each(eachStep)('in $name: only what lies past it is done', ({ step }) =>
      follows(goesOn(step).takes(forward).finishes('SUCCEEDED')),
    );

    test.each(eachStep)('in $name: it cannot be cancelled', async ({ step }) => {
      const history = lostAt(step).meanwhile(cancel, 'crossPointOfNoReturn', [OPERATION_ID], true);
      for (const each of forward) history.meanwhile(cancel, ...history.attempt(each));
      history.meanwhile(cancel, ...history.end('SUCCEEDED', null), 'SUCCEEDED');
      await follows(history.succeeded());
    });

    test.each(eachStep)(
      '$name is refused: what the VM is like is looked up, and nothing is undone',
      ({ step, before }) =>
        follows(
          goesOn(step)
            .takes(before)
            .fails(...lostAt(step).attempt(step), REFUSAL)
            .seesVm()
            .finishes('FAILED', REFUSAL),
        ),
    );

    test.each(eachStep)('$name belongs to another run: it is left to it', ({ step, before }) =>
      follows(
        goesOn(step)
          .takes(before)
          .fails(...lostAt(step).attempt(step), FENCED)
          .failed('FENCED'),
      ),
    );
  },
);

describe('a backup whose run was lost', () => {
  const operation = planned('BACKUP', { managerId: 'm1' });
  const [request, , record] = operation.plan as [PlannedStep, PlannedStep, PlannedStep];
  const watching = (cancelled = false) =>
    new OperationHistory(
      recovered(operation, 'WATCH', (step) => (step === request ? 'BEGUN' : null), cancelled),
    ).begins();

  test('after it may have been started is looked for, watched on and recorded', async () => {
    const history = watching().takes([request]).looks(session('RUNNING')).waits(HOUR);
    history.hears(SESSION_CHANGED).stopsWaiting().looks(session('SUCCEEDED'));
    await follows(history.takes([record]).finishes('SUCCEEDED'));
  });

  test('and which has failed there has failed', () =>
    follows(
      watching()
        .takes([request])
        .looks(session('FAILED', 'disk full'))
        .takes([record])
        .undoes([request])
        .finishes('FAILED', failedThere('BACKUP')),
    ));

  test('and which was never started has failed', async () => {
    const history = watching();
    history.fails(...history.attempt(request), REFUSAL);
    await follows(history.undoes([request]).finishes('FAILED', REFUSAL));
  });

  test('after a cancel was promised is stopped', () =>
    follows(
      watching(true)
        .takes([request])
        .decides(true)
        .asksToStop()
        .looks(session('CANCELLED'))
        .takes([record])
        .undoes([request])
        // Nobody has cancelled this run: it fails, telling that the operation was cancelled.
        .finishes('CANCELLED', CANCELLED),
    ));

  test('can still be cancelled while it watches', () =>
    follows(
      watching()
        .takes([request])
        .looks(session('RUNNING'))
        .waits(HOUR)
        .cancelRequested()
        .stopsWaiting()
        .decides(true)
        .asksToStop()
        .looks(session('CANCELLED'))
        .takes([record])
        .undoes([request])
        .finishesCancelled(),
    ));

  test('before it was started is undone, and asks nobody for anything', () =>
    follows(
      new OperationHistory(recovered(operation, 'UNDO', (step) => (step === request ? 'BEGUN' : null)))
        .begins()
        .undoes([request])
        .finishes('FAILED', RUN_LOST),
    ));
});

describe('a restore whose run was lost', () => {
  const operation = planned('RESTORE', {
    managerId: 'm1',
    currentSchedules: [schedule('m1')],
    desiredSchedules: [schedule('m1')],
  });
  const [request, , refresh, , reschedule, record] = operation.plan as [
    PlannedStep,
    PlannedStep,
    PlannedStep,
    PlannedStep,
    PlannedStep,
    PlannedStep,
  ];
  const watching = () =>
    new OperationHistory(recovered(operation, 'WATCH', (step) => (step === request ? 'BEGUN' : null))).begins();
  const succeeded = session('SUCCEEDED', null, 'RESTORE');

  test('does not ask the backup systems for running sessions: it may be its own', () =>
    follows(watching().takes([request]).looks(succeeded).takes([refresh, reschedule, record]).finishes('SUCCEEDED')));

  test('is not cancelled', async () => {
    const history = watching();
    history.meanwhile(cancel, ...history.attempt(request)).looks(succeeded);
    for (const step of [refresh, reschedule, record]) history.meanwhile(cancel, ...history.attempt(step));
    await follows(history.finishes('SUCCEEDED'));
  });

  test('and which was never started has failed, and is not started', async () => {
    const never = { code: 'RESTORE_NOT_STARTED', message: 'it was not started a second time' };
    await follows(
      watching()
        .fails(...watching().attempt(request), never)
        .finishes('FAILED', never),
    );
  });

  test('before it was started has had no effect', () =>
    follows(new OperationHistory(recovered(operation, 'UNDO', () => null)).begins().finishes('FAILED', RUN_LOST)));
});

test('what the backup system does by itself is watched on when its run was lost', () => {
  const operation = planned('SCHEDULED_BACKUP', { origin: 'BACKUP_SYSTEM', managerId: 'm1' });
  const [observe, , , record] = operation.plan as [PlannedStep, PlannedStep, PlannedStep, PlannedStep];
  const history = new OperationHistory(recovered(operation, 'WATCH', (step) => (step === observe ? 'DONE' : null)));
  return follows(history.begins().takes([observe]).looks(session('SUCCEEDED')).takes([record]).finishes('SUCCEEDED'));
});
