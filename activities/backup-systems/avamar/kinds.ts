/**
 * What a backup consists of in Avamar (19.x swagger: `Schedule`, `Retention`, `Dataset`, `Group` and their DTOs), and
 * how Holdfast writes each.
 * @module
 */
import { DateTime } from 'luxon';
import { z } from 'zod';
import type { AvamarConfig } from './config.ts';
import type { Kind, Named, NamedBody } from './named-things.ts';
import type { PlannedBackup } from './schedule-mapping.ts';

const DESCENDANTS = { inclusion: 'DESCENDANT' };

const Schedule = z.object({
  id: z.string(),
  name: z.string(),
  recurrenceEnum: z.string(),
  startTime: z.string().nullish(),
  duration: z.number().nullish(),
  timeZoneId: z.string().nullish(),
  dailyData: z.object({ timesOfDay: z.array(z.string()).nullish() }).nullish(),
  weeklyData: z.object({ daysOfWeek: z.array(z.string()).nullish() }).nullish(),
  monthlyData: z.object({ typeEnum: z.string().nullish(), nthDay: z.string().nullish() }).nullish(),
  postponeUntilDate: z.string().nullish(),
  endDate: z.string().nullish(),
});
export type Schedule = z.infer<typeof Schedule>;

const Retention = z.object({
  id: z.string(),
  name: z.string(),
  basicRetentionType: z.string(),
  duration: z.number().nullish(),
  durationUnit: z.string().nullish(),
});
export type Retention = z.infer<typeof Retention>;

const Dataset = z.object({
  id: z.string(),
  name: z.string(),
  targets: z.array(z.object({ pluginNumber: z.number().nullish(), value: z.string().nullish() })).nullish(),
});
export type Dataset = z.infer<typeof Dataset>;

const Group = z.object({
  id: z.string(),
  name: z.string(),
  domain: z.string().nullish(),
  /** `REGULAR`: one that makes backups. */
  type: z.string().nullish(),
  enabled: z.boolean().nullish(),
  runOnce: z.boolean().nullish(),
  scheduleId: z.string().nullish(),
  retentionId: z.string().nullish(),
  datasetId: z.string().nullish(),
});
export type Group = z.infer<typeof Group>;

/** Whether a group makes backups; others copy or check them, and a server may list them with these. */
export const makesBackups = ({ type }: Group): boolean => type === null || type === undefined || type === 'REGULAR';

export const SCHEDULES: Kind<Schedule> = { noun: 'schedule', path: '/schedules', below: DESCENDANTS, thing: Schedule };
export const RETENTIONS: Kind<Retention> = {
  noun: 'retention',
  path: '/retentions',
  below: DESCENDANTS,
  thing: Retention,
};
export const DATASETS: Kind<Dataset> = {
  noun: 'dataset',
  path: '/datasets',
  below: DESCENDANTS,
  thing: Dataset,
};
export const GROUPS: Kind<Group> = {
  noun: 'group',
  path: '/groups',
  writePath: '/groups/backup-groups',
  below: { recursive: 'true' },
  thing: Group,
};

/** How one thing is written, and how to see that it is written already. */
export interface Wanted<T extends Named> {
  readonly json: NamedBody;
  readonly same: (thing: T) => boolean;
}

const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  JSON.stringify(a.toSorted()) === JSON.stringify(b.toSorted());

/** Whether a schedule begins or ends on the wanted day; a server may keep no more of the moment than that. */
function sameDay(held: string | null | undefined, wanted: string | undefined, zone: string): boolean {
  // One that recurs for ever may show when it was made, or that it never ends.
  if (wanted === undefined) return true;
  const dayOf = (moment: string) => DateTime.fromJSDate(new Date(moment), { zone }).toISODate();
  return typeof held === 'string' && dayOf(held) === dayOf(wanted);
}

export function wantedSchedule(config: AvamarConfig, plan: PlannedBackup): Wanted<Schedule> {
  const { name, timeZoneId, recurrence } = plan;
  const { windowHours: duration, policyDomain: domainFqdn } = config;
  return {
    json: { name, domainFqdn, duration, timeZoneId, ...recurrence },
    same: (thing) =>
      thing.recurrenceEnum.toLowerCase() === recurrence.recurrenceEnum.toLowerCase() &&
      (recurrence.recurrenceEnum === 'Daily' || thing.startTime === recurrence.startTime) &&
      thing.duration === duration &&
      thing.timeZoneId === timeZoneId &&
      sameList(thing.dailyData?.timesOfDay ?? [], recurrence.dailyData?.timesOfDay ?? []) &&
      sameList(thing.weeklyData?.daysOfWeek ?? [], recurrence.weeklyData?.daysOfWeek ?? []) &&
      thing.monthlyData?.nthDay === recurrence.monthlyData?.nthDay &&
      sameDay(thing.postponeUntilDate, recurrence.postponeUntilDate, timeZoneId) &&
      sameDay(thing.endDate, recurrence.endDate, timeZoneId),
  };
}

export function wantedRetention(config: AvamarConfig, plan: PlannedBackup): Wanted<Retention> {
  const duration = plan.retentionDays;
  return {
    json: {
      name: plan.name,
      domainFqdn: config.policyDomain,
      basicRetentionType: 'DURATION',
      duration,
      durationUnit: 'DAYS',
    },
    same: (thing) =>
      thing.basicRetentionType === 'DURATION' && thing.duration === duration && thing.durationUnit === 'DAYS',
  };
}

/** @param files of the chosen disks. */
export function wantedDataset(
  config: AvamarConfig,
  plan: PlannedBackup,
  pluginNumber: number,
  files: readonly string[],
): Wanted<Dataset> {
  const targets = files.map((value) => ({ pluginNumber, value }));
  const texts = (list: readonly { pluginNumber?: number | null | undefined; value?: string | null | undefined }[]) =>
    list.map((target) => `${target.pluginNumber} ${target.value}`);
  return {
    json: { name: plan.name, domainFqdn: config.policyDomain, includes: [], excludes: [], targets },
    same: (thing) => sameList(texts(thing.targets ?? []), texts(targets)),
  };
}

/** @param cid the only member. */
export function wantedGroup(
  config: AvamarConfig,
  plan: PlannedBackup,
  parts: { readonly scheduleId: string; readonly retentionId: string; readonly datasetId: string },
  cid: string,
): Wanted<Group> {
  const isOnce = plan.once !== null;
  return {
    json: {
      name: plan.name,
      domainFqdn: config.policyDomain,
      enabled: true,
      ...parts,
      encryption: 'HIGH',
      members: [{ cid, joinType: 'INCLUDED_BY_USER' }],
      autoProxyMapping: true,
      proxyIds: [],
      ...(isOnce ? { overrideSchedule: 'runOnce' } : {}),
    },
    same: (thing) =>
      thing.enabled === true &&
      (!isOnce || thing.runOnce === true) &&
      thing.scheduleId === parts.scheduleId &&
      thing.retentionId === parts.retentionId &&
      thing.datasetId === parts.datasetId,
  };
}
