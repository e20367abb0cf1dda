import { describe, expect, test } from 'vitest';
import {
  backupReport,
  failedRunReport,
  isVmRestore,
  restoreReport,
  type SessionFacts,
  sessionFacts,
} from '../../../activities/backup-systems/veeam/session-reports.ts';
import { sessionState } from '../../../activities/backup-systems/veeam/states.ts';
import { parseXml } from '../../../activities/backup-systems/veeam/xml.ts';
import { RESTORE_SESSION, TASK_SESSION } from './samples.ts';

const VM = 'urn:VMware:Vm:4a0c1f5e-1111-4222-8333-944455566677.vm-12';
const NOW = new Date('2026-01-10T21:21:00Z');

const facts = (xml: string): SessionFacts => sessionFacts(parseXml(xml.trim())) as SessionFacts;
const reportOf = (xml: string, now = NOW) => backupReport(facts(xml), undefined, VM, now, 300);

describe('the state of a session', () => {
  test.each([
    ['Starting', 'None', null, 'RUNNING'],
    ['Working', 'None', null, 'RUNNING'],
    ['InProgress', undefined, null, 'RUNNING'],
    ['Pending', 'None', null, 'RUNNING'],
    ['Thinking', 'None', null, 'RUNNING'],
    ['Completed', 'Success', null, 'SUCCEEDED'],
    ['Stopped', 'Success', null, 'SUCCEEDED'],
    ['Stopped', 'Warning', 'slow', 'WARNING'],
    ['Stopped', 'Failed', 'no space', 'FAILED'],
    ['Completed', 'Failed', 'Operation was canceled by user ACME\\ann', 'CANCELLED'],
    ['Stopped', 'None', null, 'UNKNOWN'],
    ['Stopped', 'Odd', null, 'UNKNOWN'],
  ] as const)('%s %s (%s) is %s', (state, result, message, expected) => {
    expect(sessionState(state, result, message)).toBe(expected);
  });
});

describe('a backup', () => {
  test('is reported with its VM, its restore point and the vendor’s words', () => {
    expect(facts(TASK_SESSION).vmRef).toBe(VM);
    expect(reportOf(TASK_SESSION)).toEqual({
      vendorSessionId: 'urn:veeam:BackupTaskSession:1a0c1f5e-1111-4222-8333-944455566677',
      kind: 'BACKUP',
      vendorVmRef: VM,
      state: 'WARNING',
      progress: 100,
      scheduled: true,
      scheduledBy: null,
      startedAt: new Date('2026-01-10T21:15:20.123Z'),
      endedAt: new Date('2026-01-10T21:20:20.500Z'),
      vendorBackupId: 'urn:veeam:VmRestorePoint:3a0c1f5e-1111-4222-8333-944455566677',
      restoredVmRef: null,
      sizeBytes: 1_073_741_824,
      message: 'changed block tracking is off',
    });
  });

  test('runs until its restore point is known, but not for ever', () => {
    const late = TASK_SESSION.replace(/<Link Rel="Related".*?>/, '');
    expect(reportOf(late)).toMatchObject({ state: 'RUNNING', endedAt: null, progress: 99 });
    expect(reportOf(late, new Date('2026-01-10T21:26:00Z'))).toMatchObject({ state: 'WARNING', vendorBackupId: null });
  });

  test('that failed needs no restore point', () => {
    const failed = TASK_SESSION.replace(/<Link Rel="Related".*?>/, '').replace('>Warning<', '>Failed<');
    expect(reportOf(failed)).toMatchObject({ state: 'FAILED', endedAt: expect.any(Date) });
  });

  test('without an id or a time is none', () => {
    expect(sessionFacts(parseXml(TASK_SESSION.trim().replace(/UID="urn.*?"/, '')))).toBeUndefined();
    expect(
      sessionFacts(parseXml(TASK_SESSION.trim().replace(/<CreationTimeUTC>.*?<\/CreationTimeUTC>/, ''))),
    ).toBeUndefined();
  });
});

describe('a run without any task', () => {
  const run = facts(RESTORE_SESSION.replaceAll('RestoreSession', 'BackupJobSession').replace('>Success<', '>Failed<'));

  test('is reported when it has failed and no task can come any more', () => {
    expect(failedRunReport(run, VM, new Date('2026-01-11T08:05:30Z'))).toBeUndefined();
    expect(failedRunReport(run, VM, new Date('2026-01-11T08:07:30Z'))).toMatchObject({
      state: 'FAILED',
      vendorVmRef: VM,
    });
  });

  test('is none when it did not fail', () => {
    expect(failedRunReport({ ...run, result: 'Success' }, VM, new Date('2026-01-12T00:00:00Z'))).toBeUndefined();
  });
});

describe('a restore', () => {
  test('is reported with the machine that it made', () => {
    expect(restoreReport(facts(RESTORE_SESSION), VM)).toMatchObject({
      kind: 'RESTORE',
      state: 'SUCCEEDED',
      restoredVmRef: 'vm-77',
      vendorBackupId: 'urn:veeam:VmRestorePoint:3a0c1f5e-1111-4222-8333-944455566677',
      scheduled: false,
    });
  });

  test('that runs, or whose server does not tell it, names no machine', () => {
    const running = RESTORE_SESSION.replace('>Stopped<', '>Working<').replace('>Success<', '>None<');
    expect(restoreReport(facts(running), VM)).toMatchObject({ state: 'RUNNING', restoredVmRef: null, endedAt: null });
    const old = RESTORE_SESSION.replace(/<RestoredObjRef>.*?<\/RestoredObjRef>/, '');
    expect(restoreReport(facts(old), VM).restoredVmRef).toBeNull();
  });

  test('into another vCenter names no machine: the same MoRef is somebody else’s here', () => {
    const elsewhere = VM.replace('4a0c1f5e', '5b0c1f5e');
    expect(restoreReport(facts(RESTORE_SESSION), elsewhere).restoredVmRef).toBeNull();
    expect(restoreReport(facts(RESTORE_SESSION), '').restoredVmRef).toBeNull();
    expect(restoreReport(facts(RESTORE_SESSION), VM.toUpperCase()).restoredVmRef).toBe('vm-77');
  });

  test('of files is none of a VM', () => {
    expect(isVmRestore(facts(RESTORE_SESSION))).toBe(true);
    expect(isVmRestore(facts(RESTORE_SESSION.replace('RestoreVm', 'FileLevelRestore')))).toBe(false);
  });
});
