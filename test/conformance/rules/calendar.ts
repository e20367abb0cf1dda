/**
 * Rules of time: a schedule runs at its local time on both sides of a clock change, wherever the server stands.
 * @module
 */
import { DateTime } from 'luxon';
import { expect } from 'vitest';
import type { SessionReport } from '../../../activities/backup-systems/backup-system.ts';
import { WEEKDAYS, type Weekday } from '../../../domain/policies.ts';
import type { ScheduledBackup } from '../../../domain/schedules.ts';
import type { PluginUnderTest, Subject } from '../plugin-under-test.ts';
import { backupOf, openContext, scheduleOf, until } from '../port-calls.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Whole hours, half hours, a change by half an hour, and none at all. */
const ZONES = ['Europe/Madrid', 'America/St_Johns', 'Australia/Lord_Howe', 'Australia/Darwin'];
/** Early and late in the day: the server's day is another one for some of them. */
const TIMES = ['00:15', '22:45'];

/** A rule that a world is asked to keep. */
export interface CalendarRule {
  readonly name: string;
  readonly holds: (world: PluginUnderTest) => Promise<void>;
}

export function calendarRules(subject: Subject): CalendarRule[] {
  const { subtypes } = subject.type.constraints;
  const rules: CalendarRule[] = [];
  const each = (title: string, run: (calendar: Calendar, zone: string) => Promise<void>): void => {
    for (const zone of ZONES) {
      rules.push({ name: `time zones: ${title} in ${zone}`, holds: (world) => run(calendarOf(world), zone) });
    }
  };
  if (subtypes.includes('DAILY')) {
    each('DAILY runs at its local time around a clock change', async (calendar, zone) => {
      for (const time of TIMES) {
        const runs = calendar.daysFrom(await calendar.beforeChange(zone), time);
        await calendar.expectRuns(backupOf('DAILY', { time }), zone, runs);
      }
    });
  }
  if (subtypes.includes('WEEKLY_PLANNED')) {
    each('WEEKLY_PLANNED runs on its local days', async ({ now, daysFrom, expectRuns }, zone) => {
      for (const time of TIMES) {
        const from = DateTime.fromJSDate(await now(), { zone });
        const days: Weekday[] = ['MONDAY', 'SATURDAY'];
        const isDay = (at: number) =>
          days.includes(WEEKDAYS[DateTime.fromMillis(at, { zone }).weekday - 1] ?? 'SUNDAY');
        const runs = [...daysFrom(from, time), ...daysFrom(from.plus({ days: 5 }).startOf('day'), time)];
        await expectRuns(backupOf('WEEKLY_PLANNED', { time, days }), zone, runs.filter(isDay));
      }
    });
  }
  if (subtypes.includes('MONTHLY')) {
    each('MONTHLY runs on the first local day of the month', async ({ now, goTo, expectRuns }, zone) => {
      const month = DateTime.fromJSDate(await now(), { zone })
        .plus({ months: 1 })
        .startOf('month');
      await goTo(month.minus({ days: 2 }).toMillis());
      await expectRuns(backupOf('MONTHLY', { time: '00:15' }), zone, [month.set({ minute: 15 }).toMillis()]);
      await goTo(month.plus({ days: 1 }).toMillis());
      const next = month.plus({ months: 1 });
      await goTo(next.minus({ days: 2 }).toMillis());
      await expectRuns(backupOf('MONTHLY', { time: '22:45' }), zone, [next.set({ hour: 22, minute: 45 }).toMillis()]);
    });
  }
  if (subtypes.includes('DEFINED_HOUR')) {
    each('DEFINED_HOUR runs at its local date and never again', async ({ now, expectOnce }, zone) => {
      for (const time of TIMES) {
        const [hour, minute] = time.split(':').map(Number);
        const day = DateTime.fromJSDate(await now(), { zone })
          .plus({ days: 2 })
          .startOf('day');
        await expectOnce(day.set({ hour: hour ?? 0, minute: minute ?? 0 }));
      }
    });
  }
  if (subtypes.includes('HOURLY')) {
    const holds = (world: PluginUnderTest) => calendarOf(world).expectHourly(6);
    rules.push({ name: 'schedule limits: HOURLY runs every so many hours', holds });
  }

  return rules;
}

type Calendar = ReturnType<typeof calendarOf>;

/** What a schedule is followed with. */
function calendarOf(world: PluginUnderTest) {
  const context = openContext();
  const now = () => world.connect().serverTime(context);
  const goTo = async (at: number) => {
    const seconds = (at - (await now()).getTime()) / 1_000;
    if (seconds > 0) await world.advance?.(seconds);
  };

  /** Follows the schedule past these moments, refreshing it as Holdfast does, and expects a run at each alone. */
  async function expectRuns(backup: ScheduledBackup, timeZone: string, runs: readonly number[]): Promise<void> {
    const vm = await world.machines.deploy('timed');
    const schedule = scheduleOf(world.policyCode, [backup], { timeZone });
    let ref = await world.connect().applySchedule(context, vm, schedule, undefined);
    // Everything that begins from here on; what has been seen is left behind.
    let mark = await now();
    for (const run of runs) {
      const begun = async (): Promise<SessionReport[]> =>
        (await world.connect().sessionsSince(context, mark)).filter(({ vendorVmRef }) => vendorVmRef === ref.vmRef);
      while (ref.refreshAt !== undefined && Date.parse(ref.refreshAt) <= run) {
        const refreshAt = Date.parse(ref.refreshAt);
        await goTo(refreshAt + 1_000);
        ref = await world.connect().applySchedule(context, vm, schedule, ref);
        // The next refresh is for the next change.
        if (ref.refreshAt !== undefined) expect(Date.parse(ref.refreshAt)).toBeGreaterThan(refreshAt);
      }
      await goTo(run - 60_000);
      const at = `${backup.subtype} ${backup.time} in ${timeZone}, run of ${new Date(run).toISOString()}`;
      expect(await begun(), `before ${at}`).toEqual([]);
      await goTo(run + 5_000);
      const [session, ...more] = await until(world, begun, ({ length }) => length > 0);
      expect(more, at).toEqual([]);
      expect(session, at).toMatchObject({ kind: 'BACKUP', scheduled: true });
      expect(Math.abs((session?.startedAt.getTime() ?? 0) - run), at).toBeLessThan(90_000);
      await until(world, begun, (all) => all.every(({ endedAt }) => endedAt !== null));
      mark = new Date((session?.startedAt.getTime() ?? 0) + 1);
    }
    await world.connect().removeSchedule(context, vm, ref);
  }

  /** Two days before the zone's next clock change; for a zone without one, two days from now. */
  async function beforeChange(zone: string): Promise<DateTime> {
    const start = DateTime.fromJSDate(await now(), { zone });
    let day = start.plus({ days: 3 });
    while (day.offset === start.plus({ days: 3 }).offset && day.diff(start, 'days').days < 400)
      day = day.plus({ days: 1 });
    const from = day.diff(start, 'days').days < 400 ? day.minus({ days: 3 }) : start.plus({ days: 2 });
    await goTo(from.toMillis());
    return DateTime.fromJSDate(await now(), { zone });
  }

  const daysFrom = (from: DateTime, time: string): number[] => {
    const [hour = 0, minute = 0] = time.split(':').map(Number);
    const days = Array.from({ length: 5 }, (_, index) =>
      from.plus({ days: index }).startOf('day').set({ hour, minute }),
    );
    return days.map((day) => day.toMillis()).filter((at) => at > from.toMillis() + 120_000);
  };

  /** Follows a schedule past its one moment and for days after it, then asks for it as Holdfast may: again, and anew. */
  async function expectOnce(at: DateTime): Promise<void> {
    const vm = await world.machines.deploy('once');
    const backup = backupOf('DEFINED_HOUR', { time: at.toFormat("yyyy-MM-dd'T'HH:mm") });
    const schedule = scheduleOf(world.policyCode, [backup], { timeZone: at.zoneName ?? 'UTC' });
    const ref = await world.connect().applySchedule(context, vm, schedule, undefined);
    const since = await now();
    const begun = async (): Promise<SessionReport[]> =>
      (await world.connect().sessionsSince(context, since)).filter(({ vendorVmRef }) => vendorVmRef === ref.vmRef);
    await goTo(at.toMillis() - 60_000);
    expect(await begun(), `before ${at.toISO()}`).toEqual([]);
    await goTo(at.toMillis() + 5_000);
    const [session] = await until(world, begun, ({ length }) => length > 0);
    expect(session).toMatchObject({ kind: 'BACKUP', scheduled: true });
    for (let day = 1; day <= 3; day += 1) await goTo(at.plus({ days: day, minutes: 10 }).toMillis());
    expect(await begun(), `days after ${at.toISO()}`).toHaveLength(1);

    const again = await world.connect().applySchedule(context, vm, schedule, ref);
    expect(await world.console.schedules(vm)).toEqual([]);
    await world.connect().removeSchedule(context, vm, again);
    await world.connect().applySchedule(context, { ...vm, vendorRefs: [ref.vmRef] }, schedule, undefined);
    const late = world.connect().applySchedule(context, await world.machines.deploy('late'), schedule, undefined);
    await expect(late).rejects.toMatchObject({ kind: 'REFUSED' });
  }

  async function expectHourly(hours: number): Promise<void> {
    const vm = await world.machines.deploy('hourly');
    const schedule = scheduleOf(world.policyCode, [backupOf('HOURLY', { time: String(hours) })], { timeZone: 'UTC' });
    const ref = await world.connect().applySchedule(context, vm, schedule, undefined);
    const since = await now();
    // An hour more than the day: a run at its very end would still be on its way when it is looked for.
    for (let at = since.getTime(); at <= since.getTime() + DAY_MS + HOUR_MS; at += HOUR_MS / 4) await goTo(at);
    const all = await world.connect().sessionsSince(context, since);
    const ours = all.filter(({ vendorVmRef }) => vendorVmRef === ref.vmRef);
    const begins = ours.map(({ startedAt }) => startedAt.getTime()).toSorted((a, b) => a - b);
    expect(begins.length).toBeGreaterThanOrEqual(24 / hours);
    const gaps = begins.slice(1).map((begin, index) => (begin - (begins[index] ?? 0)) / HOUR_MS);
    for (const gap of gaps) expect(Math.abs(gap - hours)).toBeLessThan(0.3);
    await world.connect().removeSchedule(context, vm, ref);
  }

  return { now, goTo, expectRuns, expectOnce, expectHourly, beforeChange, daysFrom };
}
