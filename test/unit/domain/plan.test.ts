import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OBSERVED_STEPS, OPERATION_KINDS, STEPS } from '../../../domain/operations.ts';
import { type Intention, planSteps } from '../../../domain/plan.ts';
import type { BackupSchedule } from '../../../domain/schedules.ts';
import type { Hardware } from '../../../domain/virtual-machines.ts';

const schedule = (managerId: string, code = 'gold'): BackupSchedule => ({
  managerId,
  policies: [{ policyId: code, code, name: code, replication: false, timeZone: 'UTC', retentionDays: 30, backups: [] }],
});
const hardware = (cpu: number, ...disks: readonly number[]): Hardware => ({
  cpu,
  memoryMiB: 1024,
  disks: disks.map((sizeGiB, index) => ({ label: `disk-${index}`, sizeGiB })),
});
const nothing: Omit<Intention, 'kind'> = { origin: 'HOLDFAST', currentSchedules: [], desiredSchedules: [] };

/** The steps that are taken: `BACKUP_SCHEDULE in m1`. */
function taken(intention: Pick<Intention, 'kind'> & Partial<Intention>): string[] {
  return planSteps({ ...nothing, ...intention })
    .filter(({ skip }) => skip === null)
    .map(({ name, managerId }) => (managerId === null ? name : `${name} in ${managerId}`));
}

describe('a plan', () => {
  test('of a deploy has a step for each backup manager', () => {
    expect(taken({ kind: 'DEPLOY', desiredSchedules: [schedule('m1'), schedule('m2')] })).toEqual([
      'ALLOCATE',
      'CONFIGURE',
      'POWER_ON',
      'BACKUP_SCHEDULE in m1',
      'BACKUP_SCHEDULE in m2',
    ]);
  });

  test('of a deploy without a policy says why there is no schedule', () => {
    expect(planSteps({ kind: 'DEPLOY', ...nothing }).at(-1)).toEqual({
      name: 'BACKUP_SCHEDULE',
      managerId: null,
      skip: 'the virtual machine has no backup policy',
    });
  });

  test('of a restore replaces the machine only where the backup system makes one of its own', () => {
    const plan = (restoresAsNewMachine: boolean) =>
      planSteps({ ...nothing, kind: 'RESTORE', managerId: 'm1', restoresAsNewMachine }).find(
        ({ name }) => name === 'REPLACE',
      );
    expect(plan(true)).toMatchObject({ skip: null });
    expect(plan(false)).toMatchObject({ skip: 'the backup system restores into the virtual machine itself' });
  });

  test('of a restore at the console never replaces a machine', () => {
    const steps = planSteps({ ...nothing, kind: 'RESTORE', origin: 'BACKUP_SYSTEM', restoresAsNewMachine: true });
    expect(steps.map(({ name }) => name)).not.toContain('REPLACE');
  });

  test('of a refresh applies the schedule again, though it stays as it is', () => {
    const intention = { currentSchedules: [schedule('m1')], desiredSchedules: [schedule('m1')] };
    expect(taken({ kind: 'SCHEDULE_REFRESH', ...intention })).toEqual(['BACKUP_SCHEDULE in m1']);
  });

  test('of an undeploy removes the schedules first', () => {
    expect(taken({ kind: 'UNDEPLOY', currentSchedules: [schedule('m1')] })).toEqual([
      'BACKUP_SCHEDULE in m1',
      'POWER_OFF',
      'DECONFIGURE',
      'DEALLOCATE',
    ]);
  });

  test('of a reconfigure takes only what changes', () => {
    const same = { currentSchedules: [schedule('m1')], desiredSchedules: [schedule('m1')] };
    const reconfigure = (current: Hardware, desired: Hardware) =>
      taken({ kind: 'RECONFIGURE', ...same, hardware: { current, desired } });
    expect(reconfigure(hardware(1, 10), hardware(1, 10))).toEqual([]);
    expect(reconfigure(hardware(1, 10), hardware(2, 10))).toEqual(['RECONFIGURE']);
    expect(reconfigure(hardware(1, 10), hardware(1, 20))).toEqual(['RECONFIGURE', 'COMMIT_DISKS']);
    expect(reconfigure(hardware(1, 10, 10), hardware(1, 10))).toEqual(['RECONFIGURE', 'COMMIT_DISKS']);
    expect(reconfigure(hardware(1, 10), hardware(1, 10, 20))).toEqual(['RECONFIGURE']);
  });

  test('of a reconfigure from one manager to another touches both', () => {
    const intention = { currentSchedules: [schedule('m1')], desiredSchedules: [schedule('m2')] };
    expect(
      taken({ kind: 'RECONFIGURE', ...intention, hardware: { current: hardware(1), desired: hardware(1) } }),
    ).toEqual(['BACKUP_SCHEDULE in m1', 'BACKUP_SCHEDULE in m2']);
  });

  test('of a restore puts back a schedule that stays as it is: the VM may have become another one', () => {
    const same = { currentSchedules: [schedule('m1')], desiredSchedules: [schedule('m1')] };
    expect(taken({ kind: 'RESTORE', managerId: 'm1', ...same })).toEqual([
      'REQUEST_RESTORE in m1',
      'WATCH',
      'REFRESH',
      'BACKUP_SCHEDULE in m1',
      'RECORD',
    ]);
  });

  test('of what the backup system began observes it, and looks at the VM after a restore alone', () => {
    const observed = { origin: 'BACKUP_SYSTEM', managerId: 'm1' } as const;
    expect(taken({ kind: 'SCHEDULED_BACKUP', ...observed })).toEqual(['OBSERVE', 'WATCH', 'RECORD']);
    expect(taken({ kind: 'RESTORE', ...observed })).toEqual(['OBSERVE', 'WATCH', 'REFRESH', 'RECORD']);
  });

  test('keeps the order of its operation and names every manager once, whatever the schedules', () => {
    const schedules = fc.uniqueArray(
      fc.record({ in: fc.constantFrom('m1', 'm2', 'm3'), code: fc.constantFrom('gold', 'silver') }),
      { selector: (one) => one.in },
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...OPERATION_KINDS),
        fc.constantFrom('HOLDFAST', 'BACKUP_SYSTEM'),
        schedules,
        schedules,
        (kind, origin, now, then) => {
          const currentSchedules = now.map((one) => schedule(one.in, one.code));
          const desiredSchedules = then.map((one) => schedule(one.in, one.code));
          const steps = planSteps({ kind, origin, currentSchedules, desiredSchedules });
          const names = steps.map(({ name }) => name).filter((name, index, all) => name !== all[index - 1]);
          expect(names).toEqual(origin === 'BACKUP_SYSTEM' ? OBSERVED_STEPS : STEPS[kind]);
          const keys = steps.map(({ name, managerId }) => `${name}/${managerId}`);
          expect(new Set(keys).size).toBe(keys.length);
          for (const { skip } of steps) expect(skip).not.toBe('');
        },
      ),
    );
  });
});
