/**
 * `JobScheduleOptions` of a job: what of it has to change for a planned recurrence. Only branches that mean something
 * else than they shall are written, each as a whole and in the nesting that was read, since versions differ in it.
 * @module
 */
import type { PlannedJob } from './planned-job.ts';
import { attribute, child, childrenNamed, element, inOrder, textOf, withChild, type XmlElement } from './xml.ts';
import { type OffsetTime, offsetTime, utcMinute } from './zone-time.ts';

const WEEK = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
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
];

/** What makes a job run by itself. A backup window only forbids hours, so it stays as the template has it. */
const BRANCHES = [
  'OptionsDaily',
  'OptionsMonthly',
  'OptionsPeriodically',
  'OptionsContinuous',
  'OptionsDaisyChaining',
] as const;
type Branch = (typeof BRANCHES)[number];

/** The sequence of the schema. */
const ORDER: Readonly<Record<Branch, readonly string[]>> = {
  OptionsDaily: ['Kind', 'Days', 'Time', 'TimeOffsetUtc'],
  OptionsMonthly: ['Time', 'TimeOffsetUtc', 'DayNumberInMonth', 'DayOfWeek', 'Months', 'DayOfMonth'],
  OptionsPeriodically: ['Kind', 'FullPeriod', 'Schedule'],
  OptionsContinuous: ['Schedule'],
  OptionsDaisyChaining: ['PreviousJobUid'],
};

/** Where the branches stand: below `Standart` (so spelled) or directly below the options. */
function branchesOf(job: XmlElement): XmlElement | undefined {
  const options = child(job, 'JobScheduleOptions');
  return child(options, 'Standart') ?? options;
}

const isEnabled = (branch: XmlElement | undefined): boolean => attribute(branch, 'Enabled')?.toLowerCase() === 'true';

/**
 * The `JobScheduleOptions` to send; `undefined` when the job recurs as planned already.
 * @param template where values come from that the policy leaves to the backup system.
 * @param now the backup server's clock: decides the offset of the zone.
 */
export function scheduleEdit(
  job: XmlElement,
  plan: PlannedJob,
  template: XmlElement | undefined,
  now: Date,
): XmlElement | undefined {
  const branches = branchesOf(job);
  const changed = BRANCHES.flatMap((name) => {
    const before = child(branches, name);
    const wanted = wantedBranch(name, before, plan, child(template && branchesOf(template), name), now);
    if (wanted === undefined) return [];
    return before !== undefined && means(before, wanted) ? [] : [wanted];
  });
  if (changed.length === 0) return undefined;
  const isNested = child(child(job, 'JobScheduleOptions'), 'Standart') !== undefined;
  return element('JobScheduleOptions', isNested ? [element('Standart', changed)] : changed);
}

/** The branch of the planned recurrence as it shall be, any other switched off; `undefined`: nothing to say of it. */
function wantedBranch(
  name: Branch,
  before: XmlElement | undefined,
  plan: PlannedJob,
  template: XmlElement | undefined,
  now: Date,
): XmlElement | undefined {
  const { recurrence } = plan;
  const base = before ?? template ?? element(name);
  const at = (time: string | null): OffsetTime | undefined =>
    time === null ? undefined : offsetTime(time, plan.timeZone, now);
  const enabled = (children: readonly XmlElement[]) =>
    element(name, inOrder(children, ORDER[name]), { Enabled: 'true' });
  if (name === 'OptionsPeriodically' && recurrence.kind === 'HOURS') {
    const source = recurrence.hours === null ? (template ?? base) : base;
    const period =
      recurrence.hours === null ? [] : [element('Kind', 'Hours'), element('FullPeriod', `${recurrence.hours}`)];
    return enabled(period.reduce(withChild, source).children);
  }
  if (name === 'OptionsDaily' && (recurrence.kind === 'EVERY_DAY' || recurrence.kind === 'DAYS_OF_WEEK')) {
    const isEveryDay = recurrence.kind === 'EVERY_DAY';
    const days = (isEveryDay ? WEEK : recurrence.days) ?? textsOf(template ?? base, 'Days');
    return enabled([
      element('Kind', isEveryDay ? 'Everyday' : 'SelectedDays'),
      ...days.map((day) => element('Days', day)),
      ...timeElements(at(recurrence.time), base, template),
    ]);
  }
  if (name === 'OptionsMonthly' && recurrence.kind === 'FIRST_OF_MONTH') {
    return enabled([
      ...timeElements(at(recurrence.time), base, template),
      element('DayNumberInMonth', 'OnDay'),
      element('DayOfWeek', textOf(base, 'DayOfWeek') ?? 'Monday'),
      ...MONTHS.map((month) => element('Months', month)),
      element('DayOfMonth', '1'),
    ]);
  }
  return isEnabled(before) ? { ...base, attributes: { ...base.attributes, Enabled: 'false' } } : undefined;
}

/** `TimeOffsetUtc` is unknown to versions that do not show it. */
function timeElements(time: OffsetTime | undefined, base: XmlElement, template: XmlElement | undefined): XmlElement[] {
  const shown = time === undefined ? (template ?? base) : base;
  const offset = child(shown, 'TimeOffsetUtc');
  if (time === undefined) {
    return [element('Time', textOf(shown, 'Time') ?? ''), ...(offset === undefined ? [] : [offset])];
  }
  const isKnown = offset !== undefined || child(base, 'Time') === undefined;
  return [element('Time', time.time), ...(isKnown ? [element('TimeOffsetUtc', String(time.offsetHours))] : [])];
}

const textsOf = (of: XmlElement, name: string): string[] => childrenNamed(of, name).map(({ text }) => text.trim());

const sameWords = (one: readonly string[], other: readonly string[]): boolean =>
  JSON.stringify(one.map((word) => word.toLowerCase()).toSorted()) ===
  JSON.stringify(other.map((word) => word.toLowerCase()).toSorted());

/** Whether the branch as it was read means what is wanted; the server words times in its own way. */
function means(read: XmlElement, wanted: XmlElement): boolean {
  if (isEnabled(read) !== isEnabled(wanted)) return false;
  if (!isEnabled(wanted)) return true;
  const single = ['Kind', 'FullPeriod', 'DayNumberInMonth', 'DayOfMonth'];
  if (!single.every((name) => sameWords(textsOf(read, name), textsOf(wanted, name)))) return false;
  const isEveryDay = textOf(wanted, 'Kind') === 'Everyday';
  if (!isEveryDay && !sameWords(textsOf(read, 'Days'), textsOf(wanted, 'Days'))) return false;
  return sameWords(textsOf(read, 'Months'), textsOf(wanted, 'Months')) && sameTime(read, wanted);
}

function sameTime(read: XmlElement, wanted: XmlElement): boolean {
  const [one, other] = [read, wanted].map((branch) =>
    utcMinute(textOf(branch, 'Time'), textOf(branch, 'TimeOffsetUtc')),
  );
  if (one !== undefined && other !== undefined) return one === other;
  // A time that tells no offset can only be compared as it is written.
  const clock = (branch: XmlElement) => /\d{2}:\d{2}/.exec(textOf(branch, 'Time') ?? '')?.[0];
  return clock(read) === clock(wanted);
}
