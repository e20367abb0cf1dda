import { describe, expect, test } from 'vitest';
import { isMade, namePrefix, objectName } from '../../../activities/backup-systems/avamar/names.ts';

const VM = '0198a1b2-0000-7000-8000-0123456789ab';

describe('names of what Holdfast makes in Avamar', () => {
  test('carry the marker, the whole id of the VM, the policy and the subtype', () => {
    expect(objectName('holdfast', VM, 'GOLD', 'WEEKLY_PLANNED')).toBe(`holdfast-${VM}-GOLD-weekly-planned`);
    expect(objectName('holdfast', VM, 'GOLD', 'DAILY').startsWith(namePrefix('holdfast', VM))).toBe(true);
  });

  test('never grow beyond 113 characters, whatever the code', () => {
    const longest = objectName('a'.repeat(20), VM, 'X'.repeat(500), 'WEEKLY_PLANNED');
    expect(longest.length).toBeLessThanOrEqual(113);
  });

  test('hold no character that Avamar refuses in a name', () => {
    expect(objectName('holdfast', VM, 'Gold & "silver"/50%', 'DAILY')).toMatch(/^[A-Za-z0-9.-]+$/);
  });

  test('differ for codes that differ only in what was replaced or cut off', () => {
    const codes = ['a/b', 'a-b', 'a_b', `${'c'.repeat(60)}1`, `${'c'.repeat(60)}2`];
    expect(new Set(codes.map((code) => objectName('holdfast', VM, code, 'DAILY'))).size).toBe(codes.length);
  });

  test('are told from names that only look like them', () => {
    expect(isMade('holdfast', objectName('holdfast', VM, 'GOLD', 'DAILY'))).toBe(true);
    expect(
      ['holdfast-gold', `other-${VM}-GOLD`, `holdfast-${VM}`, `holdfasts-${VM}-GOLD`].filter((name) =>
        isMade('holdfast', name),
      ),
    ).toEqual([]);
  });
});
