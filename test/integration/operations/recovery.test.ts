import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startWorld, until, type World } from './world.ts';

/** A lost run's last write may take effect for 25 s; the recovery waits for that. Milliseconds. */
const WITH_SETTLING = 60_000;

let world: World;
let gold: string;
beforeAll(async () => {
  world = await startWorld({ backupSeconds: 1 });
  gold = await world.newPolicy('GOLD');
});
afterAll(() => world.stop());

/**
 * Holds the operation in its step, where its request to the hypervisor has had its effect (or has not, `before`) and
 * nobody has been answered.
 */
const hold = (method: string, path: string, when: 'before' | 'after' = 'after') =>
  world.holdHypervisor({ method, path, when, times: 1 });

const terminate = async (operationId: string) => {
  const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
  await world.client.workflow.getHandle(workflowId, runId ?? undefined).terminate('by an operator');
};

async function reset(workflowId: string, runId: string | null): Promise<string> {
  const answer = await world.client.workflowService.resetWorkflowExecution({
    namespace: world.client.options.namespace,
    workflowExecution: { workflowId, runId },
    reason: 'by an operator',
    // The first workflow task of every history.
    workflowTaskFinishEventId: 4 as never,
    requestId: crypto.randomUUID(),
  });
  return answer.runId ?? '';
}

const endOfRun = (workflowId: string, runId: string) =>
  until(
    `run ${runId} ends`,
    () => world.client.workflow.getHandle(workflowId, runId).describe(),
    ({ status }) => status.name !== 'RUNNING',
    WITH_SETTLING,
  );

const eventsOf = async (operationId: string) =>
  (
    await world.db.selectFrom('event').select(['action', 'message']).where('operation_id', '=', operationId).execute()
  ).map(({ action }) => action);

const activities = async (vmId: string, kind: string): Promise<number> => {
  const { refs } = await world.db
    .selectFrom('vm_reference')
    .select((eb) => eb.fn.agg<string[]>('array_agg', ['ref']).as('refs'))
    .where('vm_id', '=', vmId)
    .where('system', '=', 'BACKUP_SYSTEM')
    .executeTakeFirstOrThrow();
  const { content } = await world.avamar('GET', '/activities?domain=/&recursive=true&duration=0&size=500');
  return content.filter((one: { cid: string; type: string }) => refs.includes(one.cid) && one.type.includes(kind))
    .length;
};

describe.concurrent('a run that is lost', () => {
  test(
    'in a deploy: what it had begun is undone',
    async () => {
      const vmId = await world.newVm('lost-deploy', [gold]);
      const power = await hold('PUT', `/vms/${vmId}/power`);
      const { operationId } = await world.requests.deploy(world.request(vmId));
      await power.held();
      await terminate(operationId);
      await world.takenOver(operationId);
      await power.letGo();
      const operation = await world.ended(operationId, WITH_SETTLING);
      expect(operation).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'RUN_LOST' }, recovery: 1 });
      expect(operation.error?.message).toContain('terminated');
      expect(operation.workflow_id).toMatch(/\/recovery-1$/);
      expect(await world.story(operationId)).toEqual([
        'ALLOCATE DONE/DONE',
        'CONFIGURE DONE/DONE',
        'POWER_ON FAILED/DONE',
        'BACKUP_SCHEDULE PENDING',
      ]);
      expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
      expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
      expect(await eventsOf(operationId)).toEqual(['DEPLOY', 'RUN_LOST', 'DEPLOY_FINISH']);
    },
    WITH_SETTLING,
  );

  test(
    'in an undeploy past its point of no return: the rest is done',
    async () => {
      const vmId = await world.deployed('lost-undeploy', [gold]);
      const deletion = await hold('DELETE', `/vms/${vmId}$`, 'before');
      const { operationId } = await world.requests.undeploy(world.request(vmId));
      await deletion.held();
      await terminate(operationId);
      await world.takenOver(operationId);
      await deletion.letGo();
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'SUCCEEDED', recovery: 1 });
      expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
      expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
    },
    WITH_SETTLING,
  );

  test(
    'before the point of no return of an undeploy: schedule and power are as they were',
    async () => {
      const vmId = await world.deployed('lost-undeploy-early', [gold]);
      const power = await hold('PUT', `/vms/${vmId}/power`);
      const { operationId } = await world.requests.undeploy(world.request(vmId));
      await power.held();
      await terminate(operationId);
      await world.takenOver(operationId);
      await power.letGo();
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'ROLLED_BACK' });
      expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
      expect((await world.hypervisorVms()).find((vm) => vm.id === vmId)).toMatchObject({ power: 'ON' });
      const schedules = await world.db.selectFrom('vm_schedule').selectAll().where('vm_id', '=', vmId).execute();
      expect(schedules).toMatchObject([{ uncertain: false }]);
    },
    WITH_SETTLING,
  );

  test(
    'and whose recovery is lost too: another one carries it on',
    async () => {
      const vmId = await world.newVm('lost-twice', [gold]);
      const power = await hold('PUT', `/vms/${vmId}/power`);
      const { operationId } = await world.requests.deploy(world.request(vmId));
      await power.held();
      await terminate(operationId);
      await world.takenOver(operationId);
      await power.letGo();
      await until(
        'the recovery is bound',
        () => world.operation(operationId),
        (operation) => operation.recovery === 1 && operation.run_id !== null,
      );
      await terminate(operationId);
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'ROLLED_BACK', recovery: 2 });
      expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
    },
    WITH_SETTLING,
  );

  test(
    'while a backup runs: the backup goes on, is watched on and is not begun twice',
    async () => {
      const vmId = await world.deployed('lost-backup', [gold]);
      await world.backupsTake(5);
      const { operationId } = await world.requests.backup(world.request(vmId));
      await until(
        'the backup runs',
        () => world.db.selectFrom('session').select('id').where('operation_id', '=', operationId).execute(),
        (sessions) => sessions.length === 1,
      );
      await terminate(operationId);
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'SUCCEEDED', recovery: 1 });
      expect(await activities(vmId, 'Backup')).toBe(1);
    },
    WITH_SETTLING,
  );

  test(
    'while a backup runs that was to be cancelled: it ends CANCELLED',
    async () => {
      const vmId = await world.deployed('lost-cancel', [gold]);
      await world.backupsTake(600);
      const { operationId } = await world.requests.backup(world.request(vmId));
      await until(
        'the backup runs',
        () => world.db.selectFrom('session').select('id').where('operation_id', '=', operationId).execute(),
        (sessions) => sessions.length === 1,
      );
      await world.db
        .updateTable('operation')
        .set({ cancel_requested_at: new Date(), cancel_requested_by: 'tester' })
        .where('id', '=', operationId)
        .execute();
      await terminate(operationId);
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'CANCELLED' });
      const session = await world.db
        .selectFrom('session')
        .select('state')
        .where('operation_id', '=', operationId)
        .executeTakeFirstOrThrow();
      expect(session.state).toBe('CANCELLED');
    },
    WITH_SETTLING,
  );
});

describe.concurrent('a run that is reset', () => {
  test(
    'while it is open: the new run is fenced, and a recovery ends the operation',
    async () => {
      const vmId = await world.newVm('reset-deploy', [gold]);
      const power = await hold('PUT', `/vms/${vmId}/power`);
      const { operationId } = await world.requests.deploy(world.request(vmId));
      await power.held();
      const { workflow_id: workflowId, run_id: runId } = await world.operation(operationId);
      const newRunId = await reset(workflowId, runId);
      await endOfRun(workflowId, newRunId);
      await world.takenOver(operationId);
      await power.letGo();
      await expect(world.client.workflow.getHandle(workflowId, newRunId).result()).rejects.toMatchObject({
        cause: { type: 'FENCED' },
      });
      expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'ROLLED_BACK', recovery: 1 });
      expect((await world.hypervisorVms()).map((vm) => vm.id)).not.toContain(vmId);
    },
    WITH_SETTLING,
  );

  test('after its end: the new run is fenced and changes nothing', async () => {
    const vmId = await world.deployed('reset-old', [gold]);
    const {
      id,
      workflow_id: workflowId,
      run_id: runId,
    } = await world.db.selectFrom('operation').selectAll().where('vm_id', '=', vmId).executeTakeFirstOrThrow();
    const before = (await world.hypervisorEffects()).filter((effect) => effect.id === vmId).length;
    const newRunId = await reset(workflowId, runId);
    await endOfRun(workflowId, newRunId);
    await expect(world.client.workflow.getHandle(workflowId, newRunId).result()).rejects.toMatchObject({
      cause: { type: 'FENCED' },
    });
    expect(await world.operation(id)).toMatchObject({ state: 'SUCCEEDED', run_id: runId });
    expect((await world.hypervisorEffects()).filter((effect) => effect.id === vmId)).toHaveLength(before);
  });
});

test(
  'a reset run that would wait for its session for an hour is woken and ends fenced',
  async () => {
    const vmId = await world.deployed('reset-backup', [gold]);
    await world.backupsTake(8);
    const { operationId } = await world.requests.backup(world.request(vmId));
    const { workflow_id: workflowId, run_id: runId } = await until(
      'the run waits for its session',
      () => world.operation(operationId),
      (operation) => operation.run_id !== null && operation.state === 'RUNNING',
    );
    const history = await until(
      'the run waits for its session',
      () => world.client.workflow.getHandle(workflowId, runId ?? undefined).fetchHistory(),
      ({ events }) => events?.some((event) => event.timerStartedEventAttributes) === true,
    );
    const waiting = history.events?.findLast((event) => event.workflowTaskCompletedEventAttributes);
    const answer = await world.client.workflowService.resetWorkflowExecution({
      namespace: world.client.options.namespace,
      workflowExecution: { workflowId, runId },
      reason: 'by an operator',
      workflowTaskFinishEventId: waiting?.eventId as never,
      requestId: crypto.randomUUID(),
    });
    await endOfRun(workflowId, answer.runId ?? '');
    expect(await world.ended(operationId, WITH_SETTLING)).toMatchObject({ state: 'SUCCEEDED', recovery: 1 });
    expect(await activities(vmId, 'Backup')).toBe(1);
  },
  WITH_SETTLING,
);
