/** Jobs are clones: one whose answer was lost may appear late, and is never made twice nor left behind. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { startWorld, until, type World } from './world.ts';

const AN_HOUR = 3_600;

let world: World;
let veeam: Awaited<ReturnType<World['newVeeam']>>;
let gold: string;
beforeAll(async () => {
  world = await startWorld({
    stepRetryMs: 120_000,
    undoRetryMs: 120_000,
    veeamConfig: 'taskTimeoutSeconds: 5\nincludeTimeoutSeconds: 2\ncloneSettlingSeconds: 60\n',
  });
  veeam = await world.newVeeam('veeam-1');
  gold = await world.newPolicy('GOLD', undefined, veeam.managerId);
});
afterAll(() => world.stop());
afterEach(async () => {
  await veeam.mend();
  await veeam.changeSettings({ taskSeconds: 0.05 });
});

const CLONE = { method: 'POST', path: 'action=clone' } as const;
const QUERY = { method: 'GET', path: '/api/query' } as const;
const AWAY = { status: 503 } as const;
const clones = (): Promise<number> => veeam.calls('POST /api/jobs/:id');
const scheduleStep = async (operationId: string) =>
  world.db
    .selectFrom('step')
    .selectAll()
    .where('operation_id', '=', operationId)
    .where('name', '=', 'BACKUP_SCHEDULE')
    .executeTakeFirstOrThrow();

test('a worker that stops while the answer to a clone is lost leaves it to the next one: one job, cloned once', async () => {
  const vmId = await world.newVm('clone-1', [gold]);
  const before = await clones();
  // The server has cloned; nobody hears of it, and nobody can look.
  const answer = await veeam.hold({ ...CLONE, when: 'after', times: 1 });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await answer.held();
  await veeam.break({ ...QUERY, when: 'before', action: AWAY });
  await veeam.break({ method: 'GET', path: '/api/(tasks|jobs)/', when: 'before', action: AWAY });
  const stopped = world.stopWorker();
  await answer.letGo();
  await stopped;
  await veeam.mend();
  expect((await world.operation(operationId)).finished_at).toBeNull();
  await world.startWorker();
  expect(await world.ended(operationId, 90_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await clones()).toBe(before + 1);
  const jobs = await veeam.jobsOf(vmId);
  expect(jobs).toMatchObject([{ scheduleEnabled: true, includes: [{ name: 'clone-1' }] }]);
  expect(await existingSchedules(world.db, vmId)).toMatchObject([{ ref: { jobUid: `urn:veeam:Job:${jobs[0]?.id}` } }]);
}, 150_000);

test('a clone whose answer is lost is found again: one job, cloned once', async () => {
  const vmId = await world.newVm('clone-2', [gold]);
  const before = await clones();
  await veeam.break({ ...CLONE, when: 'after', times: 1, action: { drop: true } });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await clones()).toBe(before + 1);
  expect(await veeam.jobsOf(vmId)).toHaveLength(1);
}, 90_000);

test('the undo of a deploy waits for a clone that appears late, and removes it', async () => {
  const vmId = await world.newVm('clone-3', [gold]);
  await veeam.changeSettings({ taskSeconds: AN_HOUR });
  const before = await clones();
  await veeam.break({ ...CLONE, when: 'after', times: 1, action: { drop: true } });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await until('the clone was asked for', clones, (count) => count === before + 1);
  await veeam.changeSettings({ taskSeconds: 0.05 });
  await world.requests.cancel({ principal: world.principal, operationId });
  await until(
    'an undo has found no job and does not believe it',
    () => scheduleStep(operationId),
    ({ compensation_attempts: attempts }) => attempts >= 2,
    60_000,
  );
  expect(await veeam.jobsOf(vmId)).toEqual([]);
  expect((await world.operation(operationId)).finished_at).toBeNull();
  await veeam.advance(AN_HOUR);
  await until(
    'the clone appears, and goes',
    () => veeam.jobsOf(vmId),
    (jobs) => jobs.length === 0,
  );
  expect(await world.ended(operationId, 90_000)).toMatchObject({ state: 'CANCELLED' });
  expect(await veeam.jobsOf(vmId)).toEqual([]);
  expect(await existingSchedules(world.db, vmId)).toEqual([]);
  expect((await world.hypervisorVms()).map(({ id }) => id)).not.toContain(vmId);
  expect(await world.uncleared(operationId)).toEqual([]);
}, 180_000);

test('a clone that never arrived is made again, and not before the settling time is over', async () => {
  const vmId = await world.newVm('clone-4', [gold]);
  const before = await clones();
  await veeam.break({ ...CLONE, when: 'before', times: 1, action: { drop: true } });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await until(
    'an attempt has found no job and does not believe it',
    () => scheduleStep(operationId),
    ({ attempts, error }) => attempts >= 2 && JSON.stringify(error).includes('it may still appear'),
    60_000,
  );
  expect(await clones()).toBe(before + 1);
  expect(await world.ended(operationId, 120_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await clones()).toBe(before + 2);
  expect(await veeam.jobsOf(vmId)).toMatchObject([{ scheduleEnabled: true }]);
}, 200_000);
