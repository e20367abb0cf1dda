/**
 * Rules of restores: into the VM as it is now, found again when an answer was lost, and seen when others began them.
 * @module
 */
import { expect, test } from 'vitest';
import type { ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import type { PluginUnderTest, Subject } from '../plugin-under-test.ts';
import { backedUp, copyOf, ended, openContext, scheduled, until } from '../port-calls.ts';

export function restoreRules(world: () => PluginUnderTest, subject: Subject): void {
  const context = openContext();
  const { type, without } = subject;

  /** Which machine was restored, by what is on its disk; the hypervisor has it switched off. */
  async function expectContent(vm: ProtectedVm, restoredVmRef: string | null, content: string): Promise<void> {
    const disks = await world().machines.readDisks?.(vm);
    if (restoredVmRef !== null) expect(disks?.get(restoredVmRef)).toBe(content);
    else expect([...(disks?.values() ?? [])]).toContain(content);
  }

  if (without.DISKS === undefined) {
    test('a restore takes the older of two backups when it is told to', async () => {
      const one = await scheduled(world(), type, 'two-backups');
      await world().machines.writeDisk?.(one.vm, 'older');
      const older = await backedUp(world(), one);
      await world().machines.writeDisk?.(one.vm, 'newer');
      await backedUp(world(), one);
      const started = await world().connect().startRestore(context, one.vm, copyOf(older));
      const report = await ended(world(), world().connect(), started.vendorSessionId);
      expect(report).toMatchObject({ kind: 'RESTORE', state: 'SUCCEEDED', vendorBackupId: older.vendorBackupId });
      await expectContent(one.vm, report.restoredVmRef, 'older');
    });
  }

  if (without.DISKS === undefined && without.UNDEPLOY === undefined) {
    test('a backup from before the VM was undeployed is restored after it was deployed again', async () => {
      const one = await scheduled(world(), type, 'reborn');
      await world().machines.writeDisk?.(one.vm, 'from the first life');
      const backup = await backedUp(world(), one);
      await world().connect().removeSchedule(context, one.vm, one.ref);
      await world().machines.undeploy?.(one.vm);
      const again = await world().machines.deploy(one.vm.name, one.vm.id);
      const now = { ...again, vendorRefs: [one.ref.vmRef] };
      const ref = await world().connect().applySchedule(context, now, one.schedule, undefined);
      expect(ref.vmRef).not.toBe(one.ref.vmRef);
      const vm = { ...now, vendorRefs: [ref.vmRef, one.ref.vmRef] };
      const started = await world().connect().startRestore(context, vm, copyOf(backup));
      const report = await ended(world(), world().connect(), started.vendorSessionId);
      expect(report.state).toBe('SUCCEEDED');
      await expectContent(vm, report.restoredVmRef, 'from the first life');
    });
  }

  test('lost answer to a write: a restore is told apart by the backup that it restores', async () => {
    const one = await scheduled(world(), type, 'lost-restore');
    const [first, second] = [await backedUp(world(), one), await backedUp(world(), one)];
    const system = world().connect();
    const vendorTime = await system.serverTime(context);
    const { vendorSessionId } = await system.startRestore(context, one.vm, copyOf(first));
    const start = { kind: 'RESTORE' as const, vendorVmRef: first.vendorVmRef, vendorTime, notThese: [] };
    const look = () => system.findSession(context, { ...start, vendorBackupId: first.vendorBackupId });
    const found = await until(world(), look, (answer) => answer !== 'NONE');
    expect(found).toMatchObject({ vendorSessionId, kind: 'RESTORE', vendorBackupId: first.vendorBackupId });
    expect(await system.findSession(context, { ...start, vendorBackupId: second.vendorBackupId })).toBe('NONE');
    const known = { ...start, vendorBackupId: first.vendorBackupId, notThese: [vendorSessionId] };
    expect(await system.findSession(context, known)).toBe('NONE');
  });

  test('a restore that somebody began at the console is seen with the backup that it restores', async () => {
    const one = await scheduled(world(), type, 'console-restore');
    const backup = await backedUp(world(), one);
    const since = await world().connect().serverTime(context);
    await world().console.startRestore(one.vm, backup.vendorBackupId);
    const look = async () =>
      (await world().connect().sessionsSince(context, since)).find(
        ({ kind, vendorBackupId }) => kind === 'RESTORE' && vendorBackupId === backup.vendorBackupId,
      );
    const seen = await until(world(), look, (one) => one !== undefined);
    expect(await ended(world(), world().connect(), seen?.vendorSessionId ?? '')).toMatchObject({
      kind: 'RESTORE',
      state: 'SUCCEEDED',
    });
  });
}
