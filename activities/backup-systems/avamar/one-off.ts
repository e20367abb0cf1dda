/**
 * DEFINED_HOUR: a backup that runs once, at a date.
 *
 * A schedule of Avamar recurs. It is made to run once in two ways, because the vendor documents neither to the minute:
 * it begins on that day (`postponeUntilDate`) and ends before the same time of the next one (`endDate`), and its group is
 * told that only its next scheduled backup is performed (`overrideSchedule: runOnce`).
 *
 * A date that has passed by Avamar's clock is refused where somebody asks for it now: it would never run. Where it was
 * asked for earlier, nothing is made for it and what was made goes: a VM that is deployed again, restored, or changed in
 * another respect must not fail for a backup that has had its time.
 * @module
 */
import { DateTime } from 'luxon';
import { z } from 'zod';
import type { ScheduleRef } from '../../../db/columns.ts';
import type { CallContext } from '../../calls.ts';
import type { ProtectedVm } from '../backup-system.ts';
import { serverTime } from './check.ts';
import { refused } from './refusal.ts';
import type { AvamarRest } from './rest.ts';
import type { PlannedBackup, Recurrence } from './schedule-mapping.ts';

/** After this time a backup that was due has begun. Milliseconds; no number is documented. */
const BEGINS_WITHIN_MS = 5 * 60_000;

const Known = z.object({ once: z.array(z.string()) });

/**
 * The moment of a DEFINED_HOUR, and the recurrence that has it alone.
 * @param time `YYYY-MM-DDTHH:mm` in the zone.
 * @returns `undefined` when there is no such zone or day.
 */
export function oneOff(
  time: string,
  timeZone: string,
): { readonly at: Date; readonly recurrence: Recurrence } | undefined {
  const day = DateTime.fromISO(time.slice(0, 10), { zone: timeZone });
  if (!day.isValid) return undefined;
  const startTime = time.slice(11);
  const [hour = 0, minute = 0] = startTime.split(':').map(Number);
  // By the calendar, not 24 hours later: the clock may change in between, or leave this very time out.
  const nextRun = day.plus({ days: 1 }).set({ hour, minute });
  return {
    at: day.set({ hour, minute }).toJSDate(),
    recurrence: {
      recurrenceEnum: 'Daily',
      startTime,
      dailyData: { timesOfDay: [startTime] },
      postponeUntilDate: day.toJSDate().toISOString(),
      endDate: nextRun.minus({ minutes: 1 }).toJSDate().toISOString(),
    },
  };
}

/** The backups of a schedule by their time. */
export interface Timed {
  /** Those that recur, and those that are still to run. */
  readonly toCome: readonly PlannedBackup[];
  /** Those that may be about to begin: what was made for them is neither changed nor removed. */
  readonly beginning: readonly PlannedBackup[];
}

/**
 * Leaves out what was to run once and has had its time.
 * @throws ExternalSystemError `REFUSED` when one of these is new: the VM has a schedule without it, or was never known to
 * this backup system. A VM that was undeployed has no schedule, and is known by its earlier references.
 */
export async function byTime(
  rest: AvamarRest,
  context: CallContext,
  vm: ProtectedVm,
  plans: readonly PlannedBackup[],
  previous: ScheduleRef | undefined,
): Promise<Timed> {
  if (plans.every(({ once }) => once === null)) return { toCome: plans, beginning: [] };
  const now = await serverTime(rest, context);
  const known = knownOneOffs(previous);
  const toCome: PlannedBackup[] = [];
  const beginning: PlannedBackup[] = [];
  for (const plan of plans) {
    const { once, policyCode } = plan;
    if (once === null || once > now) {
      toCome.push(plan);
      continue;
    }
    if (previous === undefined ? vm.vendorRefs.length === 0 : !known.includes(keyOf(plan, once))) {
      throw refused(
        `policy ${policyCode}: its backup of ${once.toISOString()} has passed by the clock of the backup system ` +
          `${rest.manager.name} (${now.toISOString()}), so it would never run; give it a date to come`,
      );
    }
    if (now.getTime() - once.getTime() < BEGINS_WITHIN_MS) beginning.push(plan);
  }
  return { toCome, beginning };
}

/** What the reference remembers of backups that run once: all that the VM ever had, so that an undo finds them known. */
export function rememberedOneOffs(plans: readonly PlannedBackup[], previous: ScheduleRef | undefined): string[] {
  const keys = plans.flatMap((plan) => (plan.once === null ? [] : [keyOf(plan, plan.once)]));
  return [...new Set([...knownOneOffs(previous), ...keys])];
}

const knownOneOffs = (ref: ScheduleRef | undefined): readonly string[] => Known.safeParse(ref).data?.once ?? [];

const keyOf = ({ name }: PlannedBackup, once: Date): string => `${name} ${once.toISOString()}`;
