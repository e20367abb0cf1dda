/**
 * Rules of sessions and backups: how many calls they cost, how they end, who began them, and what is restored.
 * @module
 */
import { expect, test } from 'vitest';
import { copyKey } from '../../../activities/backup-systems/backup-system.ts';
import type { PluginUnderTest, Subject } from '../plugin-under-test.ts';
import { backedUp, copyOf, ended, openContext, resultsOf, type Scheduled, scheduled, until } from '../port-calls.ts';

/** What one tick may cost, however many sessions are in flight. */
const CALLS_PER_TICK = 3;
const IN_FLIGHT = 500;

export function sessionRules(world: () => PluginUnderTest, subject: Subject): void {
  const context = openContext();
  const { type, without, limits } = subject;
  const ours = (name: string) => scheduled(world(), type, name);

  /** The one session of the VM that began since then. */
  const begun = async ({ ref }: Scheduled, since: Date) =>
    (await until(
      world(),
      async () =>
        (await world().connect().sessionsSince(context, since)).find(({ vendorVmRef }) => vendorVmRef === ref.vmRef),
      (one) => one !== undefined,
    )) ?? expect.unreachable();

  test('a backup that somebody began at the console is seen, ends, and its id stays the same', async () => {
    const one = await ours('by-hand');
    const since = await world().connect().serverTime(context);
    await world().console.startBackup(one.vm);
    const first = await begun(one, since);
    const report = await ended(world(), world().connect(), first.vendorSessionId);
    expect(report).toMatchObject({
      vendorSessionId: first.vendorSessionId,
      kind: 'BACKUP',
      vendorVmRef: one.ref.vmRef,
      state: 'SUCCEEDED',
      progress: 100,
      vendorBackupId: expect.any(String),
    });
    expect(report.startedAt.getTime()).toBeGreaterThanOrEqual(since.getTime() - 1_000);
    const all = await world().connect().sessionsSince(context, since);
    expect(all.filter(({ vendorVmRef }) => vendorVmRef === one.ref.vmRef)).toEqual([report]);
    const listed = { vendorVmRef: one.ref.vmRef, schedule: one.schedule };
    // A backup may be listed some time after its session has ended.
    const look = () =>
      world()
        .connect()
        .result(context, listed, report.vendorBackupId ?? '');
    expect(await until(world(), look, (result) => result !== undefined)).toMatchObject({
      vendorBackupId: report.vendorBackupId,
      vendorVmRef: one.ref.vmRef,
    });
  });

  test('clock skew: what began before a moment is not among what began since', async () => {
    const one = await ours('since');
    const start = await world().connect().serverTime(context);
    await backedUp(world(), one);
    const [first] = (await world().connect().sessionsSince(context, start)).filter(
      ({ vendorVmRef }) => vendorVmRef === one.ref.vmRef,
    );
    const after = new Date((first?.startedAt.getTime() ?? 0) + 1);
    const later = await world().connect().sessionsSince(context, after);
    expect(later.map(({ vendorSessionId }) => vendorSessionId)).not.toContain(first?.vendorSessionId);
    expect(await resultsOf(world().connect(), [listedAs(one)], new Date(Date.now() + 400 * 86_400_000))).toEqual([]);
  });

  if (without.OUTCOMES === undefined) {
    test('partial success: a warning is a success that keeps its words', async () => {
      const one = await ours('warned');
      const since = await world().connect().serverTime(context);
      await world().console.nextEnds?.(one.vm, 'WARNING', 'One file was in use.');
      await world().console.startBackup(one.vm);
      const report = await ended(world(), world().connect(), (await begun(one, since)).vendorSessionId);
      expect(report).toMatchObject({ state: 'WARNING', message: expect.stringContaining('One file was in use.') });
      expect(report.vendorBackupId).toEqual(expect.any(String));
    });

    test('a failure says why, and leaves no backup', async () => {
      const one = await ours('failed');
      const since = await world().connect().serverTime(context);
      await world().console.nextEnds?.(one.vm, 'FAILED', 'The disk cannot be read.');
      await world().console.startBackup(one.vm);
      const report = await ended(world(), world().connect(), (await begun(one, since)).vendorSessionId);
      expect(report).toMatchObject({ state: 'FAILED', message: expect.stringContaining('The disk cannot be read.') });
      expect(report.vendorBackupId).toBeNull();
      expect(await resultsOf(world().connect(), [listedAs(one)])).toEqual([]);
    });
  }

  if (without.MANY_SESSIONS === undefined) {
    const declared = limits.callsPerTick;
    const calls = declared?.calls ?? CALLS_PER_TICK;
    const title = `polling: a tick with ${IN_FLIGHT} sessions in flight costs at most ${calls} calls`;
    test(declared === undefined ? title : `${title} (declared: ${declared.reason})`, async () => {
      await world().console.sessionsTake(1_000_000);
      const since = await world().connect().serverTime(context);
      const ids = (await world().console.beginMany?.(IN_FLIGHT)) ?? [];
      const system = world().connect();
      const later = new Date((await system.serverTime(context)).getTime() + 1_000);
      const tick = async () => {
        const begun = await system.sessionsSince(context, later);
        return [...begun, ...(await system.sessions(context, ids))];
      };
      // What a process learns of sessions that it finds running, it learns once.
      await tick();
      world().wire.forget();
      const reports = await tick();
      expect(world().wire.calls.filter(({ isLogin }) => !isLogin).length).toBeLessThanOrEqual(calls);
      expect(new Set(reports.map(({ vendorSessionId }) => vendorSessionId))).toEqual(new Set(ids));
      const all = await system.sessionsSince(context, since);
      // Others may have begun meanwhile: a run that failed before is tried again by itself.
      const told = all.map(({ vendorSessionId }) => vendorSessionId).filter((id) => ids.includes(id));
      expect(told.toSorted()).toEqual(ids.toSorted());
      expect(reports.every(({ state }) => state === 'RUNNING')).toBe(true);
    });
  }

  test('unknown sessions are left out, and no session costs no call', async () => {
    const system = world().connect();
    expect(await system.sessions(context, ['nobody', 'nobody-else'])).toEqual([]);
    world().wire.forget();
    expect(await system.sessions(context, [])).toEqual([]);
    expect(world().wire.calls).toEqual([]);
  });

  if (without.DELETE_BACKUPS === undefined) {
    test('deleted outside: a backup that is gone is not listed, and cannot be restored', async () => {
      const one = await ours('gone-backup');
      const [kept, gone] = [await backedUp(world(), one), await backedUp(world(), one)];
      await world().console.deleteBackup?.(one.vm, gone.vendorBackupId);
      const system = world().connect();
      expect([...(await system.listed(context, [kept, gone].map(copyOf)))]).toEqual([copyKey(copyOf(kept))]);
      expect(await system.result(context, listedAs(one), gone.vendorBackupId)).toBeUndefined();
      expect((await resultsOf(system, [listedAs(one)])).map(({ vendorBackupId }) => vendorBackupId)).toEqual([
        kept.vendorBackupId,
      ]);
      await expect(system.startRestore(context, one.vm, copyOf(gone))).rejects.toMatchObject({ kind: 'REFUSED' });
      expect(await world().console.sessionCount(one.vm, 'RESTORE')).toBe(0);
    });
  }

  test('an unknown VM has no backups', async () => {
    expect(await resultsOf(world().connect(), [{ vendorVmRef: 'no-such-vm', schedule: null }])).toEqual([]);
    const copy = { vendorVmRef: 'no-such-vm', vendorId: '1', location: 'Local' };
    expect(await world().connect().listed(context, [copy])).toEqual(new Set());
    expect(await world().connect().listed(context, [])).toEqual(new Set());
  });

  test('many backups come complete through small pages, and none twice', async () => {
    const one = await ours('paged');
    const made = [];
    for (let count = 0; count < 5; count += 1) made.push((await backedUp(world(), one)).vendorBackupId);
    world().wire.smallPages(2);
    const found = (await resultsOf(world().connect(), [listedAs(one)])).map(({ vendorBackupId }) => vendorBackupId);
    expect(found).toEqual(expect.arrayContaining(made));
    expect(new Set(found).size).toBe(found.length);
  });

  if (!type.operations.onDemandBackup) {
    test('a backup on demand is refused with its code, and nothing is begun', async () => {
      const one = await ours('no-on-demand');
      world().wire.forget();
      await expect(
        world().connect().startBackup(context, one.vm, { retentionDays: 7, disks: null }),
      ).rejects.toMatchObject({ code: 'BACKUP_ONDEMAND_NOT_SUPPORTED' });
      expect(world().wire.calls).toEqual([]);
    });
  } else {
    test('limits in lists: a start that never arrived is not found, nor what is known to be something else', async () => {
      const vm = await world().machines.deploy('never-arrived');
      const system = world().connect();
      const vendorVmRef = await system.vmReference(context, vm);
      const start = { kind: 'BACKUP' as const, vendorVmRef, vendorTime: await system.serverTime(context) };
      expect(await system.findSession(context, { ...start, vendorBackupId: null, notThese: [] })).toBe('NONE');
      const { vendorSessionId } = await system.startBackup(context, vm, { retentionDays: 7, disks: null });
      const known = { ...start, vendorBackupId: null, notThese: [vendorSessionId] };
      expect(await system.findSession(context, known)).toBe('NONE');
    });
  }

  if (!type.operations.cancel) {
    test('a cancel is refused, and nothing is written', async () => {
      await expect(world().connect().cancel(context, 'any')).rejects.toMatchObject({ kind: 'REFUSED' });
    });
  }

  test('the VM is called the same however often it is asked for', async () => {
    const { vm, ref } = await ours('named');
    const system = world().connect();
    expect(await system.vmReference(context, vm)).toBe(ref.vmRef);
    world().wire.forget();
    expect(await world().connect().vmReference(context, vm)).toBe(ref.vmRef);
    expect(world().wire.calls.filter(({ write }) => write !== undefined)).toEqual([]);
  });
}

export const listedAs = ({ ref, schedule }: Scheduled) => ({ vendorVmRef: ref.vmRef, schedule });
