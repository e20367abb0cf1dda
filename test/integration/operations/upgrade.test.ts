/** A new release takes over in the middle of operations: those go on as they began, and new ones are as the new release wants. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askFirst, changedWorkflows, type ChangedWorkflows } from '../../replay/changed-workflows.ts';
import { startOtherWorker } from './other-worker.ts';
import { startWorld, until, type World } from './world.ts';

let world: World;
let gold: string;
let next: ChangedWorkflows;
let nextBundle: string;
let stopNext: (() => Promise<void>) | undefined;
beforeAll(async () => {
  world = await startWorld();
  gold = await world.newPolicy('GOLD');
  next = changedWorkflows(askFirst(true));
  const { code } = await bundleWorkflowCode({
    workflowsPath: next.workflowsPath,
    logger: new DefaultLogger('ERROR', () => {}),
  });
  nextBundle = join(dirname(next.workflowsPath), 'bundle.js');
  writeFileSync(nextBundle, code);
});
afterAll(async () => {
  await stopNext?.();
  next.remove();
  await world.stop();
});

/** The activities that the operation's run has asked for, in order. */
async function activities(operationId: string): Promise<string[]> {
  const { workflow_id: workflowId } = await world.operation(operationId);
  const { events } = await world.client.workflow.getHandle(workflowId).fetchHistory();
  return (events ?? []).flatMap((event) => event.activityTaskScheduledEventAttributes?.activityType?.name ?? []);
}

const succeeds = async (operationId: string) =>
  expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', recovery: 0 });

test('operations in flight end as they began, and new ones begin as the new release wants', async () => {
  const backedUp = await world.deployed('upgraded-1', [gold]);
  await world.backupsTake(12);
  const oldBackup = await world.requests.backup(world.request(backedUp));
  await until(
    'the backup runs',
    () => world.story(oldBackup.operationId),
    (story) => story.includes('WATCH RUNNING'),
  );
  // The deploy waits for the backup system while the releases change.
  await world.breakAvamar({ method: 'GET', path: '/virtualcenters$', when: 'before', action: { hold: true } });
  const oldDeploy = await world.requests.deploy(world.request(await world.newVm('upgraded-2', [gold])));
  await until(
    'the deploy is at its last step',
    () => world.story(oldDeploy.operationId),
    (story) => story.includes('BACKUP_SCHEDULE RUNNING'),
  );

  await world.stopWorker();
  stopNext = await startOtherWorker(world, nextBundle);
  await world.mendAvamar();

  await succeeds(oldDeploy.operationId);
  expect(await activities(oldDeploy.operationId)).toEqual([
    'beginOperation',
    'allocate',
    'configure',
    'powerOn',
    'configureSchedule',
    'finishOperation',
  ]);
  const newDeploy = await world.requests.deploy(world.request(await world.newVm('upgraded-3', [gold])));
  await succeeds(newDeploy.operationId);
  expect((await activities(newDeploy.operationId)).slice(0, 3)).toEqual([
    'beginOperation',
    'ensureNoSession',
    'allocate',
  ]);

  await succeeds(oldBackup.operationId);
  expect(await activities(oldBackup.operationId)).not.toContain('ensureNoSession');
  await world.backupsTake(1);
  const newBackup = await world.requests.backup(world.request(backedUp));
  await succeeds(newBackup.operationId);
  expect(await activities(newBackup.operationId)).toContain('ensureNoSession');
}, 90_000);
