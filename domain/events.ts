/**
 * Events: the audit trail and the outbound stream. Entity and action names are Abiquo's where it has one.
 * @module
 */
import type { OperationKind } from './operations.ts';

export type Severity = 'INFO' | 'WARN' | 'ERROR';

export type EventEntity =
  | 'ENTERPRISE'
  | 'DATACENTER'
  | 'BACKUP_MANAGER'
  | 'BACKUP_POLICY'
  | 'BACKUP_RESULT'
  | 'VIRTUAL_MACHINE'
  | 'TOKEN';

/** An event that is about to be written; ids and time are the database's. */
export interface NewEvent {
  readonly entity: EventEntity;
  readonly action: string;
  readonly severity: Severity;
  /** One sentence for a person. */
  readonly message: string;
  readonly enterpriseId?: string | null;
  readonly datacenterId?: string | null;
  readonly vmId?: string | null;
  /** The id of the thing that the event is about. */
  readonly entityId?: string | null;
  readonly operationId?: string | null;
  readonly errorCode?: string | null;
  /** Vendor session, backup name, date, size, the vendor's message. */
  readonly details?: Record<string, unknown>;
  /** Who did it: a token's name, or the backup system. */
  readonly principal?: string | null;
}

/** The action of the event that a request for a backup with replication writes, and of the one at a replication's end. */
export const REPLICATION_ACTIONS = {
  begin: 'REQUEST_BACKUP_WITH_REPLICATION',
  end: 'BACKUP_WITH_REPLICATION_FINISH',
} as const;

/** The action of the event that a request for an operation writes, and of the one that its end writes. */
export const OPERATION_ACTIONS: Readonly<Record<OperationKind, { readonly begin: string; readonly end: string }>> = {
  REGISTER: { begin: 'REGISTER', end: 'REGISTER_FINISH' },
  DEPLOY: { begin: 'DEPLOY', end: 'DEPLOY_FINISH' },
  RECONFIGURE: { begin: 'RECONFIGURE', end: 'RECONFIGURE_FINISH' },
  UNDEPLOY: { begin: 'UNDEPLOY', end: 'UNDEPLOY_FINISH' },
  POWER_ON: { begin: 'POWER_ON', end: 'POWER_ON_FINISH' },
  POWER_OFF: { begin: 'POWER_OFF', end: 'POWER_OFF_FINISH' },
  BACKUP: { begin: 'REQUEST_BACKUP', end: 'BACKUP_FINISH' },
  SCHEDULED_BACKUP: { begin: 'SCHEDULED_BACKUP_START', end: 'SCHEDULED_BACKUP' },
  RESTORE: { begin: 'RESTORE_BACKUP', end: 'RESTORE_FINISH' },
  SCHEDULE_REFRESH: { begin: 'SCHEDULE_REFRESH', end: 'SCHEDULE_REFRESH_FINISH' },
  CLEANUP: { begin: 'CLEANUP', end: 'CLEANUP_FINISH' },
};
