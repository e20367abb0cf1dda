/**
 * What the states and results of Veeam's sessions mean.
 * @module
 */
import type { SessionState } from '../../../domain/results.ts';

/** `BackupTaskSession.State`, and `State` of job and restore sessions: only these two have ended. */
const ENDED: ReadonlySet<string> = new Set(['completed', 'stopped']);

const RESULTS: Readonly<Record<string, SessionState>> = {
  success: 'SUCCEEDED',
  warning: 'WARNING',
  failed: 'FAILED',
};

/** Veeam ends what a person stopped as `Failed` and tells the difference in words alone. */
const STOPPED_BY_SOMEBODY = /\b(cancell?ed|stopped|terminated|aborted)\b.*\b(user|administrator)\b/i;

/** Whether a session has ended; a state of a later version is one that goes on. */
export function hasEnded(state: string | undefined): boolean {
  return ENDED.has(state?.toLowerCase() ?? '');
}

/** What a session's state, result and words mean; an end without a result decides nothing. */
export function sessionState(
  state: string | undefined,
  result: string | undefined,
  message: string | null,
): SessionState {
  if (!hasEnded(state)) return 'RUNNING';
  const end = RESULTS[result?.toLowerCase() ?? ''] ?? 'UNKNOWN';
  return end === 'FAILED' && message !== null && STOPPED_BY_SOMEBODY.test(message) ? 'CANCELLED' : end;
}
