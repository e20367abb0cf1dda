/** Copies of backups in a second Avamar: asked for with a backup, by a policy's schedule, and at the console. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listResults, resultView } from '../../../db/result-list.ts';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
let copied: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 0.5 });
  gold = await world.newPolicy('GOLD');
  copied = await world.newPolicy('COPIED');
  await world.db.updateTable('backup_policy').set({ replication: true }).where('id', '=', copied).execute();
  await world.newDestination('lisbon');
});
afterAll(() => world.stop());

const backUp = (vmId: string, policyId: string, replication: boolean) =>
  world.requests.backup({ ...world.request(vmId), body: { policyId, replication } });

const resultOf = async (operationId: string) => {
  const row = await world.db
    .selectFrom('backup_result')
    .select('id')
    .where('operation_id', '=', operationId)
    .executeTakeFirstOrThrow();
  const view = await resultView(world.db, null, row.id);
  if (view === undefined) throw new Error('the result is not shown');
  return view;
};

const settled = (operationId: string) =>
  until(
    'the replication has ended',
    () => resultOf(operationId),
    ({ last_replication: last }) => last !== null && last.state !== 'RUNNING',
    60_000,
  );

const bothCopies = (operationId: string) =>
  until(
    'the result has both copies',
    () => resultOf(operationId),
    ({ copies }) => copies.length === 2,
    60_000,
  );

const replicationGroups = async (vmId: string): Promise<{ name: string; members: string[] }[]> =>
  (await world.avamar('GET', '/replication/groups?size=500')).content.filter(({ name }: { name: string }) =>
    name.includes(vmId),
  );

const events = (vmId: string, action: string) =>
  world.db.selectFrom('event').selectAll().where('vm_id', '=', vmId).where('action', '=', action).execute();

test('a backup with replication frees the VM when it is made, and its result shows both copies when they are there', async () => {
  const vmId = await world.deployed('copied-1', [gold]);
  await world.copiesTake(5);
  const { operationId } = await backUp(vmId, gold, true);
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
  expect(await world.story(operationId)).toEqual([
    'REQUEST_BACKUP DONE',
    'WATCH DONE',
    'RECORD DONE',
    'REPLICATE DONE',
  ]);
  const running = await resultOf(operationId);
  expect(running).toMatchObject({ status: 'SUCCEEDED', replication: true, last_replication: { state: 'RUNNING' } });
  expect(running.copies.map(({ location }) => location)).toEqual(['Local']);
  expect(await world.vm(vmId)).toMatchObject({ operation_id: null });
  const off = await world.requests.powerOff(world.request(vmId));
  expect(await world.ended(off.operationId)).toMatchObject({ state: 'SUCCEEDED' });

  const done = await bothCopies(operationId);
  expect(done.copies.map(({ location_name: name }) => name)).toEqual([null, 'lisbon']);
  expect(done.copies.map(({ state }) => state)).toEqual(['LISTED', 'LISTED']);
  expect((await settled(operationId)).last_replication).toMatchObject({ state: 'SUCCEEDED' });
  expect(await events(vmId, 'REQUEST_BACKUP_WITH_REPLICATION')).toHaveLength(1);
  const [end] = await until(
    'the end is told',
    () => events(vmId, 'BACKUP_WITH_REPLICATION_FINISH'),
    (rows) => rows.length > 0,
  );
  expect(end).toMatchObject({ severity: 'INFO', operation_id: operationId });
}, 120_000);

test('a copy alone is enough for a restore: the local one is gone', async () => {
  await world.copiesTake(0.5);
  const vmId = await world.deployed('copied-2', [gold]);
  const { operationId } = await backUp(vmId, gold, true);
  await world.ended(operationId);
  const result = await bothCopies(operationId);
  const remote = result.copies.find(({ location }) => location !== 'Local');
  const [cid, labelNumber] = (result.vendor_backup_id ?? '').split('/');
  await world.avamar('DELETE', `/clients/${cid}/backups/${labelNumber}/delete`);
  await world.ended((await world.requests.powerOff(world.request(vmId))).operationId);
  const body = { copyId: remote?.id ?? '' };
  const restore = await world.requests.restore({ principal: world.principal, resultId: result.id, body });
  expect(await world.ended(restore.operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
}, 120_000);

test('a replication that fails fails no backup, and the result says what Avamar said', async () => {
  const vmId = await world.deployed('copied-3', [gold]);
  await world.avamarOutcome({
    kind: 'replication',
    state: 'FAILURE',
    codeReason: 'the second server is full',
    times: 1,
  });
  const { operationId } = await backUp(vmId, gold, true);
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
  const result = await settled(operationId);
  expect(result).toMatchObject({ status: 'SUCCEEDED', last_replication: { state: 'FAILED' } });
  expect(result.last_replication?.message).toContain('the second server is full');
  expect(result.copies.map(({ location, state }) => `${location} ${state}`)).toEqual(['Local LISTED']);
  await until(
    'the failure is told',
    () => events(vmId, 'BACKUP_WITH_REPLICATION_FINISH'),
    ([event]) => event?.severity === 'ERROR',
  );
}, 120_000);

test('a run whose answer is lost is one replication, and one copy', async () => {
  const vmId = await world.deployed('copied-4', [gold]);
  await world.breakAvamar({
    method: 'POST',
    path: '/replication/groups/[^/]+/run$',
    when: 'after',
    times: 1,
    action: { drop: true },
  });
  const { operationId } = await backUp(vmId, gold, true);
  expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED' });
  await bothCopies(operationId);
  const sessions = await world.db
    .selectFrom('session')
    .select('operation_id')
    .where('vm_id', '=', vmId)
    .where('kind', '=', 'REPLICATION')
    .execute();
  expect(sessions).toEqual([{ operation_id: operationId }]);
}, 120_000);

test('a backup whose replication cannot be begun says that the backup is there', async () => {
  const vmId = await world.deployed('copied-5', [gold]);
  await world.breakAvamar({
    method: 'POST',
    path: '/replication/groups$',
    when: 'before',
    action: { status: 400, body: { code: 400, message: 'The license does not include replication.' } },
  });
  const { operationId } = await backUp(vmId, gold, true);
  const ended = await world.ended(operationId);
  await world.mendAvamar();
  expect(ended).toMatchObject({ state: 'FAILED', error: { code: 'BACKUP_REPLICATION_NOT_STARTED' } });
  expect(ended.error?.message).toMatch(/the backup was made and can be restored.*license/);
  const result = await resultOf(operationId);
  expect(result).toMatchObject({ status: 'SUCCEEDED', copies: [{ location: 'Local', state: 'LISTED' }] });
}, 120_000);

test('a policy with replication has a group of its own, which follows the VM and goes with its schedule', async () => {
  const vmId = await world.deployed('copied-6', [copied]);
  expect(await replicationGroups(vmId)).toHaveLength(1);
  const { operationId } = await world.requests.backup(world.request(vmId));
  await world.ended(operationId);
  expect((await bothCopies(operationId)).replication).toBe(true);
  await world.ended((await world.requests.undeploy(world.request(vmId))).operationId);
  expect(await replicationGroups(vmId)).toEqual([]);
  const result = await resultOf(operationId);
  expect(result.copies.map(({ state }) => state)).toEqual(['LISTED', 'LISTED']);
}, 120_000);

test('what a schedule of Avamar backs up and copies is a result of its policy with both copies', async () => {
  const vmId = await world.deployed('copied-7', [copied]);
  const groups = (await world.avamar('GET', '/groups?domain=/&recursive=true&size=500')).content;
  const group = groups.find(({ name }: { name: string }) => name.includes(vmId));
  await world.avamar('POST', `/schedules/run/${group.scheduleId}`, {});
  const results = () => world.db.selectFrom('backup_result').selectAll().where('vm_id', '=', vmId).execute();
  const [made] = await until('the backup is recorded', results, ([row]) => row?.status === 'SUCCEEDED', 60_000);
  expect(made).toMatchObject({ policy_id: copied, replication: true, origin: 'SCHEDULED' });
  const [replication] = await replicationGroups(vmId);
  await world.avamar('POST', `/replication/groups/${(replication as unknown as { id: string }).id}/run`, {});
  await until(
    'both copies are listed',
    () => resultView(world.db, null, made?.id ?? ''),
    (view) => view?.copies.length === 2 && view.last_replication?.state === 'SUCCEEDED',
    60_000,
  );
}, 120_000);

test('a replication that its operation could not record is shown with the backup that it copied, and with no other', async () => {
  const vmId = await world.deployed('copied-8', [gold]);
  await world.ended((await backUp(vmId, gold, false)).operationId);
  await world.copiesTake(0.5);
  const faulty = { method: 'POST', path: '/replication/groups/[^/]+/run$', when: 'after' } as const;
  await world.breakAvamar({ ...faulty, times: 1, action: { drop: true } });
  const { operationId } = await backUp(vmId, gold, true);
  await until('the run was sent', world.avamarFaults, (left) => left === 0, 60_000);
  const action = { status: 500, body: { code: 1, message: 'The list is being rebuilt.' } };
  await world.breakAvamar({ method: 'GET', path: '/activities$', when: 'before', action });
  expect(await world.ended(operationId, 60_000)).toMatchObject({ error: { code: 'BACKUP_REPLICATION_NOT_STARTED' } });
  await world.mendAvamar();
  expect((await settled(operationId)).last_replication).toMatchObject({ state: 'SUCCEEDED' });
  const { rows } = await listResults(world.db, null, { vmId }, { limit: 10 });
  expect(rows.map(({ last_replication: last }) => last?.state ?? null)).toEqual(['SUCCEEDED', null]);
}, 120_000);
