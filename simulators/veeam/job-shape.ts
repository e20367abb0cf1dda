/**
 * The parts of a job that an edit can change, in the order of the vendor's types.
 * @module
 */
import {
  ANY,
  BOOLEAN,
  DAYS,
  INTEGER,
  type Leaf,
  type Sequence,
  type Shape,
  TEXT,
  oneOf,
  sequence,
  switchable,
} from './shape.ts';

export const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
export const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;
export type Weekday = (typeof WEEKDAYS)[number];
export type Month = (typeof MONTHS)[number];

/** `18:00:00.0000000+01:00`; without an offset it is the server's local time. */
export const TIME = /^([01]\d|2[0-3]):([0-5]\d):[0-5]\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?$/;

type Days = Partial<Record<Weekday, string>>;
export type ScheduleOptions = {
  RetryOptions: { RetryTimes: number; RetryTimeout: number; RetrySpecified: boolean };
  WaitForBackupCompletion: boolean;
  BackupCompetitionWaitingPeriodMin: number;
  OptionsDaily: {
    Enabled: boolean;
    Kind: 'Everyday' | 'WeekDays' | 'SelectedDays';
    Days: Weekday[];
    Time: string;
    TimeOffsetUtc: number;
  };
  OptionsMonthly: {
    Enabled: boolean;
    Time: string;
    TimeOffsetUtc: number;
    DayNumberInMonth: 'First' | 'Second' | 'Third' | 'Fourth' | 'Last' | 'OnDay';
    DayOfWeek: Weekday;
    Months: Month[];
    DayOfMonth: number;
  };
  OptionsPeriodically: { Enabled: boolean; Kind: 'Hours' | 'Minutes'; FullPeriod: number; Schedule: Days };
  OptionsContinuous: { Enabled: boolean; Schedule: Days };
  OptionsBackupWindow: { Enabled: boolean; TimePeriods: Days };
  OptionsDaisyChaining: { Enabled: boolean; PreviousJobUid: string };
};
export type SimpleRetention = { RetainCycles: number; RetainDaysToKeep: number; RetainLimitType: 'Cycles' | 'Days' };
export type GfsRetention = {
  Enabled: boolean;
  Weekly: { Enabled: boolean; RetentionPeriod: number; SelectedDay: string };
  Monthly: { Enabled: boolean; RetentionPeriod: number; SelectedWeek: string };
  Yearly: { Enabled: boolean; RetentionPeriod: number; SelectedMonth: string };
};
/** What an edit names; what it leaves out stays. */
export type JobEdit = {
  Description?: string;
  ScheduleConfigured?: boolean;
  ScheduleEnabled?: boolean;
  schedule?: Partial<ScheduleOptions>;
  GfsRetentionPolicy?: Partial<GfsRetention>;
  SimpleRetentionPolicy?: Partial<SimpleRetention>;
};

const time: Leaf = { kind: 'leaf', type: 'text', pattern: TIME };
const weekday = oneOf(...WEEKDAYS);
const repeated = (of: Leaf): Shape => ({ kind: 'repeated', of });

export const SCHEDULE: Sequence = sequence({
  RetryOptions: sequence({
    RetryTimes: INTEGER,
    RetryTimeout: INTEGER,
    RetrySpecified: { ...BOOLEAN, jsonName: 'RetrySpecified1' },
  }),
  WaitForBackupCompletion: BOOLEAN,
  BackupCompetitionWaitingPeriodMin: INTEGER,
  OptionsDaily: switchable({
    Kind: oneOf('Everyday', 'WeekDays', 'SelectedDays'),
    Days: repeated(weekday),
    Time: time,
    TimeOffsetUtc: INTEGER,
  }),
  OptionsMonthly: switchable({
    Time: time,
    TimeOffsetUtc: INTEGER,
    DayNumberInMonth: oneOf('First', 'Second', 'Third', 'Fourth', 'Last', 'OnDay'),
    DayOfWeek: weekday,
    Months: repeated(oneOf(...MONTHS)),
    DayOfMonth: INTEGER,
  }),
  OptionsPeriodically: switchable({ Kind: oneOf('Hours', 'Minutes'), FullPeriod: INTEGER, Schedule: DAYS }),
  OptionsContinuous: switchable({ Schedule: DAYS }),
  OptionsBackupWindow: switchable({ TimePeriods: DAYS }),
  OptionsDaisyChaining: switchable({ PreviousJobUid: TEXT }),
});

export const GFS_RETENTION: Sequence = switchable({
  Weekly: sequence({ Enabled: BOOLEAN, RetentionPeriod: INTEGER, SelectedDay: weekday }),
  Monthly: sequence({ Enabled: BOOLEAN, RetentionPeriod: INTEGER, SelectedWeek: oneOf('First', 'Last') }),
  Yearly: sequence({ Enabled: BOOLEAN, RetentionPeriod: INTEGER, SelectedMonth: oneOf(...MONTHS) }),
});

export const SIMPLE_RETENTION: Sequence = sequence({
  RetainCycles: INTEGER,
  RetainDaysToKeep: INTEGER,
  RetainLimitType: oneOf('Cycles', 'Days'),
});

/** The body of an edit: the entity, partly. What nobody can change may be sent back and is ignored. */
export const jobEditShape = (isNested: boolean): Sequence =>
  sequence({
    Links: ANY,
    JobType: ANY,
    Platform: ANY,
    Description: TEXT,
    ScheduleConfigured: BOOLEAN,
    ScheduleEnabled: BOOLEAN,
    NextRun: ANY,
    JobScheduleOptions: isNested ? sequence({ Standart: SCHEDULE }) : SCHEDULE,
    JobInfo: sequence({
      BackupJobInfo: sequence({
        Includes: ANY,
        GuestProcessingOptions: ANY,
        AdvancedStorageOptions: ANY,
        GfsRetentionPolicy: GFS_RETENTION,
        SimpleRetentionPolicy: SIMPLE_RETENTION,
      }),
    }),
  });

const EVERY_HOUR = Array.from({ length: 24 }, () => '1').join(',');
const always = (): Days => Object.fromEntries(WEEKDAYS.map((day) => [day, EVERY_HOUR]));

/** A new job's schedule, as the product's console proposes it. */
export const newSchedule = (): ScheduleOptions => ({
  RetryOptions: { RetryTimes: 3, RetryTimeout: 10, RetrySpecified: true },
  WaitForBackupCompletion: true,
  BackupCompetitionWaitingPeriodMin: 180,
  OptionsDaily: {
    Enabled: true,
    Kind: 'Everyday',
    Days: [...WEEKDAYS],
    Time: '22:00:00.0000000+00:00',
    TimeOffsetUtc: 0,
  },
  OptionsMonthly: {
    Enabled: false,
    Time: '22:00:00.0000000+00:00',
    TimeOffsetUtc: 0,
    DayNumberInMonth: 'Fourth',
    DayOfWeek: 'Saturday',
    Months: [...MONTHS],
    DayOfMonth: 1,
  },
  OptionsPeriodically: { Enabled: false, Kind: 'Hours', FullPeriod: 1, Schedule: always() },
  OptionsContinuous: { Enabled: false, Schedule: always() },
  OptionsBackupWindow: { Enabled: false, TimePeriods: always() },
  OptionsDaisyChaining: { Enabled: false, PreviousJobUid: '' },
});

export const newGfsRetention = (): GfsRetention => ({
  Enabled: false,
  Weekly: { Enabled: false, RetentionPeriod: 1, SelectedDay: 'Sunday' },
  Monthly: { Enabled: false, RetentionPeriod: 1, SelectedWeek: 'First' },
  Yearly: { Enabled: false, RetentionPeriod: 1, SelectedMonth: 'January' },
});

/** What a new job keeps. A clone starts with it too: the template's retention is not copied. */
export const newRetention = (): SimpleRetention => ({
  RetainCycles: 7,
  RetainDaysToKeep: 7,
  RetainLimitType: 'Cycles',
});
