/**
 * What the errors of a workflow mean.
 * @module
 */
import { ActivityFailure, ApplicationFailure, isCancellation } from '@temporalio/workflow';
import type { ErrorCode } from '../domain/errors.ts';
import type { OperationError } from '../domain/operations.ts';
import { FENCED, type SessionView } from './contract.ts';

/** The application failure at the bottom of an error, if there is one. */
export function applicationFailure(error: unknown): ApplicationFailure | undefined {
  if (error instanceof ApplicationFailure) return error;
  if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure) return error.cause;
  return undefined;
}

/** Whether the run has been overtaken: what it began belongs to another one. */
export function isFenced(error: unknown): boolean {
  return applicationFailure(error)?.type === FENCED;
}

/** An error as the operation shows it. */
export function errorOf(error: unknown): OperationError {
  if (isCancellation(error)) return { code: 'CANCELLED', message: 'the operation was cancelled' };
  const failure = applicationFailure(error);
  const told = failure?.details?.[0] as OperationError | undefined;
  if (told !== undefined) return told;
  if (failure !== undefined) return { code: failure.type ?? 'INTERNAL', message: failure.message };
  return { code: 'INTERNAL', message: String(error) };
}

/** Ends the story of a backup or a restore whose session did not do what it was begun for. */
export function requireSuccess(session: SessionView): void {
  if (session.succeeded) return;
  const code = failureCode(session);
  const message =
    session.state === 'CANCELLED'
      ? `the ${session.kind.toLowerCase()} was cancelled in the backup system`
      : `the backup system says: ${session.message ?? 'the session failed'}`;
  const error: OperationError = {
    code,
    message,
    ...(session.message === null ? {} : { vendorMessage: session.message }),
  };
  throw ApplicationFailure.nonRetryable(message, code, error);
}

/** Ends the story of a backup that was made and whose replication could not be begun. */
export function madeButNotReplicated(failure: unknown): never {
  if (isFenced(failure)) throw failure;
  const { code, message, vendorMessage } = errorOf(failure);
  // What was not refused may have been begun by a request whose answer was lost: then the watch finds it.
  const what = code === ('BACKUP_SYSTEM_REFUSED' satisfies ErrorCode) ? 'could not be begun' : 'was not seen to begin';
  const error: OperationError = {
    code: 'BACKUP_REPLICATION_NOT_STARTED' satisfies ErrorCode,
    message: `the backup was made and can be restored; its replication ${what}: ${message}`,
    ...(vendorMessage === undefined ? {} : { vendorMessage }),
  };
  throw ApplicationFailure.nonRetryable(error.message, error.code, error);
}

function failureCode(session: SessionView): ErrorCode {
  if (session.kind === 'RESTORE') return 'RESTORE_FAILED';
  return session.state === 'CANCELLED' ? 'BACKUP_CANCELLED' : 'BACKUP_FAILED';
}
