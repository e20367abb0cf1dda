import { beforeAll, expect, test } from 'vitest';
import { History } from './history.ts';
import { openReplay } from './replay.ts';
let replay: Awaited<ReturnType<typeof openReplay>>;
beforeAll(async () => { console.time('bundle'); replay = await openReplay(); console.timeEnd('bundle'); });
const input = { operationId: 'op', limits: { stepRetryMs: 1, undoRetryMs: 2 } };
const step = { operationId: 'op', managerId: null, retryMs: 1 };
const undo = { operationId: 'op', managerId: null, retryMs: 2 };
const briefing = { kind: 'DEPLOY', vmName: 'web', datacenterName: 'd', enterpriseName: 'e', requestedBy: 'r', steps: ['ALLOCATE','CONFIGURE'].map(name => ({name, managerId: null, managerName: null, skip: null})) };
test('a', async () => {
  for (let i = 0; i < 3; i++) {
  console.time('r');
  const h = new History('deployVm', input).does('beginOperation', ['op'], briefing)
    .does('allocate', [step]).fails('configure', [step], { code: 'X', message: 'y' })
    .does('undoStep', [{ ...undo, name: 'CONFIGURE' }]).does('undoStep', [{ ...undo, name: 'ALLOCATE' }])
    .does('finishOperation', [{ operationId: 'op', outcome: 'ROLLED_BACK', error: { code: 'X', message: 'y' } }], 'ROLLED_BACK').failed('ROLLED_BACK');
  const r = await replay(h);
  console.timeEnd('r');
  console.log(r.error); 
  expect(r.commands).toEqual(h.commands);
  }
});
