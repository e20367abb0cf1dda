/**
 * What the plugin reads and writes, held against the vendor's own samples where they are present, and always against
 * ours.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scheduleEdit } from '../../../activities/backup-systems/veeam/job-schedule.ts';
import { linkedId, linksOf } from '../../../activities/backup-systems/veeam/links.ts';
import { sessionFacts } from '../../../activities/backup-systems/veeam/session-reports.ts';
import {
  attribute,
  child,
  descendants,
  parseXml,
  textOf,
  type XmlElement,
} from '../../../activities/backup-systems/veeam/xml.ts';
import { HIERARCHY_ITEMS, HIERARCHY_ROOT, jobXml, POINT, RESTORE_SESSION, TASK, TASK_SESSION } from './samples.ts';

const FOLDER = join(import.meta.dirname, '../../../../shared/specs/veeam-em/examples');
const vendorFiles = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.xml')) : [];

/** Samples that are whole documents: some are fragments, and some show an ellipsis. */
const samples = new Map<string, XmlElement>([
  ['ours: job', parseXml(jobXml())],
  ['ours: job without Standart', parseXml(jobXml({ nested: false }))],
  ['ours: task session', parseXml(TASK_SESSION.trim())],
  ['ours: restore session', parseXml(RESTORE_SESSION.trim())],
  ['ours: task', parseXml(TASK)],
  ['ours: restore point', parseXml(POINT)],
  ['ours: vCenter', parseXml(HIERARCHY_ROOT)],
  ['ours: lookup', parseXml(HIERARCHY_ITEMS)],
  ...vendorFiles.map((name) => [name, parseXml(readFileSync(join(FOLDER, name), 'utf8').trim())] as const),
]);
const named = (root: string): [string, XmlElement][] => [...samples].filter(([, { name }]) => name === root);

/** Jobs that are shown whole and run by a schedule; a copy job runs by other rules. */
const backupJobs = named('Job').filter(([, job]) => [...descendants(job, 'OptionsDaily')].length > 0);

describe('every sample', () => {
  test.each(named('Task'))('of a task is understood: %s', (_, task) => {
    expect(textOf(task, 'TaskId')).toMatch(/^task-\d+$/);
    expect(textOf(task, 'State')).toMatch(/^(Running|OperationFinished|Finished)$/);
  });

  test.each([...named('BackupTaskSession'), ...named('BackupJobSession'), ...named('RestoreSession')])(
    'of a session is understood: %s',
    (_, session) => {
      const facts = sessionFacts(session);
      expect(facts).toMatchObject({ uid: attribute(session, 'UID'), isOver: true, endedAt: expect.any(Date) });
      expect(facts?.result).toMatch(/^(Success|Warning|Failed)$/);
    },
  );

  test.each(backupJobs)('of a job has the branches of its schedule in the order that is written: %s', (_, job) => {
    const options = child(job, 'JobScheduleOptions');
    const branches = child(options, 'Standart') ?? options;
    for (const recurrence of [
      { kind: 'EVERY_DAY', time: '03:33' },
      { kind: 'DAYS_OF_WEEK', time: '03:33', days: ['Sunday'] },
      { kind: 'FIRST_OF_MONTH', time: '03:33' },
      { kind: 'HOURS', hours: 17 },
    ] as const) {
      const plan = {
        policyId: 'p1',
        policyCode: 'GOLD',
        timeZone: 'Europe/Madrid',
        recurrence,
        retention: { days: 1 },
      };
      const edit = scheduleEdit(job, plan, undefined, new Date()) as XmlElement;
      const written = child(edit, 'Standart') ?? edit;
      isInOrderOf(branches as XmlElement, written);
      for (const branch of written.children) isInOrderOf(child(branches, branch.name) as XmlElement, branch);
    }
  });

  test.each(named('VmRestorePoint'))('of a restore point tells its time and its parents: %s', (_, point) => {
    expect(new Date(textOf(point, 'CreationTimeUTC') ?? '').getTime()).toBeGreaterThan(0);
    expect(linksOf(point).some(({ rel, type }) => rel === 'Up' && type === 'RestorePoint')).toBe(true);
  });

  test.each([...named('HierarchyItems')])('of a lookup tells references: %s', (_, items) => {
    for (const item of descendants(items, 'HierarchyItem')) expect(textOf(item, 'ObjectRef')).toMatch(/^urn:/);
  });

  test.each(named('HierarchyRoot'))('of a vCenter tells its id: %s', (_, root) => {
    expect(textOf(root, 'HierarchyRootId')).toBeDefined();
    expect(linkedId(root, 'BackupServer', 'Up')).toBeDefined();
  });
});

/** The names of `written` come in the order in which they come in `shown`. */
function isInOrderOf(shown: XmlElement, written: XmlElement): void {
  const order = [...new Set(shown.children.map(({ name }) => name))];
  const places = written.children.map(({ name }) => order.indexOf(name)).filter((place) => place >= 0);
  expect(places).toEqual(places.toSorted((one, other) => one - other));
}
