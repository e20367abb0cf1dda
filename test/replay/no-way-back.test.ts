/** Operations past their point of no return: nothing is undone, nothing can be cancelled. */
import { describe, test } from 'vitest';
import { OPERATIONS } from './lifecycle-operations.ts';
import {
  CANCELLED,
  FENCED,
  irreversible,
  OPERATION_ID,
  OperationHistory,
  REFUSAL,
  reversible,
  told,
  WHOLE,
} from './operation-history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

const AWAY = { code: 'HYPERVISOR_UNREACHABLE', message: 'away' };

const cancel = (history: OperationHistory) => void history.cancelRequested();

describe.each(OPERATIONS.filter((operation) => irreversible(operation).length > 0))(
  '$kind, no way back',
  (operation) => {
    const steps = reversible(operation);
    const forward = irreversible(operation);
    const reached = () => new OperationHistory(operation).begins().asksFirst().takes(steps);
    const eachStep = forward.map((step, index) => ({ step, name: told(step), before: forward.slice(0, index) }));

    test('a cancel that came first is obeyed', () =>
      follows(reached().crosses(false).decides(true).undoes(steps).finishes('CANCELLED', CANCELLED)));

    test('a cancel that came while the last step ended is obeyed', async () => {
      const last = steps.at(-1) as (typeof steps)[number];
      const history = new OperationHistory(operation).begins().asksFirst().takes(steps.slice(0, -1));
      await follows(
        history
          .completesFirst(...history.attempt(last))
          .decides(true)
          .undoes(steps)
          .finishesCancelled(),
      );
    });

    test('a cancellation while it crosses, and ever after, is too late', async () => {
      const history = reached().crosses(true, cancel);
      for (const step of forward) history.meanwhile(cancel, ...history.attempt(step));
      history.meanwhile(cancel, ...history.end('SUCCEEDED', null), 'SUCCEEDED');
      await follows(history.succeeded());
    });

    test('it belongs to another run when it crosses: nothing is undone', () =>
      follows(reached().fails('crossPointOfNoReturn', [OPERATION_ID], FENCED).failed('FENCED')));

    test.each(eachStep)('$name is refused: nothing is undone', ({ step, before }) =>
      follows(
        reached()
          .crosses(true)
          .takes(before)
          .fails(...reached().attempt(step), REFUSAL)
          .seesVm()
          .finishes('FAILED', REFUSAL),
      ),
    );

    test.each(eachStep)('$name is refused after a cancellation, which is too late', async ({ step, before }) => {
      const history = reached().crosses(true, cancel).takes(before);
      history.fails(...history.attempt(step), REFUSAL).decides(false);
      await follows(history.seesVm().finishes('FAILED', REFUSAL));
    });

    test.each(eachStep)('$name is refused, and nobody can say what the VM is like: it has failed', ({ step, before }) =>
      follows(
        reached()
          .crosses(true)
          .takes(before)
          .fails(...reached().attempt(step), REFUSAL)
          .fails('seeVm', [WHOLE], AWAY)
          .finishes('FAILED', REFUSAL),
      ),
    );

    test.each(eachStep)('$name is refused, and another run looks at the VM: it is left to it', ({ step, before }) =>
      follows(
        reached()
          .crosses(true)
          .takes(before)
          .fails(...reached().attempt(step), REFUSAL)
          .fails('seeVm', [WHOLE], FENCED)
          .failed('FENCED'),
      ),
    );

    test.each(eachStep)('$name belongs to another run: nothing is undone', ({ step, before }) =>
      follows(
        reached()
          .crosses(true)
          .takes(before)
          .fails(...reached().attempt(step), FENCED)
          .failed('FENCED'),
      ),
    );
  },
);
