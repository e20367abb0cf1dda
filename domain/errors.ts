/**
 * The catalogue of errors: one entry per stable code, one page per code in `docs/errors/`.
 * `legacy` is the code under which people who come from Abiquo know it.
 * @module
 */
import type { FieldProblem } from './policies.ts';

interface ErrorDefinition {
  readonly status: number;
  readonly title: string;
  readonly legacy?: string;
}

export const ERRORS = {
  // Requests
  INVALID_REQUEST: { status: 422, title: 'The request is not valid' },
  MALFORMED_JSON: { status: 400, title: 'The body is not JSON' },
  INVALID_CURSOR: { status: 400, title: 'The cursor does not belong to this list' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The body must be JSON' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNAUTHENTICATED: { status: 401, title: 'A valid token is needed', legacy: 'GEN-5' },
  FORBIDDEN: { status: 403, title: 'The token may not do this', legacy: 'GEN-15' },
  NOT_FOUND: { status: 404, title: 'There is no such thing' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The path does not know this method' },
  CONFLICT: { status: 409, title: 'The request conflicts with what is there' },
  IDEMPOTENCY_KEY_REUSED: { status: 422, title: 'The Idempotency-Key was used for another request' },
  INTERNAL: { status: 500, title: 'Holdfast failed', legacy: 'GEN-13' },
  DATABASE_UNAVAILABLE: { status: 503, title: 'The database cannot be reached' },
  TEMPORAL_UNAVAILABLE: { status: 503, title: 'Temporal cannot be reached' },

  // Virtual machines
  VM_LOCKED: { status: 409, title: 'The virtual machine is locked by another operation', legacy: 'VM-2' },
  VM_NOT_DEPLOYED: { status: 409, title: 'The virtual machine is not deployed', legacy: 'VM-3' },
  VM_STATE_NOT_ALLOWED: { status: 409, title: 'The state of the virtual machine does not allow this', legacy: 'VM-10' },
  VM_DEPLOY_NOT_ALLOWED: {
    status: 409,
    title: 'Only a virtual machine that is not allocated can be deployed',
    legacy: 'VM-7',
  },
  VM_DELETE_NOT_ALLOWED: { status: 409, title: 'The virtual machine cannot be deleted now', legacy: 'VM-8' },
  VM_UNDEPLOY_NOT_ALLOWED: {
    status: 409,
    title: 'The virtual machine cannot be undeployed from its state',
    legacy: 'VM-12',
  },
  VM_BEING_BACKED_UP: { status: 409, title: 'The backup system is working on the virtual machine' },
  VM_NAME_IN_USE: { status: 409, title: 'The enterprise has a virtual machine of this name' },
  NOTHING_TO_RECONFIGURE: { status: 422, title: 'The virtual machine already is as the request says' },
  VM_HARDWARE_DIFFERS: { status: 409, title: 'The hypervisor has other disks than Holdfast knows' },
  VM_DISK_CANNOT_SHRINK: { status: 422, title: 'A disk cannot become smaller' },

  // Backup policies and schedules
  BACKUP_NON_VALID_TYPE: { status: 422, title: 'The backup type is not offered', legacy: 'BC-5' },
  BACKUP_NON_VALID_DAY: { status: 422, title: 'Days do not belong here', legacy: 'BC-7' },
  BACKUP_NON_VALID_PERIOD: { status: 422, title: 'The backup subtype is not offered', legacy: 'BC-8' },
  BACKUP_DISKS: { status: 422, title: 'Disks cannot be chosen here', legacy: 'BC-10' },
  BACKUP_TIME_NOT_INDICATED: { status: 422, title: 'The time is missing', legacy: 'BC-11' },
  BACKUP_INVALID_DATE_FORMAT: { status: 422, title: 'The time is not written as HH:mm', legacy: 'BC-12' },
  BACKUP_INVALID_DATE_FORMAT_DEFINED: {
    status: 422,
    title: 'The date is not written as YYYY-MM-DDTHH:mm',
    legacy: 'BC-13',
  },
  BACKUP_NOT_FOUND: {
    status: 422,
    title: 'A value that the policy leaves to the virtual machine is missing',
    legacy: 'BC-14',
  },
  BACKUP_INVALID_HOURLY: { status: 422, title: 'The number of hours is not valid', legacy: 'BC-16' },
  BACKUP_INVALID_DISKS: { status: 422, title: 'The disks are not valid', legacy: 'BC-17' },
  BACKUP_WEEKLY_WITHOUT_DAY: { status: 422, title: 'A weekly backup needs a day', legacy: 'BC-19' },
  BACKUP_POLICY_NOT_FOUND: { status: 422, title: 'The policy is not there, or not allowed', legacy: 'BC-23' },
  BACKUP_DUPLICATED_CODE: { status: 409, title: 'The datacenter has a policy with this code', legacy: 'BC-24' },
  BACKUP_DELETE_WITH_VIRTUAL_MACHINES: { status: 409, title: 'Virtual machines use the policy', legacy: 'BC-25' },
  BACKUP_NOT_EDITABLE: {
    status: 422,
    title: 'The policy does not leave this value to the virtual machine',
    legacy: 'BC-26',
  },
  BACKUP_MULTIPLE_POLICIES_DISABLED: {
    status: 422,
    title: 'The backup system takes no further policy for a virtual machine',
    legacy: 'BC-27',
  },
  BACKUP_TOO_MANY_CONFIGURATIONS: {
    status: 422,
    title: 'The backup system takes no policy with so many configurations',
  },
  BACKUP_UPDATE_WITH_VIRTUAL_MACHINES: {
    status: 409,
    title: 'The configurations of a policy in use cannot change',
    legacy: 'BC-29',
  },
  BACKUP_NOT_UNIQUE: { status: 422, title: 'Something is there twice', legacy: 'BC-30' },
  BACKUP_INVALID_REPLICATION_OPTION: {
    status: 422,
    title: 'The backup system has no replication option',
    legacy: 'BC-31',
  },
  BACKUP_CONFIGURATION_NOT_FOUND: { status: 422, title: 'The policy has no such configuration', legacy: 'BC-32' },
  BACKUP_POLICY_CANNOT_BE_RESTRICTED: {
    status: 409,
    title: 'Virtual machines of the enterprise use the policy',
    legacy: 'LIMIT-25',
  },

  // Backup managers
  BACKUP_PLUGIN_NOT_LOADED: { status: 409, title: 'The plugin of the backup manager is not loaded', legacy: 'BC-38' },
  BACKUP_MANAGER_ALREADY_EXISTS: {
    status: 409,
    title: 'The datacenter has a backup manager of this name',
    legacy: 'BC-39',
  },
  BACKUP_MANAGER_NOT_FOUND: { status: 422, title: 'There is no such backup manager', legacy: 'BC-40' },
  BACKUP_MANAGER_IN_USE: { status: 409, title: 'Policies or results belong to the backup manager' },
  BACKUP_MANAGER_TYPE_IMMUTABLE: { status: 422, title: 'The type of a backup manager cannot change' },
  BACKUP_SYSTEM_UNREACHABLE: { status: 502, title: 'The backup system cannot be reached' },
  BACKUP_SYSTEM_LOGIN_REFUSED: { status: 502, title: 'The backup system refuses the credentials' },
  BACKUP_SYSTEM_REFUSED: { status: 502, title: 'The backup system refuses the request' },
  BACKUP_SYSTEM_FAILED: { status: 502, title: 'The backup system failed' },
  BACKUP_SYSTEM_CHANGED: { status: 502, title: 'Another backup system answers at the endpoint' },
  CHECK_TIMED_OUT: { status: 504, title: 'The check of the backup manager takes too long' },

  // Backups and restores
  BACKUP_RESTORE_NOT_FOUND: { status: 404, title: 'There is no such backup result', legacy: 'BC-20' },
  BACKUP_STATUS_FOR_RESTORE: {
    status: 409,
    title: 'Only a finished backup that still exists can be restored',
    legacy: 'BC-22',
  },
  BACKUP_REQUEST_VM_MUST_BE_DEPLOYED: {
    status: 409,
    title: 'A backup needs a deployed virtual machine',
    legacy: 'BC-42',
  },
  BACKUP_RESTORE_VM_MUST_BE_DEPLOYED: {
    status: 409,
    title: 'A restore needs a deployed virtual machine',
    legacy: 'BC-43',
  },
  BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF: {
    status: 409,
    title: 'The virtual machine must be powered off',
    legacy: 'BC-44',
  },
  BACKUP_ONDEMAND_NOT_SUPPORTED: { status: 409, title: 'The plugin has no backup on demand', legacy: 'BC-46' },
  BACKUP_POLICY_AMBIGUOUS: { status: 422, title: 'The request must name the policy of the backup' },
  BACKUP_FAILED: { status: 502, title: 'The backup failed in the backup system' },
  BACKUP_REPLICATION_NOT_STARTED: { status: 502, title: 'The backup was made; its replication could not be begun' },
  BACKUP_CANCELLED: { status: 502, title: 'The backup was cancelled in the backup system' },
  RESTORE_FAILED: { status: 502, title: 'The restore failed in the backup system' },
  RESTORE_NOT_STARTED: { status: 502, title: 'The restore was not started' },
  RESTORED_VM_UNCLEAR: { status: 502, title: 'Nobody can tell which machine was restored' },
  SUPERSEDED_VM_IN_USE: { status: 409, title: 'The machine that a restore has replaced is switched on' },
  SESSION_LOST: { status: 502, title: 'The backup system no longer knows the session' },

  // Operations
  WAITING: { status: 409, title: 'The step waits, and is tried again' },
  HYPERVISOR_UNREACHABLE: { status: 502, title: 'The hypervisor cannot be reached' },
  HYPERVISOR_REFUSED: { status: 502, title: 'The hypervisor refuses the request' },
  HYPERVISOR_FAILED: { status: 502, title: 'The hypervisor failed' },
  HYPERVISOR_VM_NOT_FOUND: { status: 404, title: 'The hypervisor has no such machine' },
  HYPERVISOR_VM_IN_USE: { status: 409, title: 'The machine belongs to another virtual machine already' },
  NOT_STARTED_IN_TIME: { status: 503, title: 'The operation could not be started in time' },
  RUN_LOST: { status: 500, title: 'The run of the operation ended without finishing it' },
  CANCELLED: { status: 409, title: 'The operation was cancelled' },
  OPERATION_ENDED: { status: 409, title: 'The operation has ended' },
  OPERATION_NOT_SETTLEABLE: { status: 409, title: 'The operation can still find out how it ends' },
  OPERATION_SETTLED: { status: 409, title: 'An operator decided how the operation ends' },
  NOTHING_TO_CLEAN: { status: 409, title: 'The operation has left nothing behind' },
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof ERRORS;

/** The definition of a code. */
export function errorDefinition(code: ErrorCode): ErrorDefinition {
  return ERRORS[code];
}

/** Whether a text is a code of the catalogue. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/**
 * An error that a client is told about: what happened, why, and what to do, with a code of the catalogue.
 * @example throw new HoldfastError('VM_LOCKED', 'web-1 is locked by a backup that began at 10:04', { holder });
 */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError';
  readonly code: ErrorCode;
  /** Members added to the problem document, for example the holder of a lock. */
  readonly extra: Readonly<Record<string, unknown>>;
  readonly problems: readonly FieldProblem[];

  constructor(
    code: ErrorCode,
    message: string,
    extra: Readonly<Record<string, unknown>> = {},
    problems: readonly FieldProblem[] = [],
  ) {
    super(message);
    this.code = code;
    this.extra = extra;
    this.problems = problems;
  }
}
