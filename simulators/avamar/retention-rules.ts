import { DateTime } from 'luxon';
import type { DurationUnit, Retention } from './state.ts';

const UNITS = { DAYS: 'days', WEEKS: 'weeks', MONTHS: 'months', YEARS: 'years' } as const;

/** So many units after a moment (before it, when negative), in epoch milliseconds. */
export const after = (moment: DateTime, duration: number, unit: DurationUnit = 'DAYS'): number =>
  moment.plus({ [UNITS[unit]]: duration }).toMillis();

/** When a backup of that moment expires, in epoch milliseconds; 0 for never. */
export function expirationOf(retention: Retention, creationTime: number): number {
  switch (retention.basicRetentionType) {
    case 'NO_EXPIRATION':
      return 0;
    case 'EXDATE':
      return Date.parse(retention.expireDate ?? '') || 0;
    case 'DURATION':
      return after(DateTime.fromMillis(creationTime, { zone: 'utc' }), retention.duration ?? 0, retention.durationUnit);
  }
}
