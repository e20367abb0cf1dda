import { proxyActivities } from '@temporalio/workflow';
import type { PeriodicActivities } from './contract.ts';

const activities = proxyActivities<PeriodicActivities>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '30s',
  retry: { maximumAttempts: 1 },
});

/** Looks whether a backup system can be used, and stores what it found with the manager. */
export async function checkManager(managerId: string): Promise<void> {
  await activities.checkManager(managerId);
}
