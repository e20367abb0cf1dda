import { describe, expect, test } from 'vitest';
import {
  type Activity,
  activityIdOf,
  replicationFor,
  vmSession,
} from '../../../activities/backup-systems/avamar/activity.ts';

const QUEUED = '2026-03-01T10:00:00.000Z';
const DONE = '2026-03-01T11:00:00.000Z';

const backup = (more: Partial<Activity> = {}): Activity => ({
  id: '9001',
  cid: 'c1',
  type: 'Scheduled Backup',
  state: 'SUCCESS',
  queuedDate: QUEUED,
  completedDate: DONE,
  groupId: 'G1',
  stats: { labelNumber: '7', bytesProtected: 2_048 },
  ...more,
});
const replication = (more: Partial<Activity> = {}): Activity => ({
  id: '9002',
  type: 'On-Demand Replication',
  pluginName: 'Replicate',
  state: 'PARTIAL_REPL',
  user: 'MCUser',
  groupId: 'G2',
  queuedDate: QUEUED,
  completedDate: DONE,
  errorCode: 10020,
  codeReason: 'Some backups were not copied.',
  ...more,
});

describe('a backup', () => {
  test('of a schedule names its group, its label and its size', () => {
    expect(vmSession(backup())?.report).toEqual({
      vendorSessionId: '9001',
      kind: 'BACKUP',
      vendorVmRef: 'c1',
      state: 'SUCCEEDED',
      progress: 100,
      scheduled: true,
      scheduledBy: 'G1',
      startedAt: new Date(QUEUED),
      endedAt: new Date(DONE),
      vendorBackupId: 'c1/7',
      restoredVmRef: null,
      sizeBytes: 2_048,
      message: null,
    });
  });

  test('on demand is begun by no policy, also when it takes the settings of a group', () => {
    expect(vmSession(backup({ type: 'On-Demand Backup' }))?.report).toMatchObject({
      scheduled: false,
      scheduledBy: null,
    });
  });

  test.each([
    [
      { errorCode: 10026, codeReason: 'Activity failed - client error(s).' },
      '10026: Activity failed - client error(s).',
    ],
    [{ errorCode: 0, codeReason: '', description: 'No Eligible Proxies' }, 'No Eligible Proxies'],
    [{ errorCode: 10055, codeReason: null }, '10055: NO_PROXY_FOR_VM_BACKUP'],
  ])('that failed says why: %j', (words, message) => {
    const failed = backup({ state: 'NO_PROXY_FOR_VM_BACKUP', stats: null, ...words });
    expect(vmSession(failed)?.report).toMatchObject({ state: 'FAILED', message, vendorBackupId: null });
  });

  test('shows its share of the bytes while it runs, and has no end then', () => {
    const running = backup({
      state: 'RUNNING',
      estimatedBytes: 1_000,
      stats: { labelNumber: '0', bytesProcessed: 999 },
    });
    expect(vmSession(running)?.report).toMatchObject({
      state: 'RUNNING',
      progress: 99,
      endedAt: null,
      vendorBackupId: null,
      message: null,
    });
  });

  test('that says not whose it is, or since when it runs, is no session', () => {
    expect(vmSession(backup({ cid: null }))).toBeUndefined();
    expect(vmSession(backup({ queuedDate: null }))).toBeUndefined();
    expect(vmSession(replication())).toBeUndefined();
  });
});

describe('a replication', () => {
  test('is a session for each client, with an end of its own', () => {
    const run = replication({
      children: [
        { id: '9003', cid: 'c1', state: 'SUCCESS', completedDate: '2026-03-01T10:30:00.000Z' },
        { id: '9004', cid: 'c2', state: 'FAILURE', errorCode: 10026, codeReason: 'It cannot be reached.' },
      ],
    });
    expect(replicationFor(run, 'c1')?.report).toMatchObject({
      vendorSessionId: '9002/c1',
      kind: 'REPLICATION',
      vendorVmRef: 'c1',
      state: 'SUCCEEDED',
      endedAt: new Date('2026-03-01T10:30:00.000Z'),
      scheduled: false,
    });
    expect(replicationFor(run, 'c2')?.report).toMatchObject({
      vendorSessionId: '9002/c2',
      state: 'FAILED',
      endedAt: new Date(DONE),
      message: '10026: It cannot be reached.',
    });
    expect(activityIdOf('9002/c2')).toBe('9002');
  });

  test('of several parts is done when all are, and is no better than the worst', () => {
    const stateOf = (...states: string[]) => {
      const children = states.map((state, index) => ({ id: `91${index}`, cid: 'c1', state, completedDate: DONE }));
      const isDone = !states.includes('RUNNING');
      return replicationFor(replication({ children, state: isDone ? 'SUCCESS' : 'RUNNING' }), 'c1')?.report.state;
    };
    expect(stateOf('SUCCESS', 'RUNNING', 'FAILURE')).toBe('RUNNING');
    expect(stateOf('SUCCESS', 'PARTIAL_REPL')).toBe('WARNING');
    expect(stateOf('PARTIAL_REPL', 'FAILURE')).toBe('FAILED');
    expect(stateOf('SUCCESS', 'SUCCESS')).toBe('SUCCEEDED');
  });

  test('ends as its run does where the client has no part, or one that was left without an end', () => {
    const ends = { state: 'WARNING', endedAt: new Date(DONE), message: '10020: Some backups were not copied.' };
    expect(replicationFor(replication(), 'c1')?.report).toMatchObject(ends);
    const left = replication({ children: [{ id: '9003', cid: 'c1', state: 'RUNNING' }] });
    expect(replicationFor(left, 'c1')?.report).toMatchObject(ends);
  });

  test('was begun by a schedule when its type says so, or says nothing and nobody asked for it', () => {
    const isScheduled = (more: Partial<Activity>) => replicationFor(replication(more), 'c1')?.report.scheduled;
    expect(isScheduled({ type: 'Scheduled Replication' })).toBe(true);
    expect(isScheduled({ type: 'Replication Source', user: '' })).toBe(true);
    expect(isScheduled({ type: 'Replication Source' })).toBe(false);
  });
});
