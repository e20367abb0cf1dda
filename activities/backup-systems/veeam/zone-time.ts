/**
 * A policy's local time as the Enterprise Manager writes it: a time with a fixed offset from UTC. When the offset of the
 * zone changes the same text means another local time, so it has to be written again then.
 * @module
 */
import { IANAZone } from 'luxon';

const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** A zone that keeps its offset this long is taken to have given up changing it. */
const LOOK_AHEAD_MS = 2 * 366 * 24 * HOUR_MS;
/** No zone changes its offset and back within this time. */
const STEP_MS = 7 * 24 * HOUR_MS;

/** `Time` and `TimeOffsetUtc` of a schedule. */
export interface OffsetTime {
  readonly time: string;
  /** Whole hours. */
  readonly offsetHours: number;
}

const twoDigits = (number: number): string => String(number).padStart(2, '0');

/**
 * The local time `HH:mm` of a zone, with the offset that it has at that instant. `TimeOffsetUtc` takes whole hours, so
 * in a zone with a half hour the same moment is written with the nearest whole offset that keeps it on the same day.
 */
export function offsetTime(local: string, zone: string, at: Date): OffsetTime {
  const [hours = 0, minutes = 0] = local.split(':').map(Number);
  const offset = IANAZone.create(zone).offset(at.getTime());
  const below = Math.floor(offset / 60);
  const written = (offsetHours: number): number => hours * 60 + minutes - offset + offsetHours * 60;
  const offsetHours = written(below) >= 0 ? below : below + 1;
  const minute = written(offsetHours);
  const sign = offsetHours < 0 ? '-' : '+';
  const clock = `${twoDigits(Math.floor(minute / 60))}:${twoDigits(minute % 60)}:00.0000000`;
  return { time: `${clock}${sign}${twoDigits(Math.abs(offsetHours))}:00`, offsetHours };
}

/** So long after a change jobs are looked at that may not have been written again yet. */
const HELD_MS = 3 * 24 * HOUR_MS;
/** Within this time a job has begun that was due, so that a change of its time does not keep it from running. */
const BEGUN_MS = 5 * 60_000;

/**
 * When a job of that local time `HH:mm` has to be written again: at the next change of the zone's offset. A time that the
 * clock leaves out or shows twice then has to be left as it is until it is over: written at the change it would lie in
 * the past already, and the job would not run on that day, or it would lie ahead once more, and the job run twice.
 * @returns to the second; `undefined` when the offset does not change within two years.
 */
export function nextRefresh(local: string, zone: string, after: Date): Date | undefined {
  const change = nextOffsetChange(zone, after);
  if (change === undefined) return undefined;
  const iana = IANAZone.create(zone);
  const [before, then] = [iana.offset(change.getTime() - 1_000), iana.offset(change.getTime())];
  const [hours = 0, minutes = 0] = local.split(':').map(Number);
  const clockAtChange = change.getTime() / MINUTE_MS + Math.min(before, then);
  const until = (hours * 60 + minutes - (clockAtChange % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
  if (until >= Math.abs(then - before)) return change;
  return new Date(change.getTime() + until * MINUTE_MS + BEGUN_MS);
}

/**
 * A change of the offset that lies within the last days, while a job that is still written with the offset from before it
 * has to stay so: the run of today by the one is over and by the other to come, so written now it would be left out, or
 * be made twice.
 * @returns a moment of the offset from before, and when the later of both runs has begun; `undefined` outside such a time.
 */
export function heldOffset(
  local: string,
  zone: string,
  now: Date,
): { readonly before: Date; readonly until: Date } | undefined {
  const change = nextOffsetChange(zone, new Date(now.getTime() - HELD_MS));
  if (change === undefined || change > now) return undefined;
  const before = new Date(change.getTime() - 1_000);
  const iana = IANAZone.create(zone);
  const [hours = 0, minutes = 0] = local.split(':').map(Number);
  const clock = (now.getTime() / MINUTE_MS) % DAY_MINUTES;
  const [one = 0, other = 0] = [before, now].map(
    (at) => (hours * 60 + minutes - iana.offset(at.getTime()) - clock + 2 * DAY_MINUTES) % DAY_MINUTES,
  );
  if (Math.abs(one - other) <= DAY_MINUTES / 2) return undefined;
  return { before, until: new Date(now.getTime() + Math.min(one, other) * MINUTE_MS + BEGUN_MS) };
}

/**
 * When the zone's offset changes next after that instant, to the second; `undefined` when it does not within two years.
 */
export function nextOffsetChange(zone: string, after: Date): Date | undefined {
  const iana = IANAZone.create(zone);
  const offsetNow = iana.offset(after.getTime());
  let before = after.getTime();
  for (let at = before + STEP_MS; at <= after.getTime() + LOOK_AHEAD_MS; at += STEP_MS) {
    if (iana.offset(at) !== offsetNow) return firstOther(iana, before, at, offsetNow);
    before = at;
  }
  return undefined;
}

function firstOther(zone: IANAZone, before: number, at: number, offset: number): Date {
  let [same, other] = [before, at];
  while (other - same > 1_000) {
    const middle = Math.floor((same + other) / 2);
    if (zone.offset(middle) === offset) same = middle;
    else other = middle;
  }
  return new Date(Math.floor(other / 1_000) * 1_000);
}

const TIME = /(?:^|T)(\d{2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$/i;

/**
 * The minute of the UTC day that a `Time` of an answer means; some answers hold a whole date, some no offset, and then
 * `TimeOffsetUtc` says it. `undefined` when neither does.
 */
export function utcMinute(time: string | undefined, offsetHours: string | undefined): number | undefined {
  const [, hours, minutes, zone] = TIME.exec(time?.trim() ?? '') ?? [];
  if (hours === undefined || minutes === undefined) return undefined;
  const offset = zone === undefined ? Number(offsetHours ?? Number.NaN) * 60 : minutesOf(zone);
  const minute = Number(hours) * 60 + Number(minutes) - offset;
  return Number.isNaN(minute) ? undefined : ((minute % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES;
}

function minutesOf(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return zone.startsWith('-') ? -minutes : minutes;
}
