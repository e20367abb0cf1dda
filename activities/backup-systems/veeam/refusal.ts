/**
 * Errors that the plugin finds itself, and what the Enterprise Manager means by some of its own.
 * @module
 */
import { ExternalSystemError, type FailureKind } from '../../calls.ts';

/** What cannot be done, found out before or instead of asking: the same call will fail again. */
export function refused(message: string): ExternalSystemError {
  return failure('REFUSED', message);
}

/** An error of a kind, in our words and where there are any in the vendor's. */
export function failure(kind: FailureKind, message: string, vendorMessage?: string): ExternalSystemError {
  return new ExternalSystemError({ kind, system: 'BACKUP_SYSTEM', message, vendorMessage });
}

const ABSENT = /not found|does not exist|doesn't exist|no longer exists|cannot find|unable to find|there is no/i;

/**
 * Whether a call failed because the thing is not there. The Enterprise Manager says so by 404, and in versions that
 * other clients know by 400 or 500 with words; whoever acts on words alone looks once more.
 */
export function isAbsent(error: unknown): boolean {
  if (!(error instanceof ExternalSystemError)) return false;
  if (error.status === 404) return true;
  return (error.status === 400 || error.status === 500) && ABSENT.test(error.vendorMessage ?? '');
}

/** Whether the answer to a write was lost. */
export function isLost(error: unknown): boolean {
  return error instanceof ExternalSystemError && error.kind === 'NO_ANSWER';
}
