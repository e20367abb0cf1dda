/**
 * The body of an edit of a job: what differs from what it shall be, in the order of the schema, and nothing else.
 * @module
 */
import type { Retention } from './config.ts';
import { child, element, inOrder, textOf, withChild, type XmlElement } from './xml.ts';

/** What an edit can change; what is left out stays. */
export interface JobChanges {
  readonly description?: string | undefined;
  readonly scheduleConfigured?: boolean | undefined;
  readonly scheduleEnabled?: boolean | undefined;
  /** `JobScheduleOptions`. */
  readonly schedule?: XmlElement | undefined;
  /** `GfsRetentionPolicy` and `SimpleRetentionPolicy`, in this order. */
  readonly retention?: readonly XmlElement[] | undefined;
}

/** The body that makes these changes; `undefined` when there are none. */
export function jobEdit(job: XmlElement, changes: JobChanges): XmlElement | undefined {
  const { description, scheduleConfigured, scheduleEnabled, schedule, retention = [] } = changes;
  const children = [
    ...(description === undefined ? [] : [element('Description', description)]),
    ...(scheduleConfigured === undefined ? [] : [element('ScheduleConfigured', String(scheduleConfigured))]),
    ...(scheduleEnabled === undefined ? [] : [element('ScheduleEnabled', String(scheduleEnabled))]),
    ...(schedule === undefined ? [] : [schedule]),
    ...(retention.length === 0 ? [] : [element('JobInfo', [element('BackupJobInfo', retention)])]),
  ];
  if (children.length === 0) return undefined;
  const kept = ['Type', 'Href', 'Name', 'UID'];
  const attributes = Object.entries(job.attributes).filter(([name]) => kept.includes(name));
  return element('Job', children, Object.fromEntries(attributes));
}

const backupInfo = (job: XmlElement): XmlElement | undefined => child(child(job, 'JobInfo'), 'BackupJobInfo');

const SIMPLE_ORDER = ['RetainCycles', 'RetainDaysToKeep', 'RetainLimitType'];

/** Whether this version shows a job's retention, and so lets it be set. */
export function showsRetention(job: XmlElement): boolean {
  return child(backupInfo(job), 'SimpleRetentionPolicy') !== undefined;
}

/**
 * The retention branches that differ. A version that does not show them keeps what its jobs have.
 * @param template of a job that was cloned just now: a clone takes over no retention, and weekly, monthly and yearly
 * points are the template's to decide.
 */
export function retentionEdit(job: XmlElement, wanted: Retention, template: XmlElement | undefined): XmlElement[] {
  const info = backupInfo(job);
  const simple = child(info, 'SimpleRetentionPolicy');
  const [gfs, wantedGfs] = [info, template && backupInfo(template)].map((one) => child(one, 'GfsRetentionPolicy'));
  const edits: XmlElement[] = [];
  if (gfs !== undefined && wantedGfs !== undefined && !sameContent(gfs, wantedGfs)) edits.push(wantedGfs);
  if (simple === undefined) return edits;
  const isDays = 'days' in wanted;
  const count = isDays
    ? element('RetainDaysToKeep', String(wanted.days))
    : element('RetainCycles', String(wanted.restorePoints));
  const type = isDays ? 'Days' : 'Cycles';
  const isSame =
    textOf(simple, 'RetainLimitType')?.toLowerCase() === type.toLowerCase() &&
    textOf(simple, count.name) === count.text;
  if (!isSame) {
    const { children } = withChild(withChild(simple, count), element('RetainLimitType', type));
    edits.push(element('SimpleRetentionPolicy', inOrder(children, SIMPLE_ORDER)));
  }
  return edits;
}

function sameContent(one: XmlElement, other: XmlElement): boolean {
  const { name, text, children } = one;
  return (
    name === other.name &&
    text.trim() === other.text.trim() &&
    one.attributes['Enabled']?.toLowerCase() === other.attributes['Enabled']?.toLowerCase() &&
    children.length === other.children.length &&
    children.every((inner, index) => {
      const counterpart = other.children[index];
      return counterpart !== undefined && sameContent(inner, counterpart);
    })
  );
}
