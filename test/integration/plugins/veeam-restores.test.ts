import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SessionReport } from '../../../activities/backup-systems/backup-system.ts';
import { copyOf, protect, run } from './veeam-runs.ts';
import { ended, openContext, startVeeamWorld, until, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
const context = openContext();

beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(async () => {
  await world.healthy();
  await world.settings({ restoreSeconds: 0.1, restoreSessionPoint: true });
});
afterAll(() => world.close());

describe('a restore', () => {
  const prepared = async (name: string) => {
    const one = await protect(world, name);
    await world.disk(one.vm, 'then');
    const veeam = world.connect();
    const pointId = (await run(world, one, veeam)).vendorBackupId as string;
    await world.disk(one.vm, 'now');
    return { ...one, veeam, copy: copyOf(one.ref, pointId) };
  };
  const lostStart = async (copy: { vendorVmRef: string; vendorId: string }, notThese: readonly string[] = []) => ({
    kind: 'RESTORE' as const,
    vendorVmRef: copy.vendorVmRef,
    vendorTime: new Date((await world.now()).getTime() - 2_000),
    vendorBackupId: copy.vendorId,
    notThese,
  });

  test('replaces the machine, and names the one that it made', async () => {
    const { vm, veeam, copy, ref } = await prepared('restore-1');
    const asked = openContext();
    const begun = await veeam.startRestore(asked, vm, copy);
    expect(asked.writes).toBe(1);
    expect(begun).toMatchObject({ vendorVmRef: ref.vmRef });
    const end = await ended(veeam, context, begun.vendorSessionId);
    expect(end).toMatchObject({
      kind: 'RESTORE',
      state: 'SUCCEEDED',
      vendorVmRef: ref.vmRef,
      vendorBackupId: copy.vendorId,
      restoredVmRef: expect.stringMatching(/^vm-\d+$/),
    });
    expect(end.restoredVmRef).not.toBe(vm.hypervisorRef);
    const seen = await veeam.sessionsSince(context, new Date(Date.now() - 600_000));
    expect(seen.find(({ vendorSessionId }) => vendorSessionId === begun.vendorSessionId)).toEqual(end);
  });

  test('of a VM that was undeployed registers a machine', async () => {
    const { vm, veeam, copy } = await prepared('restore-2');
    await world.undeploy(vm);
    const begun = await veeam.startRestore(context, vm, copy);
    expect(await ended(veeam, context, begun.vendorSessionId)).toMatchObject({
      state: 'SUCCEEDED',
      restoredVmRef: expect.any(String),
    });
  });

  test('of a restore point that is gone is refused', async () => {
    const { vm, veeam, copy } = await prepared('restore-3');
    await world.control(`/points/${copy.vendorId.split(':').at(-1)}`, undefined, 'DELETE');
    const asked = openContext();
    await expect(veeam.startRestore(asked, vm, copy)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining('no longer has the restore point'),
    });
    expect(asked.writes).toBe(0);
  });

  test('whose answer was lost is found, once, and by its restore point alone', async () => {
    const { vm, veeam, copy } = await prepared('restore-4');
    const other = await prepared('restore-5');
    await world.fault({ method: 'POST', path: 'action=restore', when: 'after', times: 1, action: { drop: true } });
    const start = await lostStart(copy);
    await expect(veeam.startRestore(context, vm, copy)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const foreign = await other.veeam.startRestore(context, other.vm, other.copy);
    const found = (await until(
      () => veeam.findSession(context, start),
      (answer) => answer !== 'NONE',
    )) as SessionReport;
    expect(found).toMatchObject({ kind: 'RESTORE', vendorBackupId: copy.vendorId });
    expect(found.vendorSessionId).not.toBe(foreign.vendorSessionId);
    expect(await veeam.findSession(context, { ...start, notThese: [found.vendorSessionId.toUpperCase()] })).toBe(
      'NONE',
    );
  });

  test('that was never begun is not found', async () => {
    const { vm, veeam, copy } = await prepared('restore-6');
    await world.fault({ method: 'POST', path: 'action=restore', when: 'before', times: 1, action: { drop: true } });
    const start = await lostStart(copy);
    await expect(veeam.startRestore(context, vm, copy)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    expect(await veeam.findSession(context, start)).toBe('NONE');
  });

  test('that cannot be told from another is claimed by nobody', async () => {
    const { vm, veeam, copy } = await prepared('restore-7');
    const start = await lostStart(copy);
    const first = await veeam.startRestore(context, vm, copy);
    await ended(veeam, context, first.vendorSessionId);
    // Older servers do not tell the point of a restore.
    await world.settings({ restoreSessionPoint: false });
    expect(await veeam.findSession(context, start)).toBe('AMBIGUOUS');
    expect(await veeam.sessions(context, [first.vendorSessionId])).toMatchObject([{ state: 'SUCCEEDED' }]);
    await world.settings({ restoreSessionPoint: true });
    await veeam.startRestore(context, vm, copy);
    expect(await veeam.findSession(context, start)).toBe('AMBIGUOUS');
    expect(await veeam.findSession(context, { ...start, notThese: [first.vendorSessionId] })).toMatchObject({
      kind: 'RESTORE',
    });
  });

  test('that failed says why', async () => {
    const { vm, veeam, copy } = await prepared('restore-8');
    await world.control('/outcomes', {
      kind: 'restore',
      vmName: 'restore-8',
      result: 'Failed',
      reason: 'datastore full',
      times: 1,
    });
    const begun = await veeam.startRestore(context, vm, copy);
    expect(await ended(veeam, context, begun.vendorSessionId)).toMatchObject({ state: 'FAILED', restoredVmRef: null });
  });

  test('cannot be stopped', async () => {
    await world.settings({ restoreSeconds: 5 });
    const { vm, veeam, copy } = await prepared('restore-9');
    const begun = await veeam.startRestore(context, vm, copy);
    const asked = openContext();
    await expect(veeam.cancel(asked, begun.vendorSessionId)).rejects.toMatchObject({ kind: 'REFUSED' });
    expect(asked.writes).toBe(0);
  });

  test('whose task was lost with its session is found by its effect', async () => {
    const { vm, veeam, copy } = await prepared('restore-10');
    const start = await lostStart(copy);
    await world.fault({ method: 'GET', path: '/tasks/', when: 'before', times: 1, action: { status: 401 } });
    await expect(veeam.startRestore(context, vm, copy)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
    const found = await until(
      () => veeam.findSession(context, start),
      (answer) => answer !== 'NONE',
    );
    expect(found).toMatchObject({ vendorBackupId: copy.vendorId });
  });
});
