import { proxyActivities } from '@temporalio/workflow';
import type { ExpirySummary, PeriodicActivities } from './contract.ts';

const { checkExpired } = proxyActivities<PeriodicActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '5s', maximumInterval: '1 minute', maximumAttempts: 5 },
});

/** Batches per run; what is left waits for the next one. */
const BATCHES_PER_RUN = 100;

/** Marks the backups of one manager that are past their date and gone. Its cost follows what is due. */
export async function checkExpiredResults(managerId: string): Promise<Omit<ExpirySummary, 'more'>> {
  let total = { checked: 0, expired: 0, missing: 0, overdue: 0 };
  for (let batch = 0; batch < BATCHES_PER_RUN; batch += 1) {
    const { more, ...found } = await checkExpired(managerId);
    total = {
      checked: total.checked + found.checked,
      expired: total.expired + found.expired,
      missing: total.missing + found.missing,
      overdue: total.overdue + found.overdue,
    };
    if (!more) break;
  }
  return total;
}
