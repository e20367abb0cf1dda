import { describe, expect, test } from 'vitest';
import { loadVeeamConfig } from '../../../activities/backup-systems/veeam/config.ts';
import { jobEdit, retentionEdit } from '../../../activities/backup-systems/veeam/job-edit.ts';
import { scheduleEdit } from '../../../activities/backup-systems/veeam/job-schedule.ts';
import { needsTemplate, plannedJob, zonedTime } from '../../../activities/backup-systems/veeam/planned-job.ts';
import { estimatedExpiry } from '../../../activities/backup-systems/veeam/retention.ts';
import {
  child,
  childrenNamed,
  descendants,
  parseXml,
  textOf,
  withChild,
  type XmlElement,
  xmlDocument,
} from '../../../activities/backup-systems/veeam/xml.ts';
import type { BackupSchedule, ScheduledBackup, ScheduledPolicy } from '../../../domain/schedules.ts';
import { jobXml } from './samples.ts';

const config = loadVeeamConfig(undefined);
const WINTER = new Date('2026-01-15T12:00:00Z');
const SUMMER = new Date('2026-07-15T12:00:00Z');

function scheduleOf(backup: Partial<ScheduledBackup>, policy: Partial<ScheduledPolicy> = {}): BackupSchedule {
  const settled: ScheduledBackup = {
    type: 'COMPLETE',
    subtype: 'DAILY',
    time: null,
    days: null,
    disks: null,
    ...backup,
  };
  const whole = { policyId: 'p1', code: 'GOLD', name: 'Gold', replication: false, timeZone: 'Europe/Madrid' };
  return { managerId: 'm1', policies: [{ ...whole, retentionDays: 30, backups: [settled], ...policy }] };
}

const planOf = (backup: Partial<ScheduledBackup>, policy: Partial<ScheduledPolicy> = {}) =>
  plannedJob(config, scheduleOf(backup, policy));

/** The job after an edit as a server that merges what it is sent would show it. */
function merged(job: XmlElement, edit: XmlElement): XmlElement {
  const options = child(job, 'JobScheduleOptions') as XmlElement;
  const inner = child(edit, 'Standart') ?? edit;
  const before = child(options, 'Standart');
  const after = inner.children.reduce(withChild, before ?? options);
  return withChild(job, before === undefined ? after : withChild(options, after));
}

describe('the recurrence of a job', () => {
  const branch = (edit: XmlElement | undefined, name: string) =>
    [...descendants(edit as XmlElement, name)][0] as XmlElement;
  const texts = (of: XmlElement, name: string) => childrenNamed(of, name).map(({ text }) => text);

  test('DAILY is every day at the time of the zone', () => {
    const edit = scheduleEdit(parseXml(jobXml()), planOf({ time: '03:30' }), undefined, WINTER);
    const daily = branch(edit, 'OptionsDaily');
    expect(daily.attributes).toEqual({ Enabled: 'true' });
    expect(texts(daily, 'Kind')).toEqual(['Everyday']);
    expect(texts(daily, 'Days')).toHaveLength(7);
    expect(textOf(daily, 'Time')).toBe('03:30:00.0000000+01:00');
    expect(textOf(daily, 'TimeOffsetUtc')).toBe('1');
    expect(daily.children.map(({ name }) => name)).toEqual(['Kind', ...Array(7).fill('Days'), 'Time', 'TimeOffsetUtc']);
  });

  test('WEEKLY_PLANNED is on its days', () => {
    const plan = planOf({ subtype: 'WEEKLY_PLANNED', time: '01:00', days: ['MONDAY', 'SUNDAY'] });
    const daily = branch(scheduleEdit(parseXml(jobXml()), plan, undefined, SUMMER), 'OptionsDaily');
    expect(texts(daily, 'Kind')).toEqual(['SelectedDays']);
    expect(texts(daily, 'Days')).toEqual(['Monday', 'Sunday']);
    expect(textOf(daily, 'Time')).toBe('01:00:00.0000000+02:00');
  });

  test('MONTHLY is on the first day of every month, and nothing else runs', () => {
    const edit = scheduleEdit(parseXml(jobXml()), planOf({ subtype: 'MONTHLY', time: '04:00' }), undefined, WINTER);
    const monthly = branch(edit, 'OptionsMonthly');
    expect(monthly.children.map(({ name }) => name)).toEqual([
      'Time',
      'TimeOffsetUtc',
      'DayNumberInMonth',
      'DayOfWeek',
      ...Array(12).fill('Months'),
      'DayOfMonth',
    ]);
    expect([textOf(monthly, 'DayNumberInMonth'), textOf(monthly, 'DayOfMonth')]).toEqual(['OnDay', '1']);
    expect(branch(edit, 'OptionsDaily').attributes).toEqual({ Enabled: 'false' });
  });

  test('HOURLY is every n hours, in the hours that the template allows', () => {
    const edit = scheduleEdit(parseXml(jobXml()), planOf({ subtype: 'HOURLY', time: '6' }), undefined, WINTER);
    const periodically = branch(edit, 'OptionsPeriodically');
    expect(periodically.children.map(({ name }) => name)).toEqual(['Kind', 'FullPeriod', 'Schedule']);
    expect(textOf(periodically, 'FullPeriod')).toBe('6');
    expect(childrenNamed(child(periodically, 'Schedule'), 'Day')).toHaveLength(7);
  });

  test('continuous runs and runs after another job are switched off, a backup window stays', () => {
    const branches = (xml: string) =>
      xml
        .replace('<OptionsContinuous Enabled="false">', '<OptionsContinuous Enabled="true">')
        .replace('<OptionsDaisyChaining Enabled="false">', '<OptionsDaisyChaining Enabled="true">');
    const edit = scheduleEdit(parseXml(jobXml({ branches })), planOf({ time: '03:30' }), undefined, WINTER);
    expect(branch(edit, 'OptionsContinuous').attributes['Enabled']).toBe('false');
    expect(branch(edit, 'OptionsDaisyChaining').attributes['Enabled']).toBe('false');
    expect(branch(edit, 'OptionsBackupWindow')).toBeUndefined();
  });

  test.each([true, false])('is written in the nesting that was read (Standart: %s)', (nested) => {
    const edit = scheduleEdit(parseXml(jobXml({ nested })), planOf({ time: '03:30' }), undefined, WINTER) as XmlElement;
    expect(edit.children.map(({ name }) => name)).toEqual(nested ? ['Standart'] : ['OptionsDaily']);
  });

  test('has no TimeOffsetUtc where the version shows none', () => {
    const branches = (xml: string) => xml.replaceAll(/<TimeOffsetUtc>.*?<\/TimeOffsetUtc>/g, '');
    const edit = scheduleEdit(parseXml(jobXml({ branches })), planOf({ time: '03:30' }), undefined, WINTER);
    expect(textOf(branch(edit, 'OptionsDaily'), 'TimeOffsetUtc')).toBeUndefined();
  });

  test.each([
    { time: '03:30' },
    { subtype: 'WEEKLY_PLANNED', time: '00:15', days: ['FRIDAY'] },
    { subtype: 'MONTHLY', time: '23:45' },
    { subtype: 'HOURLY', time: '23' },
  ] satisfies Partial<ScheduledBackup>[])('asks for nothing once the server shows it: %j', (backup) => {
    for (const nested of [true, false]) {
      for (const timeZone of ['Europe/Madrid', 'Asia/Kolkata', 'America/St_Johns']) {
        const job = parseXml(jobXml({ nested }));
        const plan = planOf(backup, { timeZone });
        const edit = scheduleEdit(job, plan, undefined, WINTER);
        const after = parseXml(xmlDocument(merged(job, edit as XmlElement)));
        expect(scheduleEdit(after, plan, undefined, WINTER)).toBeUndefined();
      }
    }
  });

  test('is written again when the offset of the zone has changed, in a zone that changes it', () => {
    const job = parseXml(jobXml());
    for (const [timeZone, changes] of [
      ['Europe/Madrid', true],
      ['Asia/Tokyo', false],
    ] as const) {
      const plan = planOf({ time: '03:30' }, { timeZone });
      const after = merged(job, scheduleEdit(job, plan, undefined, WINTER) as XmlElement);
      expect(scheduleEdit(after, plan, undefined, SUMMER) !== undefined).toBe(changes);
    }
  });

  test('is not written again because the server words a time in another offset', () => {
    const branches = (xml: string) =>
      xml
        .replace(
          '21:15:00.0000000+02:00</Time><TimeOffsetUtc>2',
          '2026-01-15T16:15:00.0000000-03:00</Time><TimeOffsetUtc>-3',
        )
        .replace('<Days>Tuesday</Days><Days>Friday</Days>', '<Days>Friday</Days><Days>Tuesday</Days>');
    const plan = planOf({ subtype: 'WEEKLY_PLANNED', time: '20:15', days: ['TUESDAY', 'FRIDAY'] });
    expect(scheduleEdit(parseXml(jobXml({ branches })), plan, undefined, WINTER)).toBeUndefined();
  });

  describe('what the policy leaves to the backup system is as the template has it', () => {
    const template = parseXml(jobXml());
    const changed = parseXml(
      jobXml({
        branches: (xml) => xml.replace('21:15', '05:00').replace('<Days>Friday</Days>', '').replace('>4<', '>9<'),
      }),
    );

    test('time and days', () => {
      const edit = scheduleEdit(changed, planOf({ subtype: 'WEEKLY_PLANNED' }), template, WINTER);
      const daily = branch(edit, 'OptionsDaily');
      expect(textOf(daily, 'Time')).toBe('21:15:00.0000000+02:00');
      expect(texts(daily, 'Days')).toEqual(['Tuesday', 'Friday']);
      expect(scheduleEdit(template, planOf({ subtype: 'WEEKLY_PLANNED' }), template, SUMMER)).toBeUndefined();
    });

    test('hours', () => {
      const edit = scheduleEdit(changed, planOf({ subtype: 'HOURLY' }), template, WINTER);
      expect(textOf(branch(edit, 'OptionsPeriodically'), 'FullPeriod')).toBe('4');
    });

    test('and then no zone matters and the template has to be read', () => {
      for (const backup of [{}, { subtype: 'HOURLY' }, { subtype: 'MONTHLY' }] satisfies Partial<ScheduledBackup>[]) {
        expect(needsTemplate(planOf(backup))).toBe(true);
        expect(zonedTime(planOf(backup))).toBeUndefined();
      }
      const withoutDays = planOf({ subtype: 'WEEKLY_PLANNED', time: '01:00' });
      expect(needsTemplate(withoutDays)).toBe(true);
      expect(zonedTime(withoutDays)).toEqual({ time: '01:00', zone: 'Europe/Madrid' });
      expect(needsTemplate(planOf({ time: '01:00' }))).toBe(false);
    });
  });
});

describe('a schedule that Veeam cannot have is refused', () => {
  test.each([
    ['DEFINED_HOUR', scheduleOf({ subtype: 'DEFINED_HOUR', time: '2026-01-01T00:00' })],
    ['disks', scheduleOf({ disks: ['Hard disk 1'] })],
    ['replication', scheduleOf({}, { replication: true })],
    ['Mars/Olympus', scheduleOf({}, { timeZone: 'Mars/Olympus' })],
    ['COMPLETE', scheduleOf({ type: 'SNAPSHOT' })],
    ['1 to 23', scheduleOf({ subtype: 'HOURLY', time: '24' })],
    ['1 to 23', scheduleOf({ subtype: 'HOURLY', time: '0' })],
    ['one configuration', scheduleOf({}, { backups: [] })],
    ['exactly one backup policy', { managerId: 'm1', policies: [] }],
    [
      'exactly one backup policy',
      { managerId: 'm1', policies: [...scheduleOf({}).policies, ...scheduleOf({}, { code: 'SILVER' }).policies] },
    ],
  ])('%s', (words, schedule) => {
    expect(() => plannedJob(config, schedule)).toThrow(
      expect.objectContaining({ kind: 'REFUSED', message: expect.stringContaining(words) }),
    );
  });
});

describe('an edit', () => {
  const job = parseXml(jobXml());

  test('names the job and holds its parts in the order of the schema', () => {
    const schedule = scheduleEdit(job, planOf({ time: '03:30' }), undefined, WINTER);
    const retention = retentionEdit(job, { days: 30 }, undefined);
    const edit = jobEdit(job, {
      retention,
      schedule,
      scheduleEnabled: true,
      scheduleConfigured: true,
      description: 'd',
    });
    expect(edit?.children.map(({ name }) => name)).toEqual([
      'Description',
      'ScheduleConfigured',
      'ScheduleEnabled',
      'JobScheduleOptions',
      'JobInfo',
    ]);
    expect(Object.keys(edit?.attributes ?? {}).toSorted()).toEqual(['Href', 'Name', 'Type', 'UID']);
  });

  test('is none when nothing differs', () => {
    expect(jobEdit(job, { retention: retentionEdit(job, { restorePoints: 14 }, job) })).toBeUndefined();
  });

  test('of the retention keeps what it does not change', () => {
    const [simple] = retentionEdit(job, { days: 30 }, undefined) as [XmlElement];
    expect(simple.children.map(({ name, text }) => `${name} ${text}`)).toEqual([
      'RetainCycles 14',
      'RetainDaysToKeep 30',
      'RetainLimitType Days',
    ]);
  });

  test('takes over weekly and longer points from the template of a fresh clone', () => {
    const clone = parseXml(
      jobXml().replace('<GfsRetentionPolicy Enabled="true">', '<GfsRetentionPolicy Enabled="false">'),
    );
    const edits = retentionEdit(clone, { restorePoints: 14 }, job);
    expect(edits.map(({ name, attributes }) => [name, attributes['Enabled']])).toEqual([
      ['GfsRetentionPolicy', 'true'],
    ]);
    expect(retentionEdit(clone, { restorePoints: 14 }, undefined)).toEqual([]);
  });

  test('leaves the retention alone in a version that does not show it', () => {
    const old = parseXml(jobXml().replace(/<JobInfo>[\s\S]*<\/JobInfo>/, ''));
    expect(retentionEdit(old, { days: 1 }, undefined)).toEqual([]);
  });
});

describe('the estimated date of a restore point', () => {
  const created = new Date('2026-01-31T10:00:00Z');
  const points = (n: number) => ({ ...config, retention: { ...config.retention, default: { restorePoints: n } } });
  const estimate = (backup: Partial<ScheduledBackup>, n?: number) =>
    estimatedExpiry(n === undefined ? config : points(n), scheduleOf(backup), created)?.toISOString();

  test('is the retention’s days after it was made, the policy’s own when nothing is configured', () => {
    expect(estimate({})).toBe('2026-03-02T10:00:00.000Z');
  });

  test.each([
    [{ subtype: 'HOURLY', time: '6' }, '2026-02-01T10:00:00.000Z'],
    [{ subtype: 'DAILY' }, '2026-02-04T10:00:00.000Z'],
    [{ subtype: 'WEEKLY_PLANNED', days: ['MONDAY'] }, '2026-02-28T10:00:00.000Z'],
    [{ subtype: 'WEEKLY_PLANNED', days: ['MONDAY', 'FRIDAY'] }, '2026-02-14T10:00:00.000Z'],
    [{ subtype: 'MONTHLY' }, '2026-06-04T10:00:00.000Z'],
  ] satisfies [Partial<ScheduledBackup>, string][])('is four points of %j after it was made', (backup, date) => {
    expect(estimate(backup, 4)).toBe(date);
  });

  test('is none without a schedule', () => {
    expect(estimatedExpiry(config, null, created)).toBeNull();
  });
});
