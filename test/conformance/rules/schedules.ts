/**
 * Rules of schedules: what others did at the console, what is not Holdfast's, and what is refused before anything is
 * written.
 * @module
 */
import { expect, test } from 'vitest';
import type { ProtectedVm } from '../../../activities/backup-systems/backup-system.ts';
import { SUBTYPES, type Subtype } from '../../../domain/policies.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import type { PluginUnderTest, Subject } from '../plugin-under-test.ts';
import { backedUp, backupOf, openContext, resultsOf, scheduled, scheduleOf, twoSchedules } from '../port-calls.ts';

export function scheduleRules(world: () => PluginUnderTest, subject: Subject): void {
  const context = openContext();
  const { type } = subject;
  const ours = (name: string) => scheduled(world(), type, name);

  /** Refused with that word, and before the first write. */
  async function expectRefused(vm: ProtectedVm, schedule: BackupSchedule, word: string | RegExp): Promise<void> {
    world().wire.forget();
    const failure = await world()
      .connect()
      .applySchedule(context, vm, schedule, undefined)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: 'REFUSED' });
    expect((failure as Error).message).toMatch(word);
    expect(world().wire.calls.filter(({ write }) => write !== undefined)).toEqual([]);
  }

  test('non-idempotent toggle: a schedule that somebody switched off is on afterwards, and stays on', async () => {
    const { vm, schedule, ref } = await ours('switched-off');
    await world().console.disableSchedule(vm);
    for (const _ of ['once', 'twice']) {
      await world().connect().applySchedule(context, vm, schedule, ref);
      expect(await world().console.schedules(vm)).toSatisfy((all: { enabled: boolean }[]) =>
        all.every(({ enabled }) => enabled),
      );
    }
  });

  test('wrong job touched: a machine that somebody put into the schedule of a VM is out of it afterwards', async () => {
    const { vm, schedule, ref } = await ours('with-stranger');
    const stranger = await world().machines.deploy('stranger');
    await world().console.addMachine(vm, stranger);
    await world().connect().applySchedule(context, vm, schedule, ref);
    for (const { machines } of await world().console.schedules(vm)) expect(machines).toEqual([vm.hypervisorRef]);
  });

  test('wrong job touched: what is not Holdfast’s is as it was, whatever is asked', async () => {
    const { vm, ref } = await ours('neighbour-of-foreign');
    await world().console.plantForeign(vm);
    const before = await world().console.foreign(vm);
    const [schedule, other] = twoSchedules(type, world().policyCode);
    await world().connect().applySchedule(context, vm, other, ref);
    await world().connect().applySchedule(context, vm, schedule, ref);
    await world().connect().removeSchedule(context, vm, ref);
    await world().connect().removeSchedule(context, vm, undefined);
    await world().console.settled();
    expect(await world().console.foreign(vm)).toEqual(before);
    expect(await world().console.traces(vm)).toEqual([]);
  });

  if (subject.without.RENAME === undefined) {
    test('renamed outside: a schedule that was renamed never goes on unseen', async () => {
      const { vm, ref } = await ours('renamed');
      const name = await world().console.renameSchedule?.(vm);
      const failure = await world()
        .connect()
        .removeSchedule(context, vm, ref)
        .catch((error: unknown) => error);
      // One that still says whose it is, is removed; one that does not is left, and the refusal says how it came to be.
      const left = (await world().console.schedules(vm)).map((seen) => seen.name);
      if (failure === undefined) expect(left).toEqual([]);
      else {
        expect(failure).toMatchObject({ kind: 'REFUSED', message: expect.stringContaining('renamed') });
        expect(left).toEqual([name]);
      }
    });
  }

  test('deleted outside: the schedule is made again when it is asked for, and its removal succeeds', async () => {
    const { vm, schedule, ref } = await ours('deleted');
    const before = (await world().console.schedules(vm)).map(({ name }) => name);
    await world().console.deleteSchedule(vm);
    const again = await world().connect().applySchedule(context, vm, schedule, ref);
    expect((await world().console.schedules(vm)).map(({ name }) => name)).toEqual(before);
    await world().console.deleteSchedule(vm);
    await world().connect().removeSchedule(context, vm, again);
    await world()
      .connect()
      .removeSchedule(context, { ...vm, hypervisorRef: null }, again);
    expect(await world().console.traces(vm)).toEqual([]);
  });

  test('deleted outside: a machine that is not in the hypervisor is named, and nothing is left of the attempt', async () => {
    const [schedule] = twoSchedules(type, world().policyCode);
    const vm = { ...(await world().machines.deploy('vanished')), hypervisorRef: 'vm-999999' };
    await expect(world().connect().applySchedule(context, vm, schedule, undefined)).rejects.toMatchObject({
      // A machine that is new is unknown for a while to some backup systems; these try again until they are told to stop.
      kind: expect.stringMatching(/^(REFUSED|FAILED)$/),
      message: expect.stringContaining(vm.name),
    });
    await world().connect().removeSchedule(context, vm, undefined);
    await world().console.settled();
    expect(await world().console.traces(vm)).toEqual([]);
    await expectRefused({ ...vm, hypervisorRef: null }, schedule, vm.name);
  });

  test('deleting: the backups of a removed schedule are still there', async () => {
    const protectedVm = await ours('kept-backups');
    const backup = await backedUp(world(), protectedVm);
    const { vm, ref } = protectedVm;
    await world().connect().removeSchedule(context, vm, ref);
    const left = await resultsOf(world().connect(), [{ vendorVmRef: ref.vmRef, schedule: null }]);
    expect(left.map(({ vendorBackupId }) => vendorBackupId)).toContain(backup.vendorBackupId);
  });

  test('schedule limits: a zone, a disk and a replication that cannot be are refused before anything is written', async () => {
    const vm = await world().machines.deploy('impossible');
    const code = world().policyCode;
    const nightly = [backupOf('DAILY', { time: '23:00' })];
    await expectRefused(vm, scheduleOf(code, nightly, { timeZone: 'Mars/Olympus' }), /Mars\/Olympus/);
    await expectRefused(vm, scheduleOf(code, [backupOf('DAILY', { time: '23:00', disks: ['Hard disk 9'] })]), /disk/);
    if (!type.operations.replication) {
      await expectRefused(vm, scheduleOf(code, nightly, { replication: true }), /replication/);
    }
    const { maxBackupsPerPolicy, maxPoliciesPerVm, types } = type.constraints;
    if (maxBackupsPerPolicy === 1) {
      await expectRefused(vm, scheduleOf(code, [...nightly, backupOf('MONTHLY', { time: '04:00' })]), code);
    }
    if (maxPoliciesPerVm === 1) {
      const [policy] = scheduleOf(code, nightly).policies;
      const twice = policy === undefined ? [] : [policy, { ...policy, policyId: 'p2' }];
      await expectRefused(vm, { managerId: 'm1', policies: twice }, /polic/);
    }
    if (!types.includes('SNAPSHOT')) {
      await expectRefused(vm, scheduleOf(code, [backupOf('DAILY', { time: '23:00', type: 'SNAPSHOT' })]), /COMPLETE/);
    }
  });

  const missing = SUBTYPES.filter((subtype) => !type.constraints.subtypes.includes(subtype));
  test.each(missing)('schedule limits: %s is refused before anything is written', async (subtype: Subtype) => {
    const vm = await world().machines.deploy('not-offered');
    const time = subtype === 'DEFINED_HOUR' ? '2030-01-01T10:00' : '10:00';
    await expectRefused(vm, scheduleOf(world().policyCode, [backupOf(subtype, { time })]), subtype);
  });

  test('what a schedule is made of is told: the policy, by what runs it', async () => {
    const { vm, schedule, ref } = await ours('told');
    const served = Object.values(ref.policies ?? {});
    expect(new Set(served)).toEqual(new Set(schedule.policies.map(({ policyId }) => policyId)));
    expect(served).toHaveLength((await world().console.schedules(vm)).length);
  });

  test('a VM keeps its schedule when another one’s is changed or removed', async () => {
    const [kept, changed] = [await ours('kept'), await ours('changed-beside')];
    const before = await world().console.schedules(kept.vm);
    const [, other] = twoSchedules(type, world().policyCode);
    await world().connect().applySchedule(context, changed.vm, other, changed.ref);
    await world().connect().removeSchedule(context, changed.vm, changed.ref);
    expect(await world().console.schedules(kept.vm)).toEqual(before);
  });
}
