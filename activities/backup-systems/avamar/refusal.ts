import { ExternalSystemError } from '../../calls.ts';

/** What cannot be done, found out before or instead of asking: the same call will fail again. */
export function refused(message: string): ExternalSystemError {
  return new ExternalSystemError({ kind: 'REFUSED', system: 'BACKUP_SYSTEM', message });
}

/** Whether a call failed because the thing is not there. */
export function isAbsent(error: unknown): boolean {
  return error instanceof ExternalSystemError && error.status === 404;
}

/**
 * Looks at what a failed write has done.
 * @throws the write's own error when the look fails too: what became of the write is as unknown as it was, and the
 * look's error would say that nothing was done.
 */
export async function lookAfter<T>(writeError: unknown, look: () => Promise<T>): Promise<T> {
  try {
    return await look();
  } catch {
    throw writeError;
  }
}
