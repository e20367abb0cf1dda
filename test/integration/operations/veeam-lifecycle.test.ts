/** VMs that Veeam protects: deploy, reconfigure and undeploy carry the job with them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { existingSchedules } from '../../../db/operation-context.ts';
import { DAILY, startWorld, until, type World } from './world.ts';

let world: World;
let veeam: Awaited<ReturnType<World['newVeeam']>>;
let gold: string;
let silver: string;
beforeAll(async () => {
  world = await startWorld();
  veeam = await world.newVeeam('veeam-1');
  gold = await world.newPolicy('GOLD', undefined, veeam.managerId);
  silver = await world.newPolicy('SILVER', [{ ...DAILY, time: { mode: 'fixed', value: '23:15' } }], veeam.managerId);
});
afterAll(() => world.stop());
afterEach(() => veeam.mend());

const reconfigure = async (vmId: string, cpu: number, policies: readonly string[]) =>
  world.requests.reconfigure({
    ...world.request(vmId),
    body: {
      hardware: { cpu, memoryMiB: 2048, disks: (await world.vm(vmId)).disks },
      backupPolicies: policies.map((policyId) => ({ policyId, configurations: [] })),
    },
  });
const reference = async (vmId: string): Promise<string> =>
  (await world.hypervisorVms()).find(({ id }) => id === vmId)?.moref ?? '';
const timeOf = (job: { readonly schedule: Readonly<Record<string, any>> } | undefined): string =>
  job?.schedule['OptionsDaily'].Time.slice(0, 5);

describe('a deploy', () => {
  test('makes one job for the VM alone, and ends SUCCEEDED', async () => {
    const vmId = await world.newVm('web-1', [gold]);
    const { operationId } = await world.requests.deploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
    expect(await world.story(operationId)).toEqual([
      'ALLOCATE DONE',
      'CONFIGURE DONE',
      'POWER_ON DONE',
      'BACKUP_SCHEDULE DONE',
    ]);
    const [job, ...others] = await veeam.jobsOf(vmId);
    expect(others).toEqual([]);
    expect(job).toMatchObject({ name: `holdfast-${vmId}`, scheduleEnabled: true, includes: [{ name: 'web-1' }] });
    expect(job?.description).toContain(`[holdfast vm=${vmId}]`);
    expect(job?.includes[0]?.ref).toMatch(new RegExp(`^urn:VMware:Vm:.*\\.${await reference(vmId)}$`));
    expect(timeOf(job)).toBe('03:30');
    expect(await existingSchedules(world.db, vmId)).toMatchObject([
      { ref: { vmRef: job?.includes[0]?.ref, jobUid: `urn:veeam:Job:${job?.id}`, jobName: job?.name } },
    ]);
  });

  test('whose template is missing rolls back, says which one, and leaves nothing', async () => {
    const bronze = await world.newPolicy('BRONZE', undefined, veeam.managerId);
    const vmId = await world.newVm('web-2', [bronze]);
    const { operationId } = await world.requests.deploy(world.request(vmId));
    const operation = await world.ended(operationId);
    expect(operation).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'BACKUP_SYSTEM_REFUSED' } });
    expect(operation.error?.message).toContain('has no job BRONZE');
    expect(await world.story(operationId)).toEqual([
      'ALLOCATE DONE/DONE',
      'CONFIGURE DONE/DONE',
      'POWER_ON DONE/DONE',
      'BACKUP_SCHEDULE FAILED/DONE',
    ]);
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
    expect(await reference(vmId)).toBe('');
    expect(await veeam.jobsOf(vmId)).toEqual([]);
    expect(await existingSchedules(world.db, vmId)).toEqual([]);
  });

  test('with two policies of one Veeam is refused before anything begins', async () => {
    const vmId = await world.newVm('web-3', [gold, silver]);
    await expect(world.requests.deploy(world.request(vmId))).rejects.toMatchObject({
      code: 'BACKUP_MULTIPLE_POLICIES_DISABLED',
    });
    expect(await world.vm(vmId)).toMatchObject({ state: 'NOT_ALLOCATED', operation_id: null });
  });

  test('with one policy of Veeam and one of Avamar makes both schedules', async () => {
    const vmId = await world.deployed('web-4', [gold, await world.newPolicy('VAULT')]);
    expect(await veeam.jobsOf(vmId)).toHaveLength(1);
    expect(await world.groups(vmId)).toHaveLength(1);
  });
});

describe('a reconfigure', () => {
  test('of the policy gives the VM the job of the other template', async () => {
    const vmId = await world.deployed('grow-1', [gold]);
    const { operationId } = await reconfigure(vmId, 4, [silver]);
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
    const [job, ...others] = await veeam.jobsOf(vmId);
    expect(others).toEqual([]);
    expect(timeOf(job)).toBe('23:15');
    expect(job?.scheduleEnabled).toBe(true);
    expect(await existingSchedules(world.db, vmId)).toMatchObject([{ ref: { jobUid: `urn:veeam:Job:${job?.id}` } }]);
  });

  test('of the hardware alone leaves the job as it is, and says so', async () => {
    const vmId = await world.deployed('grow-2', [gold]);
    const [before] = await veeam.jobsOf(vmId);
    const { operationId } = await reconfigure(vmId, 3, [gold]);
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await world.story(operationId)).toContain('BACKUP_SCHEDULE SKIPPED');
    expect(await veeam.jobsOf(vmId)).toEqual([before]);
    const [skipped] = await world.db
      .selectFrom('step')
      .select('reason')
      .where('operation_id', '=', operationId)
      .where('name', '=', 'BACKUP_SCHEDULE')
      .execute();
    expect(skipped?.reason).toBeTruthy();
  });

  test('of what a policy says edits the job and makes no other', async () => {
    const vmId = await world.deployed('grow-3', [gold]);
    const [before] = await veeam.jobsOf(vmId);
    const later = [{ ...DAILY, time: { mode: 'fixed', value: '05:45' } }];
    const values = (configurations: unknown) =>
      world.db
        .updateTable('backup_policy')
        .set({ configurations: JSON.stringify(configurations) })
        .where('id', '=', gold)
        .execute();
    await values(later);
    try {
      const { operationId } = await reconfigure(vmId, 2, [gold]);
      expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED', error: null });
    } finally {
      await values([DAILY]);
    }
    const after = await veeam.jobsOf(vmId);
    expect(after).toMatchObject([{ id: before?.id, scheduleEnabled: true, includes: before?.includes }]);
    expect(timeOf(after[0])).toBe('05:45');
  });

  test('that the hypervisor refuses leaves the job as it is', async () => {
    const vmId = await world.deployed('grow-4', [gold]);
    const before = await veeam.jobsOf(vmId);
    await world.breakHypervisor({
      method: 'PATCH',
      path: `/vms/${vmId}$`,
      when: 'before',
      times: 1,
      action: { status: 409, body: { code: 'BUSY', message: 'no' } },
    });
    const { operationId } = await reconfigure(vmId, 8, [silver]);
    expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK' });
    expect(await veeam.jobsOf(vmId)).toEqual(before);
  });
});

describe('an undeploy', () => {
  const scheduledBackup = (vmId: string) =>
    world.db
      .selectFrom('operation')
      .select('id')
      .where('vm_id', '=', vmId)
      .where('kind', '=', 'SCHEDULED_BACKUP')
      .executeTakeFirst();
  /** Undeploys the VM whose job begins to run after the server was asked for sessions, and before it is removed. */
  const runsWhenRemoved = async (vmId: string, seconds: number, check: (operationId: string) => Promise<void>) => {
    const [job] = await veeam.jobsOf(vmId);
    const path = `/api/jobs/${job?.id}$`;
    const removal = await veeam.hold({ method: 'DELETE', path, when: 'before', times: 1 });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    await removal.held();
    await veeam.changeSettings({ backupSeconds: seconds });
    await veeam.run(vmId);
    await veeam.changeSettings({ backupSeconds: 1 });
    await removal.letGo();
    await check(operationId);
  };

  test('removes the job first, then the VM', async () => {
    const vmId = await world.deployed('gone-1', [gold]);
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await world.story(operationId)).toEqual([
      'BACKUP_SCHEDULE DONE',
      'POWER_OFF DONE',
      'DECONFIGURE DONE',
      'DEALLOCATE DONE',
    ]);
    expect(await veeam.jobsOf(vmId)).toEqual([]);
    expect(await existingSchedules(world.db, vmId)).toEqual([]);
  });

  test('whose VM cannot be switched off makes the job again as it was', async () => {
    const vmId = await world.deployed('stays-1', [gold]);
    const [before] = await veeam.jobsOf(vmId);
    await world.breakHypervisor({
      method: 'PUT',
      path: `/vms/${vmId}/power`,
      when: 'before',
      times: 1,
      action: { status: 409, body: { code: 'BUSY', message: 'the guest refuses to stop' } },
    });
    const { operationId } = await world.requests.undeploy(world.request(vmId));
    expect(await world.ended(operationId)).toMatchObject({ state: 'ROLLED_BACK' });
    const [after, ...others] = await veeam.jobsOf(vmId);
    expect(others).toEqual([]);
    const { id: _before, ...was } = before ?? { id: '' };
    expect(after).toMatchObject(was);
    expect(await existingSchedules(world.db, vmId)).toMatchObject([{ ref: { jobUid: `urn:veeam:Job:${after?.id}` } }]);
  });

  test('whose job runs for longer than the step is tried rolls back, tells why, and leaves the job as it was', async () => {
    const vmId = await world.deployed('kept-1', [gold]);
    const [before] = await veeam.jobsOf(vmId);
    await runsWhenRemoved(vmId, 20, async (operationId) => {
      const operation = await world.ended(operationId, 60_000);
      expect(operation).toMatchObject({ state: 'ROLLED_BACK', error: { code: 'BACKUP_SYSTEM_FAILED' } });
      expect(operation.error?.vendorMessage).toBe(`Job "${before?.name}" is running and cannot be deleted.`);
    });
    expect(await world.vm(vmId)).toMatchObject({ state: 'ON' });
    expect(await veeam.jobsOf(vmId)).toEqual([before]);
    expect(await existingSchedules(world.db, vmId)).toMatchObject([{ uncertain: false }]);
    // The run holds the VM now, like any other.
    const row = await until(
      'the run is adopted',
      () => scheduledBackup(vmId),
      (found) => found !== undefined,
    );
    await expect(world.requests.undeploy(world.request(vmId))).rejects.toMatchObject({ code: 'VM_LOCKED' });
    expect(await world.ended(row?.id ?? '', 60_000)).toMatchObject({ state: 'SUCCEEDED' });
    const again = await world.requests.undeploy(world.request(vmId));
    expect(await world.ended(again.operationId)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await veeam.jobsOf(vmId)).toEqual([]);
  }, 120_000);

  test('waits for the end of a run that began after it had asked, and then removes the job', async () => {
    const vmId = await world.deployed('kept-2', [gold]);
    await runsWhenRemoved(vmId, 1, async (operationId) => {
      expect(await world.ended(operationId, 60_000)).toMatchObject({ state: 'SUCCEEDED', error: null });
    });
    expect(await veeam.jobsOf(vmId)).toEqual([]);
    await until(
      'the run that it had to wait for has a result',
      () => world.db.selectFrom('backup_result').select('status').where('vm_id', '=', vmId).execute(),
      (rows) => rows.length === 1 && rows[0]?.status === 'SUCCEEDED',
    );
  }, 90_000);
});
