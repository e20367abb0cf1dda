/** A backup on demand: how its run waits for the backup system, and what can stop it. */
import { describe, test } from 'vitest';
import type { PlannedStep } from '../../domain/plan.ts';
import { SESSION_CHANGED } from '../../workflows/contract.ts';
import {
  CANCELLED,
  cancelledThere,
  FENCED,
  failedThere,
  HOUR,
  OPERATION_ID,
  OperationHistory,
  planned,
  REFUSAL,
  session,
} from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

const running = session('RUNNING');

describe('a backup', () => {
  const operation = planned('BACKUP', { managerId: 'm1' });
  const [request, , record] = operation.plan as [PlannedStep, PlannedStep, PlannedStep];
  const begun = () => new OperationHistory(operation).begins();
  const waiting = () => begun().takes([request]).looks(running).waits(HOUR);
  const heard = (history: OperationHistory) => history.hears(SESSION_CHANGED).stopsWaiting();

  test('hears of its end at once', () =>
    follows(heard(waiting()).looks(session('SUCCEEDED')).takes([record]).finishes('SUCCEEDED')));

  test('that ends with a warning has succeeded', () =>
    follows(heard(waiting()).looks(session('WARNING')).takes([record]).finishes('SUCCEEDED')));

  test('that hears nothing looks again every hour', () =>
    follows(
      waiting()
        .timePasses()
        .looks(running)
        .waits(HOUR)
        .timePasses()
        .looks(session('SUCCEEDED'))
        .takes([record])
        .finishes('SUCCEEDED'),
    ));

  test('that hears of something while it looks, looks again instead of waiting', () =>
    follows(
      begun()
        .takes([request])
        .meanwhile((history) => history.hears(SESSION_CHANGED), 'lookAtSession', [OPERATION_ID], running)
        .needNotWait(HOUR)
        .looks(session('SUCCEEDED'))
        .takes([record])
        .finishes('SUCCEEDED'),
    ));

  test('that heard of its end before it was asked for does not miss it', () =>
    follows(
      begun()
        .meanwhile((history) => history.hears(SESSION_CHANGED), ...begun().attempt(request))
        .looks(session('SUCCEEDED'))
        .takes([record])
        .finishes('SUCCEEDED'),
    ));

  test('of which nobody knows what became of it asks for attention until the truth is known', async () => {
    const lost = heard(waiting()).looks(session('UNKNOWN')).needsAttention(true).waits(HOUR);
    const found = lost.timePasses().looks(running).needsAttention(false).waits(HOUR);
    await follows(heard(found).looks(session('SUCCEEDED')).takes([record]).finishes('SUCCEEDED'));
  });

  test('that failed there is recorded, and has failed', () =>
    follows(
      heard(waiting())
        .looks(session('FAILED', 'disk full'))
        .takes([record])
        .undoes([request])
        .finishes('FAILED', failedThere('BACKUP')),
    ));

  test('that somebody cancelled at the console of the backup system has failed', () =>
    follows(
      heard(waiting()).looks(session('CANCELLED')).takes([record]).undoes([request]).finishes('FAILED', cancelledThere),
    ));

  test('that is refused has failed, and nothing is waited for', () =>
    follows(
      begun()
        .fails(...begun().attempt(request), REFUSAL)
        .undoes([request])
        .finishes('FAILED', REFUSAL),
    ));

  test('whose end cannot be recorded has failed', () =>
    follows(
      heard(waiting())
        .looks(session('SUCCEEDED'))
        .fails(...begun().attempt(record), REFUSAL)
        .undoes([request])
        .finishes('FAILED', REFUSAL),
    ));

  test('that is refused and may have left something is not done with', async () => {
    const history = begun();
    history.fails(...history.attempt(request), REFUSAL);
    history.fails(...history.undo(request), { code: 'BACKUP_SYSTEM_UNREACHABLE', message: 'away' });
    await follows(history.needsAttention(true).finishes('ROLLED_BACK_WITH_RESIDUE', REFUSAL));
  });

  test('whose session is not known any more has failed', () => {
    const lost = { code: 'SESSION_LOST', message: 'the operation has no session to wait for' };
    const history = begun().takes([request]).fails('lookAtSession', [OPERATION_ID], lost);
    return follows(history.undoes([request]).finishes('FAILED', lost));
  });

  describe('with replication', () => {
    const copied = planned('BACKUP', { managerId: 'm1', replication: true });
    const [ask, , write, replicate] = copied.plan as [PlannedStep, PlannedStep, PlannedStep, PlannedStep];
    const made = () => new OperationHistory(copied).begins().takes([ask]).looks(session('SUCCEEDED')).takes([write]);

    test('begins it when the backup is recorded, and does not wait for it', () =>
      follows(made().takes([replicate]).finishes('SUCCEEDED')));

    test('that failed is not replicated', () =>
      follows(
        new OperationHistory(copied)
          .begins()
          .takes([ask])
          .looks(session('FAILED', 'disk full'))
          .takes([write])
          .undoes([ask])
          .finishes('FAILED', failedThere('BACKUP')),
      ));

    test('that cannot be begun has failed, and says that the backup is there', () => {
      const history = made();
      const message = `the backup was made and can be restored; its replication could not be begun: ${REFUSAL.message}`;
      return follows(
        history
          .fails(...history.attempt(replicate), REFUSAL)
          .undoes([ask])
          .finishes('FAILED', { ...REFUSAL, code: 'BACKUP_REPLICATION_NOT_STARTED', message }),
      );
    });
  });

  describe('that is cancelled', () => {
    const stopping = () => waiting().cancelRequested().stopsWaiting().decides(true).asksToStop();

    test('is stopped there, and what became of it is seen', () =>
      follows(
        heard(stopping().looks(running).waits(HOUR))
          .looks(session('CANCELLED'))
          .takes([record])
          .undoes([request])
          .finishesCancelled(),
      ));

    test('has succeeded when its end came first', () =>
      follows(stopping().looks(session('SUCCEEDED')).takes([record]).finishes('SUCCEEDED')));

    test('has failed when it failed first', () =>
      follows(
        stopping()
          .looks(session('FAILED', 'disk full'))
          .takes([record])
          .undoes([request])
          .finishes('FAILED', failedThere('BACKUP')),
      ));

    test('is watched on when the cancellation is too late', async () => {
      const late = waiting().cancelRequested().stopsWaiting().decides(false).looks(running).waits(HOUR);
      await follows(heard(late).looks(session('SUCCEEDED')).takes([record]).finishes('SUCCEEDED'));
    });

    test('twice is asked to stop once', async () => {
      const again = stopping().looks(running).waits(HOUR).cancelRequested().doesNothing();
      await follows(heard(again).looks(session('CANCELLED')).takes([record]).undoes([request]).finishesCancelled());
    });

    test('while it looks is asked to stop at once', () =>
      follows(
        begun()
          .takes([request])
          .isLeft('lookAtSession', [OPERATION_ID])
          .decides(true)
          .asksToStop()
          .looks(session('CANCELLED'))
          .takes([record])
          .undoes([request])
          .finishesCancelled(),
      ));

    test('before it was started there ends cancelled, and what may have begun is stopped', () =>
      follows(
        begun()
          .stops(...begun().attempt(request))
          .decides(true)
          .undoes([request])
          .finishesCancelled(),
      ));

    test('while its start fails ends cancelled, as was promised', () =>
      follows(
        begun()
          .failsFirst(...begun().attempt(request), REFUSAL)
          .decides(true)
          .undoes([request])
          .finishesCancelled(),
      ));

    test('while it was being started there is asked to stop', () =>
      follows(
        begun()
          .completesFirst(...begun().attempt(request))
          .neverSchedules()
          .decides(true)
          .asksToStop()
          .looks(session('CANCELLED'))
          .takes([record])
          .undoes([request])
          .finishesCancelled(),
      ));

    test('between its request and the wait for it is asked to stop', () =>
      follows(
        begun()
          .takes([request])
          .cancelRequested()
          .neverSchedules()
          .decides(true)
          .asksToStop()
          .looks(session('CANCELLED'))
          .takes([record])
          .undoes([request])
          .finishesCancelled(),
      ));

    test('between its end and the record of it has succeeded', async () => {
      const history = heard(waiting()).looks(session('SUCCEEDED')).cancelRequested();
      await follows(history.takes([record]).finishes('SUCCEEDED'));
    });

    test('while it is undone has failed all the same', async () => {
      const history = begun().fails(...begun().attempt(request), REFUSAL);
      history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.undo(request));
      await follows(history.finishes('FAILED', REFUSAL));
    });

    test('and cannot be stopped there for certain is not done with', async () => {
      const history = begun()
        .stops(...begun().attempt(request))
        .decides(true);
      history.fails(...history.undo(request), { code: 'BACKUP_SYSTEM_UNREACHABLE', message: 'away' });
      await follows(history.needsAttention(true).finishes('ROLLED_BACK_WITH_RESIDUE', CANCELLED));
    });

    test('while its end is recorded has succeeded', async () => {
      const history = heard(waiting()).looks(session('SUCCEEDED'));
      history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.attempt(record));
      await follows(history.finishes('SUCCEEDED'));
    });

    test('and belongs to another run is left to it', () =>
      follows(
        waiting()
          .cancelRequested()
          .stopsWaiting()
          .decides(true)
          .fails('cancelSession', [{ operationId: OPERATION_ID, managerId: null, retryMs: null }], FENCED)
          .failed('FENCED'),
      ));
  });

  test.each([
    ['when it is requested', () => begun().fails(...begun().attempt(request), FENCED)],
    ['when it looks', () => begun().takes([request]).fails('lookAtSession', [OPERATION_ID], FENCED)],
    ['after an hour', () => waiting().timePasses().fails('lookAtSession', [OPERATION_ID], FENCED)],
    [
      'when it is recorded',
      () =>
        heard(waiting())
          .looks(session('SUCCEEDED'))
          .fails(...begun().attempt(record), FENCED),
    ],
  ])('that belongs to another run %s is left to it', (_, history) => follows(history().failed('FENCED')));
});
