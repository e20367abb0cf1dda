import { ExternalSystemError } from '../../calls.ts';

/** What cannot be done, found out before or instead of asking: the same call will fail again. */
export function refused(message: string): ExternalSystemError {
  return new ExternalSystemError({ kind: 'REFUSED', system: 'BACKUP_SYSTEM', message });
}

/** Whether a call failed because the thing is not there. */
export function isAbsent(error: unknown): boolean {
  return error instanceof ExternalSystemError && error.status === 404;
}
