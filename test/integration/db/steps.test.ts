import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect, type Database } from '../../../db/connect.ts';
import { finishOperation } from '../../../db/finish.ts';
import { operationContext } from '../../../db/operation-context.ts';
import { bindRun, handOver } from '../../../db/runs.ts';
import { attemptHolds, beginAttempt, endAttempt, keepUndoInput, permitWrite, stepsOf } from '../../../db/steps.ts';
import { type TestDatabase, testDatabase } from '../database.ts';
import { insertPlace, insertVm, type Place, requestedDeploy } from '../rows.ts';

const RUN = 'run-1';
const SETTLE_MS = 25_000;

let database: TestDatabase;
let db: Database;
let place: Place;
let vmId: string;
let operationId: string;

beforeAll(async () => {
  database = await testDatabase();
  db = database.db;
  place = await insertPlace(db);
});
afterAll(() => database.drop());

/** A deploy with one step, bound to its run. */
beforeEach(async (context) => {
  const name = `vm-${context.task.id}`;
  vmId = await insertVm(db, place, name);
  const steps = [{ name: 'CONFIGURE', managerId: null, skip: null }] as const;
  const operation = await requestedDeploy(db, place, { id: vmId, name }, steps);
  operationId = operation.id;
  await bindRun(db, operationId, { workflowId: operation.workflow_id, runId: RUN });
});

const key = () => ({ operationId, name: 'CONFIGURE' as const, managerId: null });
const begin = (activityAttempt = 1, direction: 'forward' | 'undo' = 'forward', runId = RUN, on = db) =>
  beginAttempt(on, key(), { runId, direction, settleMs: SETTLE_MS, activityAttempt });
const attempt = (epoch: number) => ({ ...key(), runId: RUN, epoch });
const references = () => db.selectFrom('vm_reference').select(['ref', 'valid_to']).where('vm_id', '=', vmId).execute();
const reference = (ref: string) => ({ vmId, system: 'HYPERVISOR', systemId: place.datacenterId, ref }) as const;
const step = async () => (await stepsOf(db, operationId))[0];

test('each attempt has an epoch of its own, and only the newest may write, keep or end anything', async () => {
  expect(await begin()).toMatchObject({ epoch: 1, settlesInMs: 0, tooLate: false, step: { attempts: 1 } });
  expect(await permitWrite(db, attempt(1))).toBe(true);
  expect(await begin(2)).toMatchObject({ epoch: 2, tooLate: false, step: { attempts: 2, state: 'RUNNING' } });

  expect(await permitWrite(db, attempt(1))).toBe(false);
  expect(await keepUndoInput(db, attempt(1), { power: 'ON' })).toBeUndefined();
  expect(await attemptHolds(db, attempt(1))).toBe(false);
  expect(await endAttempt(db, attempt(1), { state: 'DONE', made: null })).toBe(false);
  expect(await step()).toMatchObject({ state: 'RUNNING', undo_input: null });
  expect(await permitWrite(db, attempt(2))).toBe(true);
});

test('an attempt waits for what the one before was permitted to write, unless that one ended by its own word', async () => {
  await begin();
  await permitWrite(db, attempt(1));
  const after = await begin(2);
  expect(after?.settlesInMs).toBeGreaterThan(0);
  expect(after?.settlesInMs).toBeLessThanOrEqual(SETTLE_MS);
  const error = { code: 'X', message: 'x' };
  await endAttempt(db, attempt(2), { state: 'RUNNING', error, settled: true });
  expect(await begin(3)).toMatchObject({ settlesInMs: 0 });
});

test('a write that was permitted at the last moment is waited for by the attempt that overtakes', async () => {
  await begin();
  const other = connect({ url: database.url, poolSize: 1, application: 'holdfast-test' });
  try {
    const overtaking = await other.transaction().execute(async (trx) => {
      // Not committed yet: the next attempt has to wait for it, and then to see it.
      expect(await permitWrite(trx, attempt(1))).toBe(true);
      const next = begin(2);
      await waitingFor(1);
      return { next };
    });
    expect((await overtaking.next)?.settlesInMs).toBeGreaterThan(0);
  } finally {
    await other.destroy();
  }
});

test('an attempt that begins late is turned away: by a newer one, by an undo, by another run, by the end', async () => {
  await begin(2);
  expect(await begin(1)).toMatchObject({ tooLate: true, epoch: 1 });
  expect(await begin(1, 'undo')).toMatchObject({ tooLate: false, epoch: 2 });
  expect(await begin(3)).toMatchObject({ tooLate: true });
  expect(await begin(3, 'forward', 'run-2')).toBeUndefined();
  expect(await handOver(db, operationId, RUN, 'it was terminated')).toBe(true);
  expect(await begin(3)).toBeUndefined();
});

test('how long a step and its undo have been tried is counted from the first attempt of each, by the database’s clock', async () => {
  const twoHoursAgo = (column: 'first_attempt_at' | 'compensation_started_at') =>
    db
      .updateTable('step')
      .set({ [column]: sql<Date>`now() - interval '2 hours'` })
      .where('operation_id', '=', operationId)
      .execute();
  // The moment is kept in whole milliseconds.
  expect((await begin())?.triedForMs).toBeCloseTo(0, -1);
  await twoHoursAgo('first_attempt_at');
  expect((await begin(2))?.triedForMs).toBeGreaterThan(3_600_000);
  expect((await begin(1, 'undo'))?.triedForMs).toBeCloseTo(0, -1);
  await twoHoursAgo('compensation_started_at');
  expect((await begin(2, 'undo'))?.triedForMs).toBeGreaterThan(3_600_000);
});

test('an undo that is taken over has all of its time again; one that is done keeps the time that it took', async () => {
  const undoOfALostRun = async (compensation: 'RUNNING' | 'FAILED' | 'DONE') => {
    await db
      .updateTable('step')
      .set({ compensation, compensation_started_at: sql<Date>`now() - interval '1 hour'` })
      .where('operation_id', '=', operationId)
      .execute();
    const { run_id: runId } = await db
      .selectFrom('operation')
      .select('run_id')
      .where('id', '=', operationId)
      .executeTakeFirstOrThrow();
    expect(await handOver(db, operationId, runId, 'it was terminated')).toBe(true);
    return (await step())?.compensation_started_at;
  };
  await begin(1, 'undo');
  expect(await undoOfALostRun('RUNNING')).toBeNull();
  expect(await undoOfALostRun('FAILED')).toBeNull();
  expect(await undoOfALostRun('DONE')).toEqual(expect.any(Date));
});

test('no attempt begins while its operation is being finished', async () => {
  const other = connect({ url: database.url, poolSize: 1, application: 'holdfast-test' });
  try {
    const finishing = await other.transaction().execute(async (trx) => {
      await trx.selectFrom('operation').select('id').where('id', '=', operationId).forUpdate().execute();
      const late = begin();
      await waitingFor(1);
      await trx
        .updateTable('operation')
        .set({ state: 'FAILED', finished_at: sql<Date>`now()` })
        .where('id', '=', operationId)
        .execute();
      return { late };
    });
    expect(await finishing.late).toBeUndefined();
    expect(await step()).toMatchObject({ epoch: 0, attempts: 0 });
  } finally {
    await other.destroy();
  }
});

test('a finished step begins no new attempt and is found as it is', async () => {
  await begin();
  await endAttempt(db, attempt(1), { state: 'DONE', made: { hypervisorRef: 'vm-1' } });
  const again = await begin(2);
  expect(again).toMatchObject({ epoch: 1, tooLate: false, step: { state: 'DONE', made: { hypervisorRef: 'vm-1' } } });
});

test('the reference is written with the end of the attempt, and not by one that was overtaken', async () => {
  await begin();
  await begin(2);
  const done = { state: 'DONE', made: null } as const;
  expect(await endAttempt(db, attempt(1), { ...done, reference: reference('vm-1') })).toBe(false);
  expect(await references()).toEqual([]);
  expect(await endAttempt(db, attempt(2), { ...done, reference: reference('vm-2') })).toBe(true);
  expect(await step()).toMatchObject({ state: 'DONE' });
  expect((await operationContext(db, operationId)).vm.hypervisorRef).toBe('vm-2');
});

test('an older reference stays and is no longer the current one', async () => {
  await begin();
  const done = { state: 'DONE', made: null } as const;
  await endAttempt(db, attempt(1), { ...done, reference: reference('vm-1') });
  await db.updateTable('step').set({ state: 'PENDING' }).where('operation_id', '=', operationId).execute();
  await begin(2);
  await endAttempt(db, attempt(2), { ...done, reference: reference('vm-2') });
  expect(await references()).toEqual([
    { ref: 'vm-1', valid_to: expect.any(Date) },
    { ref: 'vm-2', valid_to: null },
  ]);
});

test('statements that are planned once go on when a migration adds columns', async () => {
  const worker = connect({ url: database.url, poolSize: 1, application: 'holdfast-test' });
  try {
    const everything = async (activityAttempt: number) => {
      const begun = await begin(activityAttempt, 'forward', RUN, worker);
      const mine = attempt(begun?.epoch ?? 0);
      expect(await permitWrite(worker, mine)).toBe(true);
      expect(await keepUndoInput(worker, mine, { power: 'OFF' })).toEqual({ power: 'OFF' });
      expect(await attemptHolds(worker, mine)).toBe(true);
      const error = { code: 'X', message: 'x' };
      expect(await endAttempt(worker, mine, { state: 'RUNNING', error, settled: true })).toBe(true);
      return operationContext(worker, operationId);
    };
    const before = await everything(1);
    const planned = sql<{ count: number }>`select count(*) as count from pg_prepared_statements`;
    expect((await planned.execute(worker)).rows[0]?.count).toBeGreaterThanOrEqual(6);
    await sql`alter table step add column later text`.execute(db);
    await sql`alter table operation add column later text`.execute(db);
    expect(await everything(2)).toEqual(before);
  } finally {
    await worker.destroy();
    await sql`alter table step drop column if exists later`.execute(db);
    await sql`alter table operation drop column if exists later`.execute(db);
  }
});

test('the same end twice is one end', async () => {
  const ending = { operationId, outcome: 'ROLLED_BACK', error: null, unlessCancelled: true } as const;
  expect(await finishOperation(db, RUN, ending)).toBe('ROLLED_BACK');
  expect(await finishOperation(db, RUN, ending)).toBe('ROLLED_BACK');
  expect(await begin()).toBeUndefined();
});

/** Until so many statements wait for a lock. */
async function waitingFor(count: number): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { rows } = await sql<{ waiting: number }>`
      select count(*) as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    `.execute(db);
    if ((rows[0]?.waiting ?? 0) >= count) return;
    if (Date.now() > deadline) throw new Error(`${count} statements did not wait for a lock`);
  }
}
