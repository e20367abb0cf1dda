/**
 * Beginning, deciding, ending: the activities that change only the database.
 * @module
 */
import { proxyActivities } from '@temporalio/workflow';
import type { ControlActivities } from './contract.ts';

/** The database may be away for a while; an operation waits for it rather than fail. */
export const control = proxyActivities<ControlActivities>({
  startToCloseTimeout: '30s',
  retry: { initialInterval: '500ms', maximumInterval: '15s' },
});
