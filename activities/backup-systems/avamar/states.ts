/**
 * What the states and types of an Avamar activity mean.
 * @module
 */
import type { SessionKind, SessionState } from '../../../domain/results.ts';

/**
 * All 57 values of `Activity.state` in the Avamar 19.x swagger. That file names them and explains none: which are
 * still running, good, stopped or failed follows from their names. `UNKNOWN` and `UNDEFINED` decide nothing.
 */
export const ACTIVITY_STATES = {
  MIGRATING: 'RUNNING',
  WAITING: 'RUNNING',
  DID_NOT_CHECKIN: 'RUNNING',
  SUSPENDED: 'RUNNING',
  RUNNING: 'RUNNING',
  STALLED_WHILE_RUNNING: 'RUNNING',
  NO_STATUS_WHILE_RUNNING: 'RUNNING',

  SUCCESS: 'SUCCEEDED',
  SUCCESS_PROMOTED: 'SUCCEEDED',
  PARTIAL_SUCCESS: 'WARNING',
  PARTIAL_REPL: 'WARNING',
  PARTIAL_MIGRATE: 'WARNING',

  CANCELED: 'CANCELLED',
  DROP_OUT: 'CANCELLED',

  // Stopped by Avamar because a time ran out; nobody asked for it.
  ELAPSE_TIME_OUT: 'FAILED',
  START_TIME_OUT: 'FAILED',
  START_RESPONSE_TIME_OUT: 'FAILED',

  FAILURE: 'FAILED',
  REJECTED: 'FAILED',
  HARD_LIMIT_EXCEEDED: 'FAILED',
  NO_DATA: 'FAILED',
  NO_VM: 'FAILED',
  INSUFFICIENT_VC_PERMISSION: 'FAILED',
  VM_IN_FAULT_TOLERANCE_MODE: 'FAILED',
  OPTION_INCOMPATIBILITY: 'FAILED',
  MULT_BACKUP_TARGETS_NOT_SUPPORTED: 'FAILED',
  PLUGIN_DISABLED: 'FAILED',
  CLIENT_BACKUP_DISABLED: 'FAILED',
  CLIENT_NOT_REGISTERED: 'FAILED',
  SCHEDULED_BACKUP_DISABLED: 'FAILED',
  RESTORE_DISABLED: 'FAILED',
  VALIDATE_DISABLED: 'FAILED',
  EXPIRED_RETENTION: 'FAILED',
  NO_PROXY_FOR_VM_BACKUP: 'FAILED',
  ENTITY_MIGRATION_FAILED: 'FAILED',
  POST_MIGRATE_TASK_FAILED: 'FAILED',
  NO_PROXY_IMAGE_BACKUP_SUPPORT: 'FAILED',
  NO_PROXY_FOR_VCD_VAPP_BACKUP: 'FAILED',
  DUPLICATE_VM_TARGETS: 'FAILED',
  UPDATE_VM_CONFIG_FAILED: 'FAILED',
  CONFIG_FILES_VM_BACKUP: 'FAILED',
  REACH_INSTANT_RESTORE_LIMIT: 'FAILED',
  VMDISK_SIZE_ZERO: 'FAILED',
  USER_SELECTED_INVALID_PROXY: 'FAILED',
  MCS_CANNOT_SELECT_PROXY: 'FAILED',
  MCS_CANNOT_FIND_USABLE_PROXY: 'FAILED',
  RESTORE_REHEARSAL_NO_LAST_BACKUP: 'FAILED',
  HW_VERSION_NOT_SUPPORTED: 'FAILED',
  NO_DD: 'FAILED',
  DD_UNSUPPORTED: 'FAILED',
  DD_UNSUPPORTED_EXCHANGE_CLIENT: 'FAILED',
  UNSUPPORTED_CLIENT_FOR_SECURE_ONLY_MODE: 'FAILED',
  VERIFY_LOGIN_FAILURE: 'FAILED',
  VM_SUSPENDED_STATE: 'FAILED',
  NO_PROXY_FOR_INSTANCE_BACKUP: 'FAILED',

  UNKNOWN: 'UNKNOWN',
  UNDEFINED: 'UNKNOWN',
} as const satisfies Record<string, SessionState>;

/** What a state means; a state of a later version that is not in the table decides nothing. */
export function sessionState(activityState: string | null | undefined): SessionState {
  const state = (activityState ?? '').toUpperCase();
  return Object.hasOwn(ACTIVITY_STATES, state) ? ACTIVITY_STATES[state as keyof typeof ACTIVITY_STATES] : 'UNKNOWN';
}

/** Who began an activity; `UNCLEAR` when its type does not say. */
export type Origin = 'SCHEDULE' | 'ON_DEMAND' | 'UNCLEAR';

/** What an activity says of what it is. */
export interface ActivityWords {
  readonly type?: string | null | undefined;
  readonly pluginName?: string | null | undefined;
}

/**
 * What an activity is, or `undefined` for what is no session (validation, migration, tiering). `Activity.type` is free
 * text: the swagger's one example is `On-Demand Backup`; `Scheduled Backup` and `Restore` are the words that Avamar's
 * administration shows. What copies backups is the plug-in `Replicate`, whatever the type is called.
 */
export function activityKind(
  activity: ActivityWords,
): { readonly kind: SessionKind; readonly origin: Origin } | undefined {
  const words = (activity.type ?? '').toLowerCase();
  if (/validat|migrat|tier/.test(words)) return undefined;
  const origin = words.includes('scheduled') ? 'SCHEDULE' : words.includes('on-demand') ? 'ON_DEMAND' : 'UNCLEAR';
  if (words.includes('replic') || activity.pluginName?.toLowerCase() === 'replicate') {
    return { kind: 'REPLICATION', origin };
  }
  if (words.includes('restore')) return { kind: 'RESTORE', origin: 'ON_DEMAND' };
  return words.includes('backup') ? { kind: 'BACKUP', origin } : undefined;
}
