import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OPERATION_KINDS, type OperationKind } from '../../../domain/operations.ts';
import {
  ALLOWED_FROM,
  DEPLOYED_STATES,
  diskChanges,
  type Hardware,
  sameDisks,
  sameHardware,
  VM_STATES,
  type VmState,
} from '../../../domain/virtual-machines.ts';

describe('what may be done to a VM', () => {
  const from = (state: VmState) => OPERATION_KINDS.filter((kind) => ALLOWED_FROM[kind].includes(state));

  test.each<[VmState, OperationKind[]]>([
    ['NOT_ALLOCATED', ['REGISTER', 'DEPLOY', 'SCHEDULED_BACKUP', 'CLEANUP']],
    ['ALLOCATED', ['UNDEPLOY', 'SCHEDULED_BACKUP', 'CLEANUP']],
    ['CONFIGURED', ['UNDEPLOY', 'POWER_ON', 'SCHEDULED_BACKUP', 'CLEANUP']],
    [
      'ON',
      ['RECONFIGURE', 'UNDEPLOY', 'POWER_OFF', 'BACKUP', 'SCHEDULED_BACKUP', 'RESTORE', 'SCHEDULE_REFRESH', 'CLEANUP'],
    ],
    [
      'OFF',
      ['RECONFIGURE', 'UNDEPLOY', 'POWER_ON', 'BACKUP', 'SCHEDULED_BACKUP', 'RESTORE', 'SCHEDULE_REFRESH', 'CLEANUP'],
    ],
    ['PAUSED', ['UNDEPLOY', 'BACKUP', 'SCHEDULED_BACKUP', 'RESTORE', 'SCHEDULE_REFRESH', 'CLEANUP']],
    ['UNKNOWN', ['UNDEPLOY', 'SCHEDULED_BACKUP', 'CLEANUP']],
  ])('that is %s', (state, kinds) => {
    expect(from(state)).toEqual(kinds);
  });

  test('leaves a way out of every state but the first', () => {
    for (const state of VM_STATES) expect(from(state).includes('UNDEPLOY')).toBe(state !== 'NOT_ALLOCATED');
  });

  test('is no backup before it is deployed', () => {
    expect(ALLOWED_FROM.BACKUP).toEqual(DEPLOYED_STATES);
    expect(ALLOWED_FROM.RESTORE).toEqual(DEPLOYED_STATES);
  });
});

describe('hardware', () => {
  const hardware: fc.Arbitrary<Hardware> = fc.record({
    cpu: fc.integer({ min: 1, max: 4 }),
    memoryMiB: fc.constantFrom(1024, 2048),
    disks: fc.uniqueArray(
      fc.record({ label: fc.constantFrom('system', 'data', 'logs'), sizeGiB: fc.constantFrom(10, 20) }),
      { selector: (disk) => disk.label },
    ),
  });

  test('is the same whatever the order of its disks', () => {
    fc.assert(fc.property(hardware, (one) => sameHardware(one, { ...one, disks: one.disks.toReversed() })));
  });

  test('is the same when every value is, and only then', () => {
    const canonical = (one: Hardware) =>
      JSON.stringify([one.cpu, one.memoryMiB, one.disks.map((disk) => `${disk.label} ${disk.sizeGiB}`).toSorted()]);
    fc.assert(
      fc.property(hardware, hardware, (one, other) => {
        expect(sameHardware(one, other)).toBe(canonical(one) === canonical(other));
      }),
    );
  });

  test('changes disk by disk: what is added, grown, shrunk and removed makes one list of the other', () => {
    fc.assert(
      fc.property(hardware, hardware, ({ disks: current }, { disks: wanted }) => {
        const { added, grown, shrunk, removed } = diskChanges(current, wanted);
        const sizes = new Map(current.map((disk) => [disk.label, disk.sizeGiB]));
        for (const disk of removed) expect(sizes.delete(disk.label)).toBe(true);
        for (const disk of [...grown, ...shrunk]) expect(sizes.has(disk.label)).toBe(true);
        for (const disk of grown) expect(disk.sizeGiB).toBeGreaterThan(sizes.get(disk.label) ?? 0);
        for (const disk of shrunk) expect(disk.sizeGiB).toBeLessThan(sizes.get(disk.label) ?? 0);
        for (const disk of added) expect(sizes.has(disk.label)).toBe(false);
        for (const disk of [...added, ...grown, ...shrunk]) sizes.set(disk.label, disk.sizeGiB);
        const made = [...sizes].map(([label, sizeGiB]) => ({ label, sizeGiB }));
        expect(sameDisks(made, wanted)).toBe(true);
      }),
    );
  });

  test('differs by a disk more, a disk less, another disk, another size', () => {
    const disks = [{ label: 'system', sizeGiB: 10 }];
    expect(sameDisks(disks, [...disks, { label: 'data', sizeGiB: 10 }])).toBe(false);
    expect(sameDisks(disks, [])).toBe(false);
    expect(sameDisks(disks, [{ label: 'data', sizeGiB: 10 }])).toBe(false);
    expect(sameDisks(disks, [{ label: 'system', sizeGiB: 20 }])).toBe(false);
  });
});
