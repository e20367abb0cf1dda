/** The look at every open operation: in slices, and without anybody having listed the runs that are lost. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startableOperation } from '../../../db/operation-starts.ts';
import { bindRun } from '../../../db/runs.ts';
import { startOperation } from '../../../workflows/start.ts';
import { startWorld, type World } from './world.ts';

/** More operations than are looked at in one pass. */
const OPERATIONS = 102;
const SLICE = 100;

let world: World;
/** Open operations, each with a run that nobody works on, in the order in which they are looked at. */
let operations: readonly string[] = [];
beforeAll(async () => {
  world = await startWorld();
  // From here on every pass is one of the test.
  await world.stopWorker();
  const begun: string[] = [];
  // A few at a time: a start that does not come through soon is left to the reconciler, of which there is none.
  while (begun.length < OPERATIONS) {
    const names = Array.from({ length: 6 }, (_, n) => `many-${begun.length + n}`);
    begun.push(...(await Promise.all(names.map(begin))));
  }
  operations = begun.toSorted();
}, 120_000);
afterAll(async () => {
  for (const id of operations) {
    const { workflow_id: workflowId } = await world.operation(id);
    await world.client.workflow.getHandle(workflowId).terminate('the test is over');
  }
  await world.stop();
});

async function begin(name: string): Promise<string> {
  const { operationId } = await world.requests.powerOff(world.request(await newVm(name)));
  const { workflow_id: workflowId } = await world.operation(operationId);
  await startOperation(world.client, await startableOperation(world.db, operationId), world.deps.limits);
  const { runId } = await world.client.workflow.getHandle(workflowId).describe();
  await bindRun(world.db, operationId, { workflowId, runId });
  return operationId;
}

/** As after a deploy that succeeded. */
async function newVm(name: string): Promise<string> {
  const id = await world.newVm(name, []);
  await world.db.updateTable('virtual_machine').set({ state: 'ON' }).where('id', '=', id).execute();
  return id;
}

/** The operation's run is lost, and whoever asks for the runs that have closed since is not told of it. */
async function lose(operationId: string): Promise<void> {
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId, runId ?? '').terminate('by an operator');
  await world.db
    .updateTable('reconciler')
    .set({ closed_runs_watermark: new Date(Date.now() + 86_400_000) })
    .execute();
}

const pass = () => world.db.selectFrom('reconciler').selectAll().executeTakeFirstOrThrow();
const nth = (n: number): string => operations[n] ?? '';
const takenOver = async (operationId: string) => (await world.operation(operationId)).recovery === 1;

test('what does not fit into one pass is looked at in the next one; all of it again in an hour', async () => {
  await lose(nth(1));
  await lose(nth(SLICE));
  await world.reconcile(true);
  expect([await takenOver(nth(1)), await takenOver(nth(SLICE))]).toEqual([true, false]);
  expect(await pass()).toMatchObject({ full_pass_at: null, full_pass_after: nth(SLICE - 1) });

  // What has been looked at in this round is not looked at again before the others.
  await lose(nth(2));
  await world.reconcile();
  expect([await takenOver(nth(2)), await takenOver(nth(SLICE))]).toEqual([false, true]);
  expect(await pass()).toMatchObject({ full_pass_at: expect.any(Date), full_pass_after: null });

  await world.reconcile();
  expect(await takenOver(nth(2))).toBe(false);
  await world.db
    .updateTable('reconciler')
    .set({ full_pass_at: new Date(Date.now() - 3_601_000) })
    .execute();
  await world.reconcile();
  expect(await takenOver(nth(2))).toBe(true);

  // Operations whose runs are open are left to them.
  const recoveries = await world.db
    .selectFrom('operation')
    .select('id')
    .where('recovery', '>', 0)
    .orderBy('id')
    .execute();
  expect(recoveries.map(({ id }) => id)).toEqual([nth(1), nth(2), nth(SLICE)]);
});
