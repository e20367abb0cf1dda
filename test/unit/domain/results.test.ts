import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ABSENCES_BELIEVED,
  afterCheck,
  type Copy,
  resultStatus,
  SESSION_STATES,
  sessionEnded,
  sessionSucceeded,
} from '../../../domain/results.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const YESTERDAY = new Date('2026-05-31T12:00:00Z');
const TOMORROW = new Date('2026-06-02T12:00:00Z');

const listed = (copy: Partial<Copy> = {}): Copy => ({
  state: 'LISTED',
  expiresAt: TOMORROW,
  absentChecks: 0,
  ...copy,
});

function afterChecks(copy: Copy, ...looks: readonly boolean[]) {
  return looks.reduce<Copy & { overdue: boolean }>((now, look) => afterCheck(now, look, NOW), {
    ...copy,
    overdue: false,
  });
}

describe('a copy of a backup', () => {
  test('that is listed before its date stays as it is', () => {
    expect(afterCheck(listed(), true, NOW)).toMatchObject({ state: 'LISTED', overdue: false });
  });

  test('that is listed past its date stays restorable, and is overdue', () => {
    expect(afterCheck(listed({ expiresAt: YESTERDAY }), true, NOW)).toMatchObject({ state: 'LISTED', overdue: true });
  });

  test('is past its date from that moment on', () => {
    expect(afterCheck(listed({ expiresAt: NOW }), true, NOW)).toMatchObject({ overdue: true });
  });

  test('that is not found once is not given up', () => {
    expect(afterChecks(listed(), false)).toMatchObject({ state: 'LISTED', absentChecks: 1 });
    expect(afterChecks(listed({ expiresAt: YESTERDAY }), false)).toMatchObject({ state: 'LISTED', overdue: true });
  });

  test('that is not found twice has expired when its date is past, else it is missing', () => {
    expect(afterChecks(listed({ expiresAt: YESTERDAY }), false, false)).toMatchObject({
      state: 'EXPIRED',
      overdue: false,
    });
    expect(afterChecks(listed(), false, false)).toMatchObject({ state: 'MISSING' });
    expect(afterChecks(listed({ expiresAt: null }), false, false)).toMatchObject({ state: 'MISSING' });
  });

  test('that is found in between is looked for twice again', () => {
    expect(afterChecks(listed(), false, true, false)).toMatchObject({ state: 'LISTED', absentChecks: 1 });
  });

  test('that was missing, and whose date has come, has expired', () => {
    const missing = listed({ state: 'MISSING', expiresAt: YESTERDAY, absentChecks: 5 });
    expect(afterCheck(missing, false, NOW)).toMatchObject({ state: 'EXPIRED' });
  });

  const copy = fc.record({
    state: fc.constantFrom('LISTED', 'EXPIRED', 'MISSING'),
    expiresAt: fc.constantFrom(YESTERDAY, TOMORROW, null),
    absentChecks: fc.integer({ min: 0, max: 5 }),
  });

  test('is restorable again as soon as it is listed, whatever was believed of it', () => {
    fc.assert(
      fc.property(copy, (one) => {
        expect(afterCheck(one, true, NOW)).toMatchObject({ state: 'LISTED', absentChecks: 0 });
      }),
    );
  });

  test('is not believed gone before it was missed often enough', () => {
    fc.assert(
      fc.property(copy, (one) => {
        const after = afterCheck(one, false, NOW);
        if (after.absentChecks < ABSENCES_BELIEVED) expect(after.state).toBe(one.state);
      }),
    );
  });

  test('is never given up because of its date alone', () => {
    fc.assert(
      fc.property(copy, (one) => {
        expect(afterChecks(one, true, true, true).state).toBe('LISTED');
      }),
    );
  });

  test('that is believed gone is never offered for a restore', () => {
    fc.assert(
      fc.property(copy, (one) => {
        expect(afterChecks(one, false, false).state).not.toBe('LISTED');
      }),
    );
  });

  test('never expires before its date', () => {
    fc.assert(
      fc.property(copy, fc.array(fc.boolean(), { maxLength: 6 }), (one, looks) => {
        fc.pre(one.state !== 'EXPIRED');
        expect(afterChecks({ ...one, expiresAt: TOMORROW }, ...looks).state).not.toBe('EXPIRED');
      }),
    );
  });
});

describe('a session', () => {
  test('that runs, or of which nobody knows, has not ended', () => {
    expect(SESSION_STATES.filter((state) => !sessionEnded(state))).toEqual(['RUNNING', 'UNKNOWN']);
  });

  test('that ended with a warning has succeeded', () => {
    expect(SESSION_STATES.filter(sessionSucceeded)).toEqual(['SUCCEEDED', 'WARNING']);
  });

  test('gives its result a status of its own', () => {
    expect(SESSION_STATES.map(resultStatus)).toEqual([
      'IN_PROGRESS',
      'SUCCEEDED',
      'SUCCEEDED_WITH_WARNING',
      'FAILED',
      'CANCELLED',
      'UNKNOWN',
    ]);
  });
});
