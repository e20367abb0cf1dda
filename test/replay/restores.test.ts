/** Restores, and what the backup system does by itself: watched to the end, whatever anybody asks for. */
import { describe, test } from 'vitest';
import type { PlannedStep } from '../../domain/plan.ts';
import { SESSION_CHANGED } from '../../workflows/contract.ts';
import {
  FENCED,
  failedThere,
  HOUR,
  OPERATION_ID,
  OperationHistory,
  type PlannedOperation,
  planned,
  recovered,
  REFUSAL,
  schedule,
  session,
} from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

describe.each([
  ['into the machine of the VM', false],
  ['as a machine of its own', true],
])('a restore %s', (_, restoresAsNewMachine) => {
  const running = session('RUNNING', null, 'RESTORE');
  const succeeded = session('SUCCEEDED', null, 'RESTORE');
  const operation = planned('RESTORE', {
    managerId: 'm1',
    currentSchedules: [schedule('m1')],
    desiredSchedules: [schedule('m1')],
    restoresAsNewMachine,
  });
  const [request, , refresh, replacing, reschedule, record] = operation.plan as [
    PlannedStep,
    PlannedStep,
    PlannedStep,
    PlannedStep,
    PlannedStep,
    PlannedStep,
  ];
  const replace = restoresAsNewMachine ? [replacing] : [];
  const begun = () => new OperationHistory(operation).begins().asksFirst();
  const waiting = () => begun().takes([request]).looks(running).waits(HOUR);
  const restored = () => waiting().hears(SESSION_CHANGED).stopsWaiting().looks(succeeded);

  test('takes over what was restored, its schedule too', () =>
    follows(
      restored()
        .takes([refresh, ...replace, reschedule, record])
        .finishes('SUCCEEDED'),
    ));

  test('is never stopped while the backup system writes', () =>
    follows(
      waiting()
        .cancelRequested()
        .doesNothing()
        .hears(SESSION_CHANGED)
        .stopsWaiting()
        .looks(succeeded)
        .takes([refresh, ...replace, reschedule, record])
        .finishes('SUCCEEDED'),
    ));

  test('that was started when the cancellation came is watched to its end', () =>
    follows(
      begun()
        .meanwhile((meanwhile) => meanwhile.cancelRequested(), ...begun().attempt(request))
        .looks(succeeded)
        .takes([refresh, ...replace, reschedule, record])
        .finishes('SUCCEEDED'),
    ));

  test('is not disturbed by a cancellation once it is over', async () => {
    const history = restored();
    for (const step of [refresh, ...replace, reschedule, record]) {
      history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.attempt(step));
    }
    await follows(history.finishes('SUCCEEDED'));
  });

  test('whose schedule cannot be put back has not failed', () =>
    follows(
      restored()
        .takes([refresh, ...replace])
        .fails(...begun().attempt(reschedule), REFUSAL)
        .needsAttention(true)
        .takes([record])
        .finishes('SUCCEEDED'),
    ));

  test('whose schedule belongs to another run is left to it', () =>
    follows(
      restored()
        .takes([refresh, ...replace])
        .fails(...begun().attempt(reschedule), FENCED)
        .failed('FENCED'),
    ));

  test('that failed there may have changed the VM: it is looked at and recorded all the same', () =>
    follows(
      waiting()
        .hears(SESSION_CHANGED)
        .stopsWaiting()
        .looks(session('FAILED', 'disk full', 'RESTORE'))
        .takes([refresh, ...replace, reschedule, record])
        .finishes('FAILED', failedThere('RESTORE')),
    ));

  test('that is refused has failed', () =>
    follows(
      begun()
        .fails(...begun().attempt(request), REFUSAL)
        .finishes('FAILED', REFUSAL),
    ));

  test.each([
    ['taken over', refresh, [] as PlannedStep[]],
    ['recorded', record, [refresh, ...replace, reschedule]],
  ] as const)('that cannot be %s has failed', async (_, step, before) => {
    const history = restored().takes(before);
    await follows(history.fails(...history.attempt(step), REFUSAL).finishes('FAILED', REFUSAL));
  });

  test.each([
    ['when it is asked for', () => begun().fails(...begun().attempt(request), FENCED)],
    ['when it looks', () => begun().takes([request]).fails('lookAtSession', [OPERATION_ID], FENCED)],
    ['when it is taken over', () => restored().fails(...begun().attempt(refresh), FENCED)],
    [
      'when it is recorded',
      () =>
        restored()
          .takes([refresh, ...replace, reschedule])
          .fails(...begun().attempt(record), FENCED),
    ],
  ])('that belongs to another run %s is left to it', (_, history) => follows(history().failed('FENCED')));

  test('whose session is not known any more has failed', () => {
    const lost = { code: 'SESSION_LOST', message: 'the operation has no session to wait for' };
    return follows(begun().takes([request]).fails('lookAtSession', [OPERATION_ID], lost).finishes('FAILED', lost));
  });

  test('that is cancelled between the question and its start is not disturbed any more', async () => {
    const history = begun().cancelRequested();
    await follows(
      history
        .takes([request])
        .looks(succeeded)
        .takes([refresh, ...replace, reschedule, record])
        .finishes('SUCCEEDED'),
    );
  });

  test('of a VM that is being backed up has no effect', async () => {
    const busy = { code: 'VM_BEING_BACKED_UP', message: 'a backup is running' };
    const history = new OperationHistory(operation).begins();
    await follows(history.fails(...history.question(), busy).finishes('FAILED', busy));
  });

  test('that is cancelled before it is asked for has no effect', async () => {
    const history = new OperationHistory(operation).begins();
    await follows(
      history
        .stops(...history.question())
        .decides(true)
        .finishesCancelled(),
    );
  });
});

describe('a restore as a machine of its own', () => {
  const operation = planned('RESTORE', {
    managerId: 'm1',
    currentSchedules: [schedule('m1')],
    desiredSchedules: [schedule('m1')],
    restoresAsNewMachine: true,
  });
  const named = (name: PlannedStep['name']): PlannedStep =>
    operation.plan.find((step) => step.name === name) as PlannedStep;
  const [request, refresh, replace] = [named('REQUEST_RESTORE'), named('REFRESH'), named('REPLACE')];
  const [reschedule, record] = [named('BACKUP_SCHEDULE'), named('RECORD')];
  const refreshed = (recovery?: PlannedOperation) =>
    recovery === undefined
      ? new OperationHistory(operation)
          .begins()
          .asksFirst()
          .takes([request])
          .looks(session('SUCCEEDED', null, 'RESTORE'))
          .takes([refresh])
      : new OperationHistory(recovery)
          .begins()
          .takes([request])
          .looks(session('SUCCEEDED', null, 'RESTORE'))
          .takes([refresh]);

  test('that cannot remove the machine it has superseded has not failed', () =>
    follows(
      refreshed()
        .fails(...refreshed().attempt(replace), REFUSAL)
        .needsAttention(true)
        .takes([reschedule, record])
        .finishes('SUCCEEDED'),
    ));

  test('and its schedule are left behind each on its own', async () => {
    const history = refreshed();
    history.fails(...history.attempt(replace), REFUSAL).needsAttention(true);
    history.fails(...history.attempt(reschedule), REFUSAL).needsAttention(true);
    await follows(history.takes([record]).finishes('SUCCEEDED'));
  });

  test('is not stopped while it removes the superseded machine', async () => {
    const history = refreshed();
    history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.attempt(replace));
    await follows(history.takes([reschedule, record]).finishes('SUCCEEDED'));
  });

  test('that belongs to another run by then removes nothing', async () => {
    const history = refreshed();
    await follows(history.fails(...history.attempt(replace), FENCED).failed('FENCED'));
  });

  test('whose machine nobody can tell supersedes none', async () => {
    const unclear = { code: 'RESTORED_VM_UNCLEAR', message: 'vm-7 and vm-8 are new' };
    const history = new OperationHistory(operation).begins().asksFirst().takes([request]);
    history.looks(session('SUCCEEDED', null, 'RESTORE'));
    await follows(history.fails(...history.attempt(refresh), unclear).finishes('FAILED', unclear));
  });

  test.each(['BEGUN', 'DONE'] as const)('whose run was lost when REPLACE was %s goes on there', async (before) => {
    const recovery = recovered(operation, 'WATCH', (step) => (step === replace ? before : 'DONE'));
    await follows(refreshed(recovery).takes([replace, reschedule, record]).finishes('SUCCEEDED'));
  });

  test('that an earlier version has planned has no such step', async () => {
    const plan = operation.plan.filter((step) => step !== replace);
    const history = new OperationHistory({ ...operation, plan }).begins().asksFirst().takes([request]);
    history.looks(session('SUCCEEDED', null, 'RESTORE'));
    await follows(history.takes([refresh, reschedule, record]).finishes('SUCCEEDED'));
  });
});

describe('what the backup system does by itself', () => {
  const running = session('RUNNING');
  const backup = planned('SCHEDULED_BACKUP', { origin: 'BACKUP_SYSTEM', managerId: 'm1' });
  const [observe, , , record] = backup.plan as [PlannedStep, PlannedStep, PlannedStep, PlannedStep];
  const observing = () => new OperationHistory(backup).begins().takes([observe]).looks(running).waits(HOUR);

  test('is watched to its end and recorded', () =>
    follows(
      observing()
        .hears(SESSION_CHANGED)
        .stopsWaiting()
        .looks(session('SUCCEEDED'))
        .takes([record])
        .finishes('SUCCEEDED'),
    ));

  test('cannot be cancelled', async () => {
    const history = new OperationHistory(backup).cancelRequested().begins();
    history.meanwhile((meanwhile) => meanwhile.cancelRequested(), ...history.attempt(observe));
    history.looks(running).waits(HOUR).cancelRequested().doesNothing();
    history.timePasses().looks(session('SUCCEEDED')).takes([record]);
    await follows(history.finishes('SUCCEEDED'));
  });

  test('and fails is recorded, and there is nothing to undo', () =>
    follows(
      observing()
        .timePasses()
        .looks(session('FAILED', 'disk full'))
        .takes([record])
        .finishes('FAILED', failedThere('BACKUP')),
    ));

  test.each([
    ['observed', () => new OperationHistory(backup).begins(), observe],
    ['recorded', () => observing().timePasses().looks(session('SUCCEEDED')), record],
  ] as const)('and cannot be %s has failed', async (_, so, step) => {
    const history = so();
    await follows(history.fails(...history.attempt(step), REFUSAL).finishes('FAILED', REFUSAL));
  });

  test('and is a restore whose VM cannot be looked at has failed', async () => {
    const restore = planned('RESTORE', { origin: 'BACKUP_SYSTEM', managerId: 'm1' });
    const [begin, , refresh] = restore.plan as [PlannedStep, PlannedStep, PlannedStep];
    const history = new OperationHistory(restore).begins().takes([begin]).looks(session('SUCCEEDED'));
    await follows(history.fails(...history.attempt(refresh), REFUSAL).finishes('FAILED', REFUSAL));
  });

  test('and belongs to another run is left to it', async () => {
    const history = observing().timePasses();
    await follows(history.fails('lookAtSession', [OPERATION_ID], FENCED).failed('FENCED'));
  });

  test('and is a restore makes the VM be looked at', async () => {
    const restore = planned('RESTORE', { origin: 'BACKUP_SYSTEM', managerId: 'm1' });
    const [begin, , refresh, end] = restore.plan as [PlannedStep, PlannedStep, PlannedStep, PlannedStep];
    const history = new OperationHistory(restore).begins().takes([begin]).looks(session('SUCCEEDED'));
    await follows(history.takes([refresh, end]).finishes('SUCCEEDED'));
  });
});
