import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isErrorCode } from '../../../domain/errors.ts';
import type { BackupPolicy, PolicyConfiguration, PolicyValue } from '../../../domain/policies.ts';
import {
  type BackupSchedule,
  type ChosenConfiguration,
  resolveSchedules,
  sameSchedule,
} from '../../../domain/schedules.ts';
import { choices, policies, schedule } from './arbitraries.ts';

const FREE = { mode: 'dont_apply' } as const;
const YOURS = { mode: 'define_in_vm' } as const;
const fixed = <T>(value: T) => ({ mode: 'fixed', value }) as const;
const DAILY: PolicyConfiguration = { type: 'COMPLETE', subtype: 'DAILY', time: FREE, days: FREE, disks: FREE };

function policy(
  id: string,
  configuration: Partial<PolicyConfiguration> = {},
  managerId = 'm1',
  managerType = 'avamar',
): BackupPolicy {
  return {
    id,
    managerId,
    managerType,
    code: id,
    name: `the ${id} policy`,
    replication: false,
    timeZone: 'Europe/Madrid',
    retentionDays: 30,
    configurations: [{ ...DAILY, ...configuration }],
  };
}

function resolve(configuration: Partial<PolicyConfiguration>, given: readonly ChosenConfiguration[]) {
  const gold = policy('gold', configuration);
  const { schedules, problems } = resolveSchedules(
    [{ policyId: 'gold', configurations: given }],
    new Map([['gold', gold]]),
    ['system', 'data'],
  );
  return {
    backups: schedules.flatMap((one) => one.policies.flatMap(({ backups }) => backups)),
    problems: problems.map(({ pointer, code }) => `${code} at ${pointer}`),
  };
}

const daily = (values: Partial<ChosenConfiguration> = {}) => [
  { type: 'COMPLETE', subtype: 'DAILY', ...values } as ChosenConfiguration,
];

describe('a VM’s choice of policies', () => {
  test('is one policy where the backup system takes only one for a VM', () => {
    const of = (managers: readonly [string, string], type: string) => {
      const all = [policy('gold', {}, managers[0], type), policy('silver', {}, managers[1], type)];
      const chosen = all.map(({ id }) => ({ policyId: id, configurations: [] }));
      const { problems } = resolveSchedules(chosen, new Map(all.map((one) => [one.id, one])), []);
      return problems.map(({ pointer, code }) => `${code} at ${pointer}`);
    };
    const refused = 'BACKUP_MULTIPLE_POLICIES_DISABLED at /backupPolicies/1/policyId';
    expect(of(['m1', 'm1'], 'veeam')).toEqual([refused]);
    expect(of(['m1', 'm2'], 'veeam')).toEqual([]);
    expect(of(['m1', 'm1'], 'avamar')).toEqual([]);
  });

  test('of nothing is no schedule', () => {
    expect(resolveSchedules([], new Map(), [])).toEqual({ schedules: [], problems: [] });
  });

  test('becomes one schedule per backup manager', () => {
    const all = [policy('gold'), policy('silver', {}, 'm2'), policy('bronze')];
    const { schedules, problems } = resolveSchedules(
      all.map(({ id }) => ({ policyId: id, configurations: [] })),
      new Map(all.map((one) => [one.id, one])),
      [],
    );
    expect(problems).toEqual([]);
    expect(schedules.map(({ managerId, policies: of }) => [managerId, of.map(({ code }) => code)])).toEqual([
      ['m1', ['gold', 'bronze']],
      ['m2', ['silver']],
    ]);
  });

  test('takes the values of the policy, those of the VM, and leaves the rest to the backup system', () => {
    const { backups, problems } = resolve({ time: fixed('02:30'), disks: YOURS }, daily({ disks: ['data'] }));
    expect(problems).toEqual([]);
    expect(backups).toEqual([{ type: 'COMPLETE', subtype: 'DAILY', time: '02:30', days: null, disks: ['data'] }]);
  });

  test('of a policy that is not allowed is refused', () => {
    const { problems } = resolveSchedules([{ policyId: 'secret', configurations: [] }], new Map(), []);
    expect(problems).toMatchObject([{ pointer: '/backupPolicies/0/policyId', code: 'BACKUP_POLICY_NOT_FOUND' }]);
  });

  test('of the same policy twice is refused', () => {
    const twice = { policyId: 'gold', configurations: [] };
    const { problems } = resolveSchedules([twice, twice], new Map([['gold', policy('gold')]]), []);
    expect(problems).toMatchObject([{ pointer: '/backupPolicies/1/policyId', code: 'BACKUP_NOT_UNIQUE' }]);
  });

  test.each<[string, Partial<PolicyConfiguration>, ChosenConfiguration[], string]>([
    [
      'a time that is missing',
      { time: YOURS },
      daily(),
      'BACKUP_TIME_NOT_INDICATED at /backupPolicies/0/configurations/0/time',
    ],
    [
      'a whole configuration that is missing',
      { time: YOURS },
      [],
      'BACKUP_TIME_NOT_INDICATED at /backupPolicies/0/configurations/0/time',
    ],
    [
      'disks that are missing',
      { disks: YOURS },
      daily(),
      'BACKUP_NOT_FOUND at /backupPolicies/0/configurations/0/disks',
    ],
    [
      'a time that the policy fixes',
      { time: fixed('02:30') },
      daily({ time: '03:00' }),
      'BACKUP_NOT_EDITABLE at /backupPolicies/0/configurations/0/time',
    ],
    [
      'a time that the backup system decides',
      {},
      daily({ time: '03:00' }),
      'BACKUP_NOT_EDITABLE at /backupPolicies/0/configurations/0/time',
    ],
    [
      'a time that is none',
      { time: YOURS },
      daily({ time: '25:00' }),
      'BACKUP_INVALID_DATE_FORMAT at /backupPolicies/0/configurations/0/time',
    ],
    [
      'a disk that the VM does not have',
      { disks: YOURS },
      daily({ disks: ['logs'] }),
      'BACKUP_INVALID_DISKS at /backupPolicies/0/configurations/0/disks',
    ],
    [
      'a disk of the policy that the VM does not have',
      { disks: fixed(['logs']) },
      daily(),
      'BACKUP_INVALID_DISKS at /backupPolicies/0/policyId',
    ],
    [
      'a configuration that the policy does not have',
      {},
      [{ type: 'COMPLETE', subtype: 'MONTHLY' }],
      'BACKUP_CONFIGURATION_NOT_FOUND at /backupPolicies/0/configurations/0',
    ],
    [
      'a week without a day',
      { subtype: 'WEEKLY_PLANNED', days: YOURS },
      [{ type: 'COMPLETE', subtype: 'WEEKLY_PLANNED', days: [] }],
      'BACKUP_WEEKLY_WITHOUT_DAY at /backupPolicies/0/configurations/0/days',
    ],
  ])('is refused for %s', (_, configuration, given, problem) => {
    expect(resolve(configuration, given).problems).toEqual([problem]);
  });

  test('names each missing entry by the place that it would have after those that are there', () => {
    const [all] = [policy('gold', { time: YOURS })];
    const configurations = ['DAILY', 'MONTHLY', 'HOURLY'].map((subtype) => ({
      ...(all.configurations[0] as PolicyConfiguration),
      subtype: subtype as PolicyConfiguration['subtype'],
    }));
    const gold = { ...all, configurations };
    const given = [{ type: 'COMPLETE', subtype: 'MONTHLY', time: '04:00' }] as const;
    const { problems } = resolveSchedules([{ policyId: 'gold', configurations: given }], new Map([['gold', gold]]), []);
    expect(problems.map(({ pointer }) => pointer)).toEqual([
      '/backupPolicies/0/configurations/1/time',
      '/backupPolicies/0/configurations/2/time',
    ]);
  });

  test('of all disks is the same schedule when a disk comes or goes; one that names a removed disk is refused', () => {
    const all = policy('gold');
    const named = policy('silver', { disks: YOURS });
    const schedulesFor = (of: BackupPolicy, given: ChosenConfiguration[], disks: string[]) =>
      resolveSchedules([{ policyId: of.id, configurations: given }], new Map([[of.id, of]]), disks);

    const [before] = schedulesFor(all, [], ['system']).schedules;
    expect(sameSchedule(before, schedulesFor(all, [], ['system', 'logs']).schedules[0])).toBe(true);
    expect(sameSchedule(before, schedulesFor(all, [], []).schedules[0])).toBe(true);

    const choice = daily({ disks: ['data'] });
    const [chosen] = schedulesFor(named, choice, ['system', 'data']).schedules;
    expect(sameSchedule(chosen, schedulesFor(named, choice, ['data', 'logs']).schedules[0])).toBe(true);
    expect(schedulesFor(named, choice, ['system', 'logs']).problems).toMatchObject([
      { pointer: '/backupPolicies/0/configurations/0/disks', code: 'BACKUP_INVALID_DISKS' },
    ]);
  });

  test('keeps what the policy says and takes what it leaves open, whatever both are', () => {
    fc.assert(
      fc.property(policies, choices, (all, chosen) => {
        const { schedules, problems } = resolveSchedules(chosen, new Map(all.map((one) => [one.id, one])), [
          'system',
          'data',
          'logs',
        ]);
        for (const { pointer, code } of problems) {
          expect(pointer).toMatch(/^\/backupPolicies\/\d+\/(policyId|configurations\/\d+(\/(time|days|disks))?)$/);
          expect(isErrorCode(code)).toBe(true);
        }
        if (problems.length > 0) return;
        const scheduled = schedules.flatMap(({ managerId, policies: of }) => of.map((one) => ({ managerId, ...one })));
        expect(scheduled.map(({ policyId }) => policyId).toSorted()).toEqual(
          chosen.map(({ policyId }) => policyId).toSorted(),
        );
        for (const one of scheduled) {
          const source = all.find(({ id }) => id === one.policyId);
          expect(one).toMatchObject({ managerId: source?.managerId, timeZone: source?.timeZone });
          source?.configurations.forEach((configuration, index) => {
            const given = chosen
              .find(({ policyId }) => policyId === one.policyId)
              ?.configurations.find(
                ({ type, subtype }) => type === configuration.type && subtype === configuration.subtype,
              );
            const settled = <T>(value: PolicyValue<T>, own: T | undefined) =>
              value.mode === 'fixed' ? value.value : value.mode === 'dont_apply' ? null : own;
            expect(one.backups[index]).toEqual({
              type: configuration.type,
              subtype: configuration.subtype,
              time: settled(configuration.time, given?.time),
              days: settled(configuration.days, given?.days),
              disks: settled(configuration.disks, given?.disks),
            });
          });
        }
      }),
    );
  });
});

describe('two schedules are the same', () => {
  /** As jsonb gives it back: keys in an order of its own. */
  const asStored = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(asStored);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value)
        .toSorted(([x], [y]) => x.length - y.length || (x < y ? 1 : -1))
        .map(([key, item]) => [key, asStored(item)]),
    );
  };
  const reversed = (one: BackupSchedule): BackupSchedule => ({
    managerId: one.managerId,
    policies: one.policies.toReversed().map((of) => ({
      ...of,
      backups: of.backups.toReversed().map((backup) => ({
        ...backup,
        days: backup.days?.toReversed() ?? null,
        disks: backup.disks?.toReversed() ?? null,
      })),
    })),
  });

  test('after they were stored and read', () => {
    fc.assert(fc.property(schedule, (one) => sameSchedule(one, asStored(one) as BackupSchedule)));
  });

  test('whatever the order of policies, backups, days and disks', () => {
    fc.assert(fc.property(schedule, (one) => sameSchedule(one, reversed(one))));
  });

  test('when neither is there', () => {
    expect(sameSchedule(undefined, undefined)).toBe(true);
  });

  test('only when both or neither are there', () => {
    fc.assert(fc.property(schedule, (one) => !sameSchedule(one, undefined) && !sameSchedule(undefined, one)));
  });

  test('only when no value differs', () => {
    const backup = { type: 'COMPLETE', subtype: 'DAILY', time: '02:30', days: null, disks: ['data'] } as const;
    const one = {
      policyId: 'a',
      code: 'gold',
      name: 'Gold',
      replication: false,
      timeZone: 'Europe/Madrid',
      retentionDays: 30,
    };
    const of = (changed: object, changedBackup: object = {}): BackupSchedule => ({
      managerId: 'm1',
      policies: [{ ...one, backups: [{ ...backup, ...changedBackup }], ...changed }],
    });
    const base = of({});
    const others = [
      of({ policyId: 'b' }),
      of({ replication: true }),
      of({ timeZone: 'Europe/Lisbon' }),
      of({ retentionDays: 31 }),
      of({ backups: [] }),
      of({ backups: [backup, backup] }),
      of({}, { subtype: 'MONTHLY' }),
      of({}, { time: '02:31' }),
      of({}, { time: null }),
      of({}, { days: ['MONDAY'] }),
      of({}, { disks: null }),
      of({}, { disks: ['data', 'system'] }),
      { managerId: 'm1', policies: [] },
    ];
    for (const other of others) expect(sameSchedule(base, other)).toBe(false);
  });
});
