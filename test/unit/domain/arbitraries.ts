/**
 * Policies, choices and schedules of every shape, for properties.
 * @module
 */
import fc from 'fast-check';
import {
  BACKUP_TYPES,
  type BackupPolicy,
  type PolicyConfiguration,
  type PolicyValue,
  SUBTYPES,
  WEEKDAYS,
} from '../../../domain/policies.ts';
import type { BackupSchedule, ChosenConfiguration, ChosenPolicy } from '../../../domain/schedules.ts';

const type = fc.constantFrom(...BACKUP_TYPES);
const subtype = fc.constantFrom(...SUBTYPES);
const time = fc.constantFrom('02:30', '23:59', '24:00', '6', '24', '2026-03-29T02:30', 'noon', '');
const days = fc.uniqueArray(fc.constantFrom(...WEEKDAYS), { maxLength: 3 });
const disks = fc.uniqueArray(fc.constantFrom('system', 'data', 'logs', 'gone'), { maxLength: 3 });

function value<T>(of: fc.Arbitrary<T>): fc.Arbitrary<PolicyValue<T>> {
  return fc.oneof(
    of.map((fixed) => ({ mode: 'fixed', value: fixed }) as const),
    fc.constant({ mode: 'dont_apply' } as const),
    fc.constant({ mode: 'define_in_vm' } as const),
  );
}

const configuration: fc.Arbitrary<PolicyConfiguration> = fc.record({
  type,
  subtype,
  time: value(time),
  days: value(days),
  disks: value(disks),
});

/** A policy's configurations, sensible or not. */
export const configurations = fc.array(configuration, { maxLength: 4 });

const policy = (id: string): fc.Arbitrary<BackupPolicy> =>
  fc.record({
    id: fc.constant(id),
    managerId: fc.constantFrom('m1', 'm2'),
    managerType: fc.constant('avamar'),
    code: fc.constant(`code-${id}`),
    name: fc.constant(`policy ${id}`),
    replication: fc.boolean(),
    timeZone: fc.constantFrom('Europe/Madrid', 'America/New_York'),
    retentionDays: fc.integer({ min: 1, max: 3650 }),
    configurations: fc.uniqueArray(configuration, {
      maxLength: 3,
      selector: (one) => `${one.type}/${one.subtype}`,
    }),
  });

/** Three policies with ids `a`, `b` and `c`. */
export const policies = fc.tuple(policy('a'), policy('b'), policy('c'));

const chosen: fc.Arbitrary<ChosenConfiguration> = fc.record(
  { type, subtype, time, days, disks },
  { requiredKeys: ['type', 'subtype'] },
);

/** What a VM may choose, also policies that are not there. */
export const choices: fc.Arbitrary<ChosenPolicy[]> = fc.array(
  fc.record({
    policyId: fc.constantFrom('a', 'b', 'c', 'elsewhere'),
    configurations: fc.uniqueArray(chosen, { maxLength: 3, selector: (one) => `${one.type}/${one.subtype}` }),
  }),
  { maxLength: 4 },
);

const orNull = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null });

export const schedule: fc.Arbitrary<BackupSchedule> = fc.record({
  managerId: fc.constant('m1'),
  policies: fc.uniqueArray(
    fc.record({
      policyId: fc.constantFrom('a', 'b', 'c'),
      code: fc.constantFrom('gold', 'silver'),
      name: fc.string(),
      replication: fc.boolean(),
      timeZone: fc.constantFrom('Europe/Madrid', 'Asia/Tokyo'),
      retentionDays: fc.integer({ min: 1, max: 3650 }),
      backups: fc.array(fc.record({ type, subtype, time: orNull(time), days: orNull(days), disks: orNull(disks) }), {
        maxLength: 3,
      }),
    }),
    { selector: (one) => one.policyId },
  ),
});
