import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ACTIVITY_STATES, activityKind, sessionState } from '../../../activities/backup-systems/avamar/states.ts';

const SWAGGER = join(import.meta.dirname, '../../../../shared/specs/avamar/avamar-19-api-v1.swagger.json');
const Swagger = z.object({
  definitions: z.object({
    Activity: z.object({ properties: z.object({ state: z.object({ enum: z.array(z.string()) }) }) }),
  }),
});

/** The vendor's list where its file is present; else ours, which was held against it. */
function vendorStates(): string[] {
  if (!existsSync(SWAGGER)) return Object.keys(ACTIVITY_STATES);
  return Swagger.parse(JSON.parse(readFileSync(SWAGGER, 'utf8'))).definitions.Activity.properties.state.enum;
}

describe('states of an activity', () => {
  test('all 57 of the 19.x API are decided, and no other', () => {
    expect(Object.keys(ACTIVITY_STATES)).toHaveLength(57);
    expect(Object.keys(ACTIVITY_STATES).toSorted()).toEqual(vendorStates().toSorted());
  });

  test('are read whatever their case', () => {
    expect(sessionState('running')).toBe('RUNNING');
    expect(sessionState('SUCCESS')).toBe('SUCCEEDED');
    expect(sessionState('PARTIAL_SUCCESS')).toBe('WARNING');
    expect(sessionState('PARTIAL_REPL')).toBe('WARNING');
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
  const kindOf = (type: string | null | undefined, pluginName?: string) => activityKind({ type, pluginName });

  test('tells backups from restores and replications, and who began them', () => {
    expect(kindOf('On-Demand Backup')).toEqual({ kind: 'BACKUP', origin: 'ON_DEMAND' });
    expect(kindOf('Scheduled Backup')).toEqual({ kind: 'BACKUP', origin: 'SCHEDULE' });
    expect(kindOf('Backup')).toEqual({ kind: 'BACKUP', origin: 'UNCLEAR' });
    expect(kindOf('Restore')).toEqual({ kind: 'RESTORE', origin: 'ON_DEMAND' });
    expect(kindOf('Replication Source')).toEqual({ kind: 'REPLICATION', origin: 'UNCLEAR' });
    expect(kindOf('Scheduled Replication')).toEqual({ kind: 'REPLICATION', origin: 'SCHEDULE' });
  });

  test('is a replication when the plug-in is the one that copies backups, whatever it is called', () => {
    expect(kindOf('On-Demand Backup', 'Replicate')).toEqual({ kind: 'REPLICATION', origin: 'ON_DEMAND' });
    expect(kindOf('', 'Replicate')).toEqual({ kind: 'REPLICATION', origin: 'UNCLEAR' });
  });

  test('leaves out what is none of these', () => {
    for (const type of ['Backup Validation', 'Validate', 'Migrate', 'Cloud Tier', '', null, undefined]) {
      expect(kindOf(type)).toBeUndefined();
    }
  });
});
