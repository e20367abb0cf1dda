import { describe, expect, test } from 'vitest';
import { ACTIVITY_STATES, activityKind, sessionState } from '../../../activities/backup-systems/avamar/states.ts';

describe('states of an activity', () => {
  test('all 57 of the 19.x API are decided', () => {
    expect(Object.keys(ACTIVITY_STATES)).toHaveLength(57);
  });

  test('are read whatever their case', () => {
    expect(sessionState('running')).toBe('RUNNING');
    expect(sessionState('SUCCESS')).toBe('SUCCEEDED');
    expect(sessionState('PARTIAL_SUCCESS')).toBe('WARNING');
    expect(sessionState('CANCELED')).toBe('CANCELLED');
    expect(sessionState('NO_VM')).toBe('FAILED');
  });

  test('decide nothing when they are missing or of a later version', () => {
    for (const state of [undefined, null, '', 'UNKNOWN', 'UNDEFINED', 'SOMETHING_NEW', 'toString']) {
      expect(sessionState(state)).toBe('UNKNOWN');
    }
  });
});

describe('the type of an activity', () => {
  test('tells backups from restores, and who began them', () => {
    expect(activityKind('On-Demand Backup')).toEqual({ kind: 'BACKUP', origin: 'ON_DEMAND' });
    expect(activityKind('Scheduled Backup')).toEqual({ kind: 'BACKUP', origin: 'SCHEDULE' });
    expect(activityKind('Backup')).toEqual({ kind: 'BACKUP', origin: 'UNCLEAR' });
    expect(activityKind('Restore')).toEqual({ kind: 'RESTORE', origin: 'ON_DEMAND' });
  });

  test('leaves out what is neither', () => {
    const others = [
      'Backup Validation',
      'Validate',
      'Replication Source',
      'On-Demand Replication',
      '',
      null,
      undefined,
    ];
    for (const type of others) expect(activityKind(type)).toBeUndefined();
  });
});
