import { continueAsNew, proxyActivities, setCurrentDetails, sleep, workflowInfo } from '@temporalio/workflow';
import type { PeriodicActivities, WatchInput } from './contract.ts';

const { tickManager } = proxyActivities<PeriodicActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '2s', maximumInterval: '30s' },
});

/** Looks per run: the history stays short, so that a replay costs little. */
const LOOKS_PER_RUN = 200;

/**
 * Watches one backup system for all virtual machines at once, so that ten thousand backups cost it no more calls than
 * ten. Ends when there is nothing left to watch for; it is started again when there is.
 */
export async function watchManager(input: WatchInput): Promise<void> {
  for (let look = 0; look < LOOKS_PER_RUN && !workflowInfo().continueAsNewSuggested; look += 1) {
    const seen = await tickManager.executeWithOptions({ summary: `look at ${input.managerName}` }, [input]);
    setCurrentDetails(
      seen.error === null
        ? `watching **${input.managerName}**: ${seen.inFlight} sessions in flight`
        : `watching **${input.managerName}**: the last look failed with ${seen.error}`,
    );
    if (!seen.needed) return;
    await sleep(input.busyMs, { summary: 'until the next look' });
  }
  await continueAsNew<typeof watchManager>(input);
}
