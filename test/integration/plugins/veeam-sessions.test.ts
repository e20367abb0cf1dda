import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ResultReport } from '../../../activities/backup-systems/backup-system.ts';
import { begin, copyOf, NIGHTLY, protect, results, run } from './veeam-runs.ts';
import { ended, openContext, startVeeamWorld, until, type VeeamWorld } from './veeam-world.ts';

let world: VeeamWorld;
const context = openContext();

beforeAll(async () => {
  world = await startVeeamWorld();
});
afterEach(async () => {
  await world.healthy();
  await world.settings({ backupSeconds: 0.1, pointReadySeconds: 0 });
});
afterAll(() => world.close());

describe('a backup by the schedule', () => {
  test('is a session of its VM, with its restore point and size', async () => {
    const one = await protect(world, 'backup-1');
    const report = await run(world, one, world.connect());
    expect(report).toMatchObject({
      kind: 'BACKUP',
      vendorVmRef: one.ref.vmRef,
      state: 'SUCCEEDED',
      progress: 100,
      scheduled: true,
      vendorSessionId: expect.stringMatching(/^urn:veeam:BackupTaskSession:/),
      vendorBackupId: expect.stringMatching(/^urn:veeam:VmRestorePoint:/),
      sizeBytes: expect.any(Number),
      restoredVmRef: null,
    });
  });

  test('is the same session at every look, in every process', async () => {
    await world.settings({ backupSeconds: 1 });
    const one = await protect(world, 'backup-2');
    const since = new Date((await world.now()).getTime() - 1_000);
    await world.startJob(one.job.id);
    const seen = new Map<string, string[]>();
    await until(
      async () => {
        const all = await world.connect().sessionsSince(context, since);
        const [report] = all.filter(({ vendorVmRef }) => vendorVmRef === one.ref.vmRef);
        if (report !== undefined) {
          seen.set(report.vendorSessionId, [...(seen.get(report.vendorSessionId) ?? []), report.state]);
        }
        return report;
      },
      (report) => report !== undefined && report.endedAt !== null,
    );
    expect(seen.size).toBe(1);
    expect([...seen.values()][0]).toContain('RUNNING');
  });

  test('with a warning keeps the words, and one that failed has no restore point', async () => {
    const one = await protect(world, 'backup-3');
    await world.control('/outcomes', {
      kind: 'backup',
      vmName: 'backup-3',
      result: 'Warning',
      reason: 'slow disk',
      times: 1,
    });
    expect(await run(world, one, world.connect())).toMatchObject({ state: 'WARNING', message: 'slow disk' });
    await world.control('/outcomes', {
      kind: 'backup',
      vmName: 'backup-3',
      result: 'Failed',
      reason: 'no space',
      times: 1,
    });
    expect(await run(world, one, world.connect())).toMatchObject({
      state: 'FAILED',
      message: 'no space',
      vendorBackupId: null,
    });
  });

  test('that nobody knows is left out, and one that is asked for by its id is found in another process', async () => {
    const one = await protect(world, 'backup-4');
    const { vendorSessionId } = await run(world, one, world.connect());
    const unknown = vendorSessionId.replace(/[0-9a-f]{12}$/, '000000000000');
    const found = await world.connect().sessions(context, [unknown, vendorSessionId]);
    expect(found.map((report) => report.vendorSessionId)).toEqual([vendorSessionId]);
  });

  test('is begun by the backup system alone', async () => {
    const { vm } = await protect(world, 'backup-5');
    const veeam = world.connect();
    await expect(veeam.startBackup(context, vm, { retentionDays: 1, disks: null })).rejects.toMatchObject({
      code: 'BACKUP_ONDEMAND_NOT_SUPPORTED',
    });
    const lost = {
      kind: 'BACKUP',
      vendorVmRef: 'x',
      vendorTime: new Date(0),
      vendorBackupId: null,
      notThese: [],
    } as const;
    expect(await veeam.findSession(context, lost)).toBe('NONE');
  });

  test('can be stopped, and then says how it ended', async () => {
    await world.settings({ backupSeconds: 30 });
    const one = await protect(world, 'backup-6');
    const veeam = world.connect();
    const running = await begin(world, one, veeam);
    await veeam.cancel(context, running.vendorSessionId);
    const stopped = await ended(veeam, context, running.vendorSessionId);
    expect(['CANCELLED', 'FAILED']).toContain(stopped.state);
    const again = openContext();
    await veeam.cancel(again, running.vendorSessionId);
    expect(again.writes).toBe(0);
  });

  test('of somebody else’s job is not stopped', async () => {
    await world.settings({ backupSeconds: 5 });
    const veeam = world.connect();
    const one = await protect(world, 'backup-7');
    await world.changeJob(one.job.id, { description: 'mine now' });
    const running = await begin(world, one, veeam);
    const asked = openContext();
    await expect(veeam.cancel(asked, running.vendorSessionId)).rejects.toMatchObject({ kind: 'REFUSED' });
    expect(asked.writes).toBe(0);
  });

  test('whose job is running keeps its job from being removed, and says so', async () => {
    await world.settings({ backupSeconds: 30 });
    const one = await protect(world, 'backup-8');
    await world.startJob(one.job.id);
    await expect(world.connect().removeSchedule(context, one.vm, one.ref)).rejects.toMatchObject({
      kind: 'FAILED',
      vendorMessage: expect.stringContaining('running'),
    });
    await world.advance(60);
    await until(
      () =>
        world
          .connect()
          .removeSchedule(context, one.vm, one.ref)
          .then(
            () => 'removed',
            () => 'not yet',
          ),
      (end) => end === 'removed',
    );
  });

  test('of many VMs costs three calls a look, however many run', async () => {
    await world.settings({ backupSeconds: 600 });
    const placeholders = await Promise.all(
      Array.from(
        { length: 40 },
        (_, index) => world.control('/jobs', { name: `many-${index}` }) as Promise<{ id: string }>,
      ),
    );
    const since = new Date((await world.now()).getTime() - 1_000);
    for (const { id } of placeholders) await world.startJob(id).catch(() => {});
    const veeam = world.connect();
    const seen = await until(
      () => veeam.sessionsSince(context, since),
      (reports) => reports.length >= 40,
    );
    const inFlight = seen.map(({ vendorSessionId }) => vendorSessionId);
    const before = await world.calls();
    await veeam.sessionsSince(context, since);
    const reports = await veeam.sessions(context, inFlight);
    expect(reports).toHaveLength(inFlight.length);
    expect((await world.calls()) - before).toBeLessThanOrEqual(3);
  });
});

describe('restore points', () => {
  test('are listed with an estimated date, once they are ready', async () => {
    await world.settings({ pointReadySeconds: 3_600 });
    const one = await protect(world, 'points-1');
    const veeam = world.connect();
    const { vendorBackupId } = await run(world, one, veeam);
    const vm = { vendorVmRef: one.ref.vmRef, schedule: NIGHTLY };
    expect(await results(veeam, one.ref.vmRef)).toEqual([]);
    expect(await veeam.result(context, vm, vendorBackupId as string)).toBeUndefined();
    // A point that is not ready is there all the same.
    expect((await veeam.listed(context, [copyOf(one.ref, vendorBackupId as string)])).size).toBe(1);
    await world.advance(3_700);
    const [listed] = await until(
      () => results(veeam, one.ref.vmRef),
      (found) => found.length === 1,
    );
    expect(listed).toMatchObject({
      vendorBackupId,
      vendorVmRef: one.ref.vmRef,
      name: expect.stringContaining('points-1'),
    });
    const expiresAt = new Date((listed as ResultReport).createdAt.getTime() + 7 * 86_400_000);
    expect(listed?.copies).toEqual([
      { location: 'Local', locationName: null, vendorId: vendorBackupId, expiresAt, expiryEstimated: true },
    ]);
    expect(await veeam.result(context, vm, vendorBackupId as string)).toEqual(listed);
    const unscheduled = await veeam.result(context, { ...vm, schedule: null }, vendorBackupId as string);
    expect(unscheduled?.copies[0]).toMatchObject({ expiresAt: null, expiryEstimated: true });
  });

  test('are those of their VM, made since a moment', async () => {
    const [one, other] = [await protect(world, 'points-2'), await protect(world, 'points-3')];
    const veeam = world.connect();
    await run(world, one, veeam);
    await run(world, other, veeam);
    expect(await results(veeam, one.ref.vmRef)).toHaveLength(1);
    const [first] = (await results(veeam, one.ref.vmRef)) as [ResultReport];
    expect(await results(veeam, one.ref.vmRef, first.createdAt)).toHaveLength(1);
    expect(await results(veeam, one.ref.vmRef, new Date(first.createdAt.getTime() + 1))).toEqual([]);
  });

  test('that are gone are not listed, and the others are', async () => {
    const one = await protect(world, 'points-4');
    const veeam = world.connect();
    const first = (await run(world, one, veeam)).vendorBackupId as string;
    const second = (await run(world, one, veeam)).vendorBackupId as string;
    const copies = [first, second].map((id) => copyOf(one.ref, id));
    expect((await veeam.listed(context, copies)).size).toBe(2);
    await world.control(`/points/${first.split(':').at(-1)}`, undefined, 'DELETE');
    const there = await veeam.listed(context, copies);
    expect([...there]).toEqual([expect.stringContaining(second)]);
  });

  test('that a list leaves out are not believed to be gone', async () => {
    const one = await protect(world, 'points-5');
    const veeam = world.connect();
    const copies = [copyOf(one.ref, (await run(world, one, veeam)).vendorBackupId as string)];
    const body = '<QueryResult><Entities/></QueryResult>';
    const action = { status: 200, body, headers: { 'content-type': 'application/xml' } };
    await world.fault({ path: 'type=VmRestorePoint', when: 'before', times: 1, action });
    expect((await veeam.listed(context, copies)).size).toBe(1);
  });

  test('that cannot be asked for are not believed to be gone', async () => {
    const one = await protect(world, 'points-6');
    const veeam = world.connect();
    const copies = [copyOf(one.ref, (await run(world, one, veeam)).vendorBackupId as string)];
    await world.fault({ path: 'type=VmRestorePoint', when: 'before', action: { status: 503 } });
    await expect(veeam.listed(context, copies)).rejects.toMatchObject({ kind: 'FAILED' });
    await world.healthy();
    await world.control('/pages', { kind: 'truncated', type: 'VmRestorePoint' });
    await expect(veeam.listed(context, copies)).rejects.toMatchObject({ transient: true });
  });
});

describe('the reference of a VM', () => {
  test('is the same before and after its schedule, and of the machine that it is now', async () => {
    const vm = await world.deploy('reference-1');
    const veeam = world.connect();
    const before = await veeam.vmReference(context, vm);
    const ref = await veeam.applySchedule(context, vm, NIGHTLY, undefined);
    expect(ref.vmRef).toBe(before);
    const calls = await world.calls();
    expect(await veeam.vmReference(context, { ...vm, vendorRefs: [before] })).toBe(before);
    expect(await world.calls()).toBe(calls);
    const other = await world.deploy('reference-2');
    const now = await veeam.vmReference(context, { ...other, vendorRefs: [before] });
    expect(now).toMatch(new RegExp(`\\.${other.hypervisorRef}$`));
  });

  test('is refused of a VM that is not in the hypervisor', async () => {
    const vm = { id: 'x', name: 'nowhere', hypervisorRef: null, vendorRefs: [] };
    await expect(world.connect().vmReference(context, vm)).rejects.toMatchObject({ kind: 'REFUSED' });
  });
});
