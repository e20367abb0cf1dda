/** The runs that belong to no operation: watching a backup system, checking it, and looking for expired backups. */
import { describe, test } from 'vitest';
import type { ExpirySummary, TickSummary, WatchInput } from '../../workflows/contract.ts';
import { History } from './history.ts';
import { withReplay } from './replay.ts';

const { follows } = withReplay();

describe('watching a backup system', () => {
  const input: WatchInput = {
    managerId: 'm1',
    managerName: 'avamar',
    busyMs: 5_000,
    idleMs: 30_000,
    resultsSyncMs: 600_000,
  };
  const watching = () => new History('watchManager', input);
  const seen = (summary: Partial<TickSummary> = {}): TickSummary => ({
    inFlight: 0,
    adopted: 0,
    ended: 0,
    refreshed: 0,
    needed: true,
    error: null,
    ...summary,
  });

  test('looks again and again, and ends when there is nothing to watch', () =>
    follows(
      watching()
        .does('tickManager', [input], seen({ inFlight: 3 }))
        .waits(5_000)
        .timePasses()
        .does('tickManager', [input], seen())
        .waits(5_000)
        .timePasses()
        .does('tickManager', [input], seen({ needed: false }))
        .succeeded(),
    ));

  test('goes on after a look that failed', () =>
    follows(
      watching()
        .does('tickManager', [input], seen({ error: 'BACKUP_SYSTEM_UNREACHABLE' }))
        .waits(5_000)
        .timePasses()
        .does('tickManager', [input], seen({ needed: false }))
        .succeeded(),
    ));

  test('begins a new run after 200 looks, so that a replay stays short', async () => {
    const history = watching();
    for (let look = 0; look < 200; look += 1) {
      history.does('tickManager', [input], seen()).waits(5_000).timePasses();
    }
    await follows(history.continuedAsNew(input));
  });
});

describe('looking for expired backups', () => {
  const batch = (more: boolean): ExpirySummary => ({ checked: 50, expired: 2, missing: 1, overdue: 3, more });

  test('goes on from batch to batch and tells the sum', () =>
    follows(
      new History('checkExpiredResults', 'm1')
        .does('checkExpired', ['m1'], batch(true))
        .does('checkExpired', ['m1'], batch(true))
        .does('checkExpired', ['m1'], batch(false))
        .succeeded({ checked: 150, expired: 6, missing: 3, overdue: 9 }),
    ));

  test('leaves the rest to the next run after 100 batches', async () => {
    const history = new History('checkExpiredResults', 'm1');
    for (let count = 0; count < 100; count += 1) history.does('checkExpired', ['m1'], batch(true));
    await follows(history.succeeded({ checked: 5_000, expired: 200, missing: 100, overdue: 300 }));
  });
});

test('a check of a backup system is tried once', () =>
  follows(
    new History('checkManager', 'm1')
      .fails('checkManager', ['m1'], { code: 'BACKUP_SYSTEM_UNREACHABLE', message: 'away' })
      .failed('BACKUP_SYSTEM_UNREACHABLE'),
  ));
