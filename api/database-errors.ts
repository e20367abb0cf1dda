/**
 * What PostgreSQL's refusals mean to a client. The database is the last to decide what is unique or still in use, so
 * its answer is taken, and not asked for beforehand.
 * @module
 */
import { HoldfastError } from '../domain/errors.ts';

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';

/** Shutting down, starting up, out of connections, or a broken connection (class 08). */
const UNAVAILABLE = /^(57P0[123]|53300|08...)$/;

const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EPIPE', 'ENOENT']);

/** The driver and its pool say these without a code. */
const NO_CONNECTION =
  /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection/;

const UNIQUE: Readonly<Record<string, () => HoldfastError>> = {
  enterprise_name_key: () => taken('/name', 'CONFLICT', 'There is an enterprise of this name'),
  datacenter_name_key: () => taken('/name', 'CONFLICT', 'There is a datacenter of this name'),
  backup_manager_datacenter_id_name_key: () =>
    taken('/name', 'BACKUP_MANAGER_ALREADY_EXISTS', 'The datacenter has a backup manager of this name'),
  backup_policy_datacenter_id_code_key: () =>
    taken('/code', 'BACKUP_DUPLICATED_CODE', 'The datacenter has a backup policy with this code'),
  virtual_machine_name: () => taken('/name', 'VM_NAME_IN_USE', 'The enterprise has a virtual machine of this name'),
};

function taken(pointer: string, code: HoldfastError['code'], what: string): HoldfastError {
  return new HoldfastError(code, `${what}. Choose another one.`, {}, [{ pointer, detail: 'is taken', code }]);
}

/** The error for the client, or `undefined` when PostgreSQL did not mean the client. */
export function fromDatabase(error: unknown): HoldfastError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, constraint } = error as { code?: string; constraint?: string };
  if (code === UNIQUE_VIOLATION && constraint !== undefined) return UNIQUE[constraint]?.();
  if (code === FOREIGN_KEY_VIOLATION && constraint?.endsWith('_manager_id_fkey') === true) {
    return new HoldfastError(
      'BACKUP_MANAGER_IN_USE',
      'Policies, results or schedules belong to the backup manager. Delete its policies first; a manager with results stays, since the results can be restored only through it.',
    );
  }
  if (isUnavailable(error, code)) {
    return new HoldfastError('DATABASE_UNAVAILABLE', 'The database cannot be reached. Try again in a few seconds.');
  }
  return undefined;
}

function isUnavailable(error: Error, code: string | undefined): boolean {
  if (code !== undefined && (UNAVAILABLE.test(code) || NETWORK.has(code))) return true;
  return error instanceof AggregateError
    ? error.errors.some(
        (inner: unknown) => inner instanceof Error && isUnavailable(inner, (inner as { code?: string }).code),
      )
    : NO_CONNECTION.test(error.message);
}
