import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clockSkewSeconds } from '../../../activities/backup-systems/clock-skew.ts';

const NOON = Date.parse('2026-01-15T12:00:00Z');
/** What a clock that is so much ahead shows in a `Date` header at that moment. */
const header = (at: number, aheadMs: number) => new Date(Math.floor((at + aheadMs) / 1_000) * 1_000);

test('a clock that is right has no skew, whenever in the second and in the call it was read', () => {
  const moment = fc.integer({ min: 0, max: 999 });
  const within = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(moment, fc.integer({ min: 0, max: 1_900 }), within, (ms, took, share) => {
      const asked = NOON + ms;
      const shown = header(asked + took * share, 0);
      expect(clockSkewSeconds(shown, new Date(asked), new Date(asked + took))).toBe(0);
    }),
  );
});

test.each([-172_800, -61, -2, 2, 61, 172_800])('a clock that is %i s off is told to the second', (seconds) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999 }), (ms) => {
      const asked = NOON + ms;
      const found = clockSkewSeconds(header(asked + 5, seconds * 1_000), new Date(asked), new Date(asked + 10));
      expect(Math.abs(found - seconds)).toBeLessThanOrEqual(1);
      expect(Math.sign(found)).toBe(Math.sign(seconds));
    }),
  );
});
