// Generated from the migrated database by `npm run codegen`. Do not edit.
import type { ColumnType, Generated } from 'kysely';
import type {
  BackupSchedule,
  ChosenPolicy,
  CompensationState,
  CopyState,
  Defaulted,
  DesiredConfiguration,
  Disk,
  IntentKind,
  IntentSubject,
  Json,
  NullableJson,
  OperationError,
  OperationKind,
  OperationOrigin,
  OperationRequest,
  OperationState,
  PolicyConfiguration,
  ResultStatus,
  Role,
  ScheduleRef,
  SeenVm,
  SessionKind,
  SessionState,
  Settlement,
  Severity,
  StepMade,
  StepName,
  StepState,
  StepUndoInput,
  StoredCheck,
  Tls,
  VmState,
  WithDefault,
} from './columns.ts';

/** Read as a Date; written as a Date or an ISO 8601 text. */
export type Timestamp = ColumnType<Date, Date | string, Date | string>;
/** A timestamp that the database fills when it is left out. */
export type DefaultTimestamp = ColumnType<Date, Date | string | undefined, Date | string>;

export interface AllowanceTable {
  created_at: DefaultTimestamp;
  enterprise_id: string;
  policy_id: string;
}

export interface BackupManagerTable {
  checked_at: Timestamp | null;
  created_at: DefaultTimestamp;
  credentials_sealed: string | null;
  credentials_updated_at: Timestamp | null;
  datacenter_id: string;
  endpoint: string | null;
  first_used_at: Timestamp | null;
  id: Generated<string>;
  identity: string | null;
  last_check: NullableJson<StoredCheck>;
  max_concurrent_writes: Generated<number>;
  name: string;
  tls: WithDefault<Tls>;
  type: string;
  version: Generated<number>;
}

export interface BackupPolicyTable {
  code: string;
  configurations: Json<readonly PolicyConfiguration[]>;
  created_at: DefaultTimestamp;
  datacenter_id: string;
  description: Generated<string>;
  id: Generated<string>;
  manager_id: string;
  name: string;
  replication: Generated<boolean>;
  retention_days: number;
  time_zone: string;
  version: Generated<number>;
}

export interface BackupResultTable {
  created_at: DefaultTimestamp;
  ended_at: Timestamp | null;
  enterprise_id: string;
  id: Generated<string>;
  manager_id: string;
  message: string | null;
  name: string;
  operation_id: string | null;
  origin: 'ON_DEMAND' | 'SCHEDULED' | 'DISCOVERED';
  policy_id: string | null;
  replication: Generated<boolean>;
  size_bytes: number | null;
  started_at: Timestamp;
  status: ResultStatus;
  type: Generated<string>;
  vendor_backup_id: string | null;
  vendor_vm_ref: string | null;
  vm_id: string;
}

export interface DatacenterTable {
  created_at: DefaultTimestamp;
  hypervisor_endpoint: string;
  hypervisor_type: string;
  id: Generated<string>;
  name: string;
  task_queue: Generated<string>;
  time_zone: string;
}

export interface EnterpriseTable {
  created_at: DefaultTimestamp;
  id: Generated<string>;
  name: string;
}

export interface EventTable {
  action: string;
  at: DefaultTimestamp;
  datacenter_id: string | null;
  details: WithDefault<Record<string, unknown>>;
  enterprise_id: string | null;
  entity: string;
  entity_id: string | null;
  error_code: string | null;
  id: Generated<string>;
  message: string;
  operation_id: string | null;
  principal: string | null;
  severity: Severity;
  vm_id: string | null;
}

export interface IdempotencyKeyTable {
  created_at: DefaultTimestamp;
  key: string;
  operation_id: string;
  request_hash: string;
  route: string;
  token_id: string;
}

export interface IntentTable {
  absent_since: Timestamp | null;
  claimed_at: Timestamp | null;
  claimed_epoch: number | null;
  created_at: DefaultTimestamp;
  id: Generated<string>;
  kind: IntentKind;
  manager_id: string;
  operation_id: string;
  outcome: 'FOUND' | 'ABSENT' | 'UNKNOWN' | null;
  resolved_at: Timestamp | null;
  session_ref: string | null;
  subject: WithDefault<IntentSubject>;
  vendor_time: Timestamp | null;
  vm_id: string;
}

export interface ManagerWatchTable {
  last_error: NullableJson<OperationError>;
  last_tick_at: Timestamp | null;
  manager_id: string;
  results_cursor: string | null;
  results_synced_at: Timestamp | null;
  sessions_watermark: Timestamp | null;
  tick: Generated<number>;
}

export interface OperationTable {
  attention_reason: string | null;
  bound_at: Timestamp | null;
  cancel_requested_at: Timestamp | null;
  cancel_requested_by: string | null;
  created_at: DefaultTimestamp;
  datacenter_id: string;
  desired: WithDefault<DesiredConfiguration>;
  enterprise_id: string;
  error: NullableJson<OperationError>;
  fence: number;
  finished_at: Timestamp | null;
  handed_over_at: Timestamp | null;
  id: Generated<string>;
  kind: OperationKind;
  lost: string | null;
  needs_attention: Generated<boolean>;
  origin: Defaulted<OperationOrigin>;
  point_of_no_return_at: Timestamp | null;
  progress: Generated<number>;
  recovery: Generated<number>;
  request: WithDefault<OperationRequest>;
  requested_by: string;
  run_id: string | null;
  seen: NullableJson<SeenVm>;
  settlement: NullableJson<Settlement>;
  started_at: Timestamp | null;
  state: Defaulted<OperationState>;
  vm_id: string;
  workflow_id: string;
}

export interface ReconcilerTable {
  closed_runs_watermark: Timestamp | null;
  full_pass_after: string | null;
  full_pass_at: Timestamp | null;
  singleton: Generated<boolean>;
}

export interface ResidueTable {
  cleared_at: Timestamp | null;
  cleared_by: string | null;
  created_at: DefaultTimestamp;
  description: string;
  id: Generated<string>;
  manager_id: string | null;
  operation_id: string;
  ref: string;
  remove_with: string;
  step: StepName;
  system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  system_name: string;
  vm_id: string;
}

export interface RestoreResultTable {
  created_at: DefaultTimestamp;
  ended_at: Timestamp | null;
  enterprise_id: string;
  id: Generated<string>;
  manager_id: string;
  message: string | null;
  operation_id: string | null;
  result_id: string | null;
  started_at: Timestamp;
  status: ResultStatus;
  vm_id: string;
}

export interface ResultCopyTable {
  absent_checks: Generated<number>;
  created_at: DefaultTimestamp;
  expires_at: Timestamp | null;
  expiry_estimated: Generated<boolean>;
  id: Generated<string>;
  last_checked_at: Timestamp | null;
  listed_at: DefaultTimestamp;
  location: string;
  location_name: string | null;
  overdue: Generated<boolean>;
  result_id: string;
  state: Defaulted<CopyState>;
  unseen_at: Timestamp | null;
  vendor_id: string;
  vendor_vm_ref: string;
}

export interface SessionTable {
  created_at: DefaultTimestamp;
  ended_at: Timestamp | null;
  id: Generated<string>;
  kind: SessionKind;
  last_seen_at: DefaultTimestamp;
  manager_id: string;
  message: string | null;
  notified_at: Timestamp | null;
  operation_id: string | null;
  progress: Generated<number>;
  restore_id: string | null;
  restored_vm_ref: string | null;
  result_id: string | null;
  size_bytes: number | null;
  started_at: Timestamp;
  state: SessionState;
  tick: Generated<number>;
  vendor_backup_id: string | null;
  vendor_session_id: string;
  vendor_vm_ref: string;
  vm_id: string;
}

export interface StepTable {
  activity_attempt: Generated<number>;
  attempt_ended_at: Timestamp | null;
  attempts: Generated<number>;
  compensation: CompensationState | null;
  compensation_attempts: Generated<number>;
  compensation_ended_at: Timestamp | null;
  compensation_error: NullableJson<OperationError>;
  compensation_started_at: Timestamp | null;
  ended_at: Timestamp | null;
  epoch: Generated<number>;
  error: NullableJson<OperationError>;
  first_attempt_at: Timestamp | null;
  made: NullableJson<StepMade>;
  manager_id: Generated<string>;
  name: StepName;
  operation_id: string;
  position: number;
  reason: string | null;
  state: Defaulted<StepState>;
  undo_activity_attempt: Generated<number>;
  undo_input: NullableJson<StepUndoInput>;
  write_permitted_at: Timestamp | null;
}

export interface TokenTable {
  created_at: DefaultTimestamp;
  enterprise_id: string | null;
  hash: Buffer;
  id: Generated<string>;
  name: string;
  revoked_at: Timestamp | null;
  role: Role;
}

export interface VirtualMachineTable {
  backup_policies: WithDefault<readonly ChosenPolicy[]>;
  cpu: number;
  created_at: DefaultTimestamp;
  datacenter_id: string;
  deleted_at: Timestamp | null;
  disks: Json<readonly Disk[]>;
  enterprise_id: string;
  id: Generated<string>;
  memory_mib: number;
  name: string;
  state: Defaulted<VmState>;
  updated_at: DefaultTimestamp;
  version: Generated<number>;
}

export interface VmLockTable {
  fence: Generated<number>;
  kind: OperationKind | null;
  operation_id: string | null;
  reason: string | null;
  since: Timestamp | null;
  vm_id: string;
}

export interface VmReferenceTable {
  id: Generated<string>;
  ref: string;
  system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  system_id: string;
  valid_from: DefaultTimestamp;
  valid_to: Timestamp | null;
  vm_id: string;
}

export interface VmScheduleTable {
  applied_at: DefaultTimestamp;
  manager_id: string;
  operation_id: string;
  ref: Json<ScheduleRef>;
  refresh_at: Timestamp | null;
  schedule: Json<BackupSchedule>;
  uncertain: Generated<boolean>;
  vm_id: string;
}

export interface WriteTicketTable {
  attempt: number;
  granted_at: Timestamp | null;
  holder: string;
  id: Generated<number>;
  leased_until: Timestamp;
  manager_id: string;
  undo: boolean;
}

export interface DB {
  allowance: AllowanceTable;
  backup_manager: BackupManagerTable;
  backup_policy: BackupPolicyTable;
  backup_result: BackupResultTable;
  datacenter: DatacenterTable;
  enterprise: EnterpriseTable;
  event: EventTable;
  idempotency_key: IdempotencyKeyTable;
  intent: IntentTable;
  manager_watch: ManagerWatchTable;
  operation: OperationTable;
  reconciler: ReconcilerTable;
  residue: ResidueTable;
  restore_result: RestoreResultTable;
  result_copy: ResultCopyTable;
  session: SessionTable;
  step: StepTable;
  token: TokenTable;
  virtual_machine: VirtualMachineTable;
  vm_lock: VmLockTable;
  vm_reference: VmReferenceTable;
  vm_schedule: VmScheduleTable;
  write_ticket: WriteTicketTable;
}
