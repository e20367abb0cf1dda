/** What a worker was doing when it was asked to stop is gone on with by another one, at once. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { STOP_GRACE_MS } from '../../../activities/hand-over.ts';
import { stepsOf } from '../../../db/steps.ts';
import { startOtherWorker } from './other-worker.ts';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
let stopNewest: () => Promise<void>;

beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
  stopNewest = () => world.stopWorker();
});
afterAll(async () => {
  await stopNewest();
  await world.stop();
});

/** Starts a second worker and stops the one that ran. */
async function replaceWorker(): Promise<void> {
  const stopOther = stopNewest;
  stopNewest = await startOtherWorker(world);
  await stopOther();
}

/**
 * What Temporal tells of a run: each activity's attempts and why the last one but one failed, and which timed out. A
 * workflow task that was on its way to a worker when that stopped is given to another by its time limit: it touches nothing.
 */
async function told(operationId: string) {
  const { workflow_id: workflowId } = await world.operation(operationId);
  const { events } = await world.client.workflow.getHandle(workflowId).fetchHistory();
  const types = new Map<string, string>();
  const repeated: { activity: string | undefined; attempt: number | null | undefined; because: string }[] = [];
  const timedOut: string[] = [];
  for (const event of events ?? []) {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) types.set(String(event.eventId), scheduled.activityType?.name ?? '');
    const started = event.activityTaskStartedEventAttributes;
    if (started?.lastFailure) {
      repeated.push({
        activity: types.get(String(started.scheduledEventId)),
        attempt: started.attempt,
        because: started.lastFailure.applicationFailureInfo?.type ?? started.lastFailure.message ?? '',
      });
    }
    if (event.activityTaskTimedOutEventAttributes) timedOut.push('activity');
  }
  return { repeated, timedOut };
}

const effectsOn = async (vmId: string) =>
  (await world.hypervisorEffects()).filter((effect) => effect.id === vmId).map((effect) => effect.kind);

/** Waits until a simulator has met its one fault. */
const met = (simulatorUrl: string) =>
  until(
    'the fault is met',
    async () => (await (await fetch(`${simulatorUrl}/_simulator/faults`)).json()) as { faults: unknown[] },
    ({ faults }) => faults.length === 0,
  );

const attemptsOf = async (operationId: string, name: string) =>
  (await stepsOf(world.db, operationId)).find((step) => step.name === name);

test('a step that waits for a backup system’s answer is handed over, and is not taken for cancelled', async () => {
  const vmId = await world.newVm('asking-1', [gold]);
  await world.breakAvamar({
    method: 'GET',
    path: '/api/v1/virtualcenters$',
    when: 'before',
    times: 1,
    action: { delayMs: 60_000 },
  });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await met(world.avamarUrl);
  await replaceWorker();

  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', cancel_requested_at: null });
  expect(await told(operationId)).toEqual({
    repeated: [{ activity: 'configureSchedule', attempt: 2, because: 'HANDED_OVER' }],
    timedOut: [],
  });
  expect(await effectsOn(vmId)).toEqual(['allocate', 'configure', 'power']);
});

test('a write that is on its way is waited for, so nobody has to ask what became of it', async () => {
  const vmId = await world.newVm('writing-1', [gold]);
  await world.breakHypervisor({
    method: 'PUT',
    path: `/vms/${vmId}$`,
    when: 'after',
    times: 1,
    action: { delayMs: STOP_GRACE_MS + 2_000 },
  });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await met(world.hypervisorUrl);
  await replaceWorker();

  expect((await world.ended(operationId)).state).toBe('SUCCEEDED');
  expect(await told(operationId)).toEqual({ repeated: [], timedOut: [] });
  expect(await effectsOn(vmId)).toEqual(['allocate', 'configure', 'power']);
});

test('an undo that waits until an earlier write has settled is handed over, and the wait is not cut short', async () => {
  const vmId = await world.newVm('undoing-1', [gold]);
  await world.breakAvamar({
    method: 'POST',
    path: '/api/v1/groups/backup-groups$',
    when: 'before',
    times: 1,
    action: { status: 400, body: { code: 22234, message: 'The policy quota is exhausted.' } },
  });
  // The VM is destroyed, and nobody hears of it.
  await world.breakHypervisor({
    method: 'DELETE',
    path: `/vms/${vmId}$`,
    when: 'after',
    times: 1,
    action: { drop: true },
  });
  const { operationId } = await world.requests.deploy(world.request(vmId));
  await until(
    'the undo is tried again',
    () => attemptsOf(operationId, 'CONFIGURE'),
    (step) => step?.compensation_attempts === 2,
  );
  await replaceWorker();
  const waiting = await attemptsOf(operationId, 'CONFIGURE');
  expect(waiting?.attempt_ended_at).toBeNull();

  expect(await world.ended(operationId, 40_000)).toMatchObject({
    state: 'ROLLED_BACK',
    error: { code: 'BACKUP_SYSTEM_REFUSED' },
  });
  expect(await told(operationId)).toEqual({
    repeated: [{ activity: 'undoStep', attempt: 3, because: 'HANDED_OVER' }],
    timedOut: [],
  });
  expect(await effectsOn(vmId)).toEqual(['allocate', 'configure', 'power', 'power', 'destroy', 'deallocate']);
  expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
}, 90_000);

test('a backup in flight does not notice', async () => {
  const vmId = await world.newVm('backed-up-1', [gold]);
  await world.ended((await world.requests.deploy(world.request(vmId))).operationId);
  await world.backupsTake(3);
  const { operationId } = await world.requests.backup(world.request(vmId));
  await until(
    'the backup runs',
    () => world.story(operationId),
    (story) => story.includes('WATCH RUNNING'),
  );
  await replaceWorker();

  // Tasks that wait in the queue of the stopped worker go to another after a while: of the watch, then of the run.
  expect((await world.ended(operationId, 60_000)).state).toBe('SUCCEEDED');
  expect(await told(operationId)).toEqual({ repeated: [], timedOut: [] });
  expect(await world.db.selectFrom('session').select('id').where('vm_id', '=', vmId).execute()).toHaveLength(1);
}, 90_000);
