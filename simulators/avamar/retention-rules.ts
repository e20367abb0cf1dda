import { DateTime } from 'luxon';
import type { Retention } from './state.ts';

const UNITS = { DAYS: 'days', WEEKS: 'weeks', MONTHS: 'months', YEARS: 'years' } as const;

/** When a backup of that moment expires, in epoch milliseconds; 0 for never. */
export function expirationOf(retention: Retention, creationTime: number): number {
  switch (retention.basicRetentionType) {
    case 'NO_EXPIRATION':
      return 0;
    case 'EXDATE':
      return Date.parse(retention.expireDate ?? '') || 0;
    case 'DURATION':
      return DateTime.fromMillis(creationTime, { zone: 'utc' })
        .plus({ [UNITS[retention.durationUnit ?? 'DAYS']]: retention.duration ?? 0 })
        .toMillis();
  }
}
