import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isErrorCode } from '../../../domain/errors.ts';
import { AVAMAR, type BackupPluginType, VEEAM } from '../../../domain/plugin-types.ts';
import type { PolicyConfiguration } from '../../../domain/policies.ts';
import { policyProblems } from '../../../domain/policy-rules.ts';
import { configurations } from './arbitraries.ts';

const FREE = { mode: 'dont_apply' } as const;
const daily: PolicyConfiguration = { type: 'COMPLETE', subtype: 'DAILY', time: FREE, days: FREE, disks: FREE };
const fixed = <T>(value: T) => ({ mode: 'fixed', value }) as const;

const everySubtype: BackupPluginType = {
  ...AVAMAR,
  name: 'Another',
  constraints: { ...AVAMAR.constraints, subtypes: ['DEFINED_HOUR', 'HOURLY', 'DAILY'], diskSelection: false },
};

function problems(configuration: Partial<PolicyConfiguration>, plugin = AVAMAR) {
  const policy = { replication: false, configurations: [{ ...daily, ...configuration }] };
  return policyProblems(policy, plugin).map(({ pointer, code }) => `${code} at ${pointer}`);
}

describe('a policy can be saved', () => {
  test.each<[string, Partial<PolicyConfiguration>]>([
    ['with everything left to the backup system', {}],
    ['with a time of day', { time: fixed('02:30') }],
    ['with everything left to the VM', { time: { mode: 'define_in_vm' }, disks: { mode: 'define_in_vm' } }],
    ['every so many hours', { subtype: 'HOURLY', time: fixed('6') }],
    ['on days of the week', { subtype: 'WEEKLY_PLANNED', days: fixed(['MONDAY', 'FRIDAY']) }],
    ['on days that the VM names', { subtype: 'WEEKLY_PLANNED', days: { mode: 'define_in_vm' } }],
    ['every month', { subtype: 'MONTHLY', time: fixed('00:00') }],
    ['of single disks', { disks: fixed(['data']) }],
  ])('%s', (_, configuration) => {
    expect(problems(configuration)).toEqual([]);
  });

  test('once, at a date, where the plugin can', () => {
    expect(problems({ subtype: 'DEFINED_HOUR', time: fixed('2026-03-29T02:30') }, everySubtype)).toEqual([]);
    expect(problems({ subtype: 'DEFINED_HOUR', time: { mode: 'define_in_vm' } }, everySubtype)).toEqual([]);
  });

  test('with replication, where the plugin can', () => {
    expect(policyProblems({ replication: true, configurations: [daily] }, everySubtype)).toEqual([]);
  });
});

describe('a policy that could never be scheduled is refused, with the field named', () => {
  test.each<[string, Partial<PolicyConfiguration>, string]>([
    ['a type the plugin does not make', { type: 'SNAPSHOT' }, 'BACKUP_NON_VALID_TYPE at /configurations/0/type'],
    ['once, without a date', { subtype: 'DEFINED_HOUR' }, 'BACKUP_TIME_NOT_INDICATED at /configurations/0/time'],
    ['a time that is none', { time: fixed('24:00') }, 'BACKUP_INVALID_DATE_FORMAT at /configurations/0/time'],
    ['no hours at all', { subtype: 'HOURLY', time: fixed('0') }, 'BACKUP_INVALID_HOURLY at /configurations/0/time'],
    ['a day of hours', { subtype: 'HOURLY', time: fixed('24') }, 'BACKUP_INVALID_HOURLY at /configurations/0/time'],
    ['half an hour', { subtype: 'HOURLY', time: fixed('0.5') }, 'BACKUP_INVALID_HOURLY at /configurations/0/time'],
    [
      'a clock for hours',
      { subtype: 'HOURLY', time: fixed('02:30') },
      'BACKUP_INVALID_HOURLY at /configurations/0/time',
    ],
    ['days every day', { days: fixed(['MONDAY']) }, 'BACKUP_NON_VALID_DAY at /configurations/0/days'],
    [
      'days from the VM every day',
      { days: { mode: 'define_in_vm' } },
      'BACKUP_NON_VALID_DAY at /configurations/0/days',
    ],
    [
      'a week without a day',
      { subtype: 'WEEKLY_PLANNED', days: fixed([]) },
      'BACKUP_WEEKLY_WITHOUT_DAY at /configurations/0/days',
    ],
    ['no disk at all', { disks: fixed([]) }, 'BACKUP_INVALID_DISKS at /configurations/0/disks'],
  ])('%s', (_, configuration, problem) => {
    expect(problems(configuration)).toContain(problem);
  });

  test('a date without a time, where dates can be given', () => {
    expect(problems({ subtype: 'DEFINED_HOUR', time: fixed('2026-03-29') }, everySubtype)).toEqual([
      'BACKUP_INVALID_DATE_FORMAT_DEFINED at /configurations/0/time',
    ]);
  });

  test('a choice of disks, where the plugin takes them all', () => {
    expect(problems({ disks: fixed(['data']) }, everySubtype)).toEqual(['BACKUP_DISKS at /configurations/0/disks']);
    expect(problems({ disks: { mode: 'define_in_vm' } }, everySubtype)).toEqual([
      'BACKUP_DISKS at /configurations/0/disks',
    ]);
  });

  test('the same pair twice', () => {
    const found = policyProblems({ replication: false, configurations: [daily, daily] }, AVAMAR);
    expect(found).toMatchObject([{ pointer: '/configurations/1/subtype', code: 'BACKUP_NOT_UNIQUE' }]);
  });

  test('replication, where the plugin has none', () => {
    const found = policyProblems({ replication: true, configurations: [daily] }, VEEAM);
    expect(found).toMatchObject([{ pointer: '/replication', code: 'BACKUP_INVALID_REPLICATION_OPTION' }]);
  });

  test('for every reason at once, not for the first alone', () => {
    const wrong: PolicyConfiguration = { ...daily, type: 'FILESYSTEM', time: fixed('noon'), days: fixed(['MONDAY']) };
    expect(policyProblems({ replication: true, configurations: [wrong] }, VEEAM)).toHaveLength(4);
  });
});

test('every problem names a field that is there and a code of the catalogue', () => {
  fc.assert(
    fc.property(configurations, fc.boolean(), fc.constantFrom(AVAMAR, everySubtype), (given, replication, plugin) => {
      const policy = { replication, configurations: given };
      for (const { pointer, code, detail } of policyProblems(policy, plugin)) {
        const field = pointer
          .split('/')
          .slice(1)
          .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], policy);
        expect(field).toBeDefined();
        expect(isErrorCode(code)).toBe(true);
        expect(detail).not.toBe('');
      }
    }),
  );
});

describe('a policy for Veeam', () => {
  const saved = (configurations: readonly PolicyConfiguration[], replication = false) =>
    policyProblems({ replication, configurations }, VEEAM).map(({ pointer, code }) => `${code} at ${pointer}`);

  test.each<[string, Partial<PolicyConfiguration>, string]>([
    ['once, at a date', { subtype: 'DEFINED_HOUR' }, 'BACKUP_NON_VALID_PERIOD at /configurations/0/subtype'],
    ['of chosen disks', { disks: fixed(['data']) }, 'BACKUP_DISKS at /configurations/0/disks'],
    ['every 0 hours', { subtype: 'HOURLY', time: fixed('0') }, 'BACKUP_INVALID_HOURLY at /configurations/0/time'],
    ['every 24 hours', { subtype: 'HOURLY', time: fixed('24') }, 'BACKUP_INVALID_HOURLY at /configurations/0/time'],
    ['of files', { type: 'FILESYSTEM' }, 'BACKUP_NON_VALID_TYPE at /configurations/0/type'],
  ])('%s is refused', (_, configuration, problem) => {
    expect(saved([{ ...daily, ...configuration }])).toEqual([problem]);
  });

  test('with replication is refused', () => {
    expect(saved([daily], true)).toEqual(['BACKUP_INVALID_REPLICATION_OPTION at /replication']);
  });

  test('has one configuration', () => {
    expect(saved([daily])).toEqual([]);
    expect(saved([daily, { ...daily, subtype: 'MONTHLY' }])).toEqual([
      'BACKUP_TOO_MANY_CONFIGURATIONS at /configurations/1',
    ]);
  });
});
