import { type Kysely, sql } from 'kysely';

/**
 * The tables of the first release. Times are `timestamptz(3)`: a JavaScript Date holds milliseconds, and a cursor made
 * from a finer time would skip rows. Ids are uuidv7: they sort by creation and their tails are random.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table enterprise (
      id uuid primary key default uuidv7(),
      name text not null unique,
      created_at timestamptz(3) not null default now()
    );

    create table token (
      id uuid primary key default uuidv7(),
      enterprise_id uuid references enterprise (id),
      role text not null check (role in ('CLOUD_ADMIN', 'ENTERPRISE_ADMIN', 'USER', 'PLATFORM')),
      name text not null,
      -- SHA-256 of the token: tokens are 256 random bits, so a slow hash would add nothing.
      hash bytea not null unique,
      created_at timestamptz(3) not null default now(),
      revoked_at timestamptz(3),
      check ((role in ('CLOUD_ADMIN', 'PLATFORM')) = (enterprise_id is null))
    );

    create table datacenter (
      id uuid primary key default uuidv7(),
      name text not null unique,
      time_zone text not null,
      hypervisor_type text not null,
      hypervisor_endpoint text not null,
      -- A worker that stands near the datacenter may poll a queue of its own.
      task_queue text not null default 'holdfast',
      created_at timestamptz(3) not null default now()
    );

    create table backup_manager (
      id uuid primary key default uuidv7(),
      datacenter_id uuid not null references datacenter (id),
      type text not null,
      name text not null,
      endpoint text,
      -- Sealed with AES-256-GCM, bound to this row; never leaves the activity that uses it.
      credentials_sealed text,
      credentials_updated_at timestamptz(3),
      -- Trust in the endpoint's certificate: {"mode":"system"}, {"mode":"ca","pem":…} or {"mode":"fingerprint","sha256":…}.
      tls jsonb not null default '{"mode":"system"}',
      max_concurrent_writes integer not null default 2 check (max_concurrent_writes > 0),
      -- What the backup system calls itself, stored by the first check; another answer means another system.
      identity text,
      last_check jsonb,
      checked_at timestamptz(3),
      -- Set by the first operation or check; from then on the manager is watched.
      first_used_at timestamptz(3),
      version integer not null default 1,
      created_at timestamptz(3) not null default now(),
      unique (datacenter_id, name)
    );
    create unique index backup_manager_tail on backup_manager (right(id::text, 8));

    create table backup_policy (
      id uuid primary key default uuidv7(),
      datacenter_id uuid not null references datacenter (id),
      manager_id uuid not null references backup_manager (id),
      code text not null,
      name text not null,
      description text not null default '',
      replication boolean not null default false,
      time_zone text not null,
      retention_days integer not null check (retention_days > 0),
      configurations jsonb not null,
      version integer not null default 1,
      created_at timestamptz(3) not null default now(),
      unique (datacenter_id, code)
    );
    create index backup_policy_manager on backup_policy (manager_id);

    create table allowance (
      enterprise_id uuid not null references enterprise (id),
      policy_id uuid not null references backup_policy (id) on delete cascade,
      created_at timestamptz(3) not null default now(),
      primary key (enterprise_id, policy_id)
    );

    create table virtual_machine (
      id uuid primary key default uuidv7(),
      enterprise_id uuid not null references enterprise (id),
      datacenter_id uuid not null references datacenter (id),
      name text not null,
      cpu integer not null check (cpu > 0),
      memory_mib integer not null check (memory_mib > 0),
      disks jsonb not null,
      backup_policies jsonb not null default '[]',
      state text not null default 'NOT_ALLOCATED'
        check (state in ('NOT_ALLOCATED', 'ALLOCATED', 'CONFIGURED', 'ON', 'PAUSED', 'OFF', 'UNKNOWN')),
      version integer not null default 1,
      created_at timestamptz(3) not null default now(),
      updated_at timestamptz(3) not null default now(),
      deleted_at timestamptz(3)
    );
    create unique index virtual_machine_name on virtual_machine (enterprise_id, name) where deleted_at is null;
    create unique index virtual_machine_tail on virtual_machine (right(id::text, 8));
    create index virtual_machine_by_enterprise on virtual_machine (enterprise_id, created_at desc, id desc);
    create index virtual_machine_by_policy on virtual_machine using gin (backup_policies jsonb_path_ops);

    create table operation (
      id uuid primary key default uuidv7(),
      vm_id uuid not null references virtual_machine (id),
      enterprise_id uuid not null references enterprise (id),
      datacenter_id uuid not null references datacenter (id),
      kind text not null,
      origin text not null default 'HOLDFAST' check (origin in ('HOLDFAST', 'BACKUP_SYSTEM')),
      state text not null default 'REQUESTED' check (state in (
        'REQUESTED', 'RUNNING', 'UNKNOWN_OUTCOME',
        'SUCCEEDED', 'ROLLED_BACK', 'ROLLED_BACK_WITH_RESIDUE', 'FAILED', 'CANCELLED')),
      fence integer not null,
      -- What the request asks for beyond its kind: the result to restore, the policy to back up by.
      request jsonb not null default '{}',
      -- The hardware and backup configuration that the VM shall have; the VM's row changes when the operation ends.
      desired jsonb not null default '{}',
      workflow_id text not null,
      recovery integer not null default 0,
      -- Bound once, by the run's first activity: a reset run has another id and can change nothing.
      run_id text,
      bound_at timestamptz(3),
      requested_by text not null,
      cancel_requested_at timestamptz(3),
      cancel_requested_by text,
      point_of_no_return_at timestamptz(3),
      needs_attention boolean not null default false,
      attention_reason text,
      progress integer not null default 0 check (progress between 0 and 100),
      error jsonb,
      created_at timestamptz(3) not null default now(),
      started_at timestamptz(3),
      finished_at timestamptz(3),
      check ((finished_at is not null) = (state in ('SUCCEEDED', 'ROLLED_BACK', 'ROLLED_BACK_WITH_RESIDUE', 'FAILED', 'CANCELLED')))
    );
    create unique index operation_tail on operation (right(id::text, 8));
    -- The lock excludes; this says it once more.
    create unique index operation_one_open_per_vm on operation (vm_id) where finished_at is null;
    create index operation_by_vm on operation (vm_id, created_at desc, id desc);
    create index operation_by_enterprise on operation (enterprise_id, created_at desc, id desc);
    create index operation_newest on operation (created_at desc, id desc);
    create index operation_open on operation (created_at) where finished_at is null;
    create unique index operation_workflow on operation (workflow_id);

    -- Never deleted: its fence would start again.
    create table vm_lock (
      vm_id uuid primary key references virtual_machine (id),
      fence integer not null default 0,
      operation_id uuid unique references operation (id),
      kind text,
      reason text,
      since timestamptz(3),
      check ((operation_id is null) = (since is null))
    );

    create table step (
      operation_id uuid not null references operation (id),
      position integer not null,
      name text not null,
      -- Several managers of one VM: one BACKUP_SCHEDULE each. The nil uuid: the step concerns no manager.
      manager_id uuid not null default '00000000-0000-0000-0000-000000000000',
      state text not null default 'PENDING' check (state in ('PENDING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED')),
      reason text,
      attempts integer not null default 0,
      -- The newest attempt of the activity that has begun: an older one that begins late is turned away.
      activity_attempt integer not null default 0,
      undo_activity_attempt integer not null default 0,
      -- Grows with every attempt, forward or undo; a permission to write needs the newest.
      epoch integer not null default 0,
      -- When the newest attempt was last allowed to write: what came of that is certain 25 s later.
      write_permitted_at timestamptz(3),
      -- When the newest attempt ended by its own word; null while it runs, or when it died.
      attempt_ended_at timestamptz(3),
      -- What the undo needs; written once, before the first effect.
      undo_input jsonb,
      -- What the step made, for example the backup system's reference.
      made jsonb,
      error jsonb,
      first_attempt_at timestamptz(3),
      ended_at timestamptz(3),
      compensation text check (compensation in ('RUNNING', 'DONE', 'FAILED', 'SKIPPED')),
      compensation_attempts integer not null default 0,
      compensation_error jsonb,
      compensation_started_at timestamptz(3),
      compensation_ended_at timestamptz(3),
      primary key (operation_id, name, manager_id)
    );

    -- What a hypervisor or a backup system calls a VM. Never deleted: old sessions and results are matched against it.
    create table vm_reference (
      id uuid primary key default uuidv7(),
      vm_id uuid not null references virtual_machine (id),
      system text not null check (system in ('HYPERVISOR', 'BACKUP_SYSTEM')),
      -- A datacenter for HYPERVISOR, a backup manager for BACKUP_SYSTEM.
      system_id uuid not null,
      ref text not null,
      valid_from timestamptz(3) not null default now(),
      valid_to timestamptz(3),
      unique (system, system_id, ref, vm_id)
    );
    create index vm_reference_lookup on vm_reference (system_id, ref);
    create index vm_reference_by_vm on vm_reference (vm_id);

    -- The schedules that exist in the backup systems now.
    create table vm_schedule (
      vm_id uuid not null references virtual_machine (id),
      manager_id uuid not null references backup_manager (id),
      schedule jsonb not null,
      -- What the plugin needs to change or remove it.
      ref jsonb not null,
      operation_id uuid not null references operation (id),
      -- Set when an operation ended without knowing what became of the schedule; the next one brings it in order.
      uncertain boolean not null default false,
      applied_at timestamptz(3) not null default now(),
      primary key (vm_id, manager_id)
    );
    create index vm_schedule_by_manager on vm_schedule (manager_id);

    -- A write that the backup system cannot be asked about by name, recorded before it is made.
    create table intent (
      id uuid primary key default uuidv7(),
      operation_id uuid not null references operation (id),
      vm_id uuid not null references virtual_machine (id),
      manager_id uuid not null references backup_manager (id),
      kind text not null check (kind in ('START_BACKUP', 'START_RESTORE', 'NAMED_WRITE')),
      subject jsonb not null default '{}',
      -- The backup system's own clock when the intent was claimed.
      vendor_time timestamptz(3),
      claimed_at timestamptz(3),
      claimed_epoch integer,
      -- Since when the backup system has answered and listed nothing; an absence is believed only some time after.
      absent_since timestamptz(3),
      resolved_at timestamptz(3),
      outcome text check (outcome in ('FOUND', 'ABSENT', 'UNKNOWN')),
      session_ref text,
      created_at timestamptz(3) not null default now()
    );
    create unique index intent_open on intent (operation_id, kind) where resolved_at is null;
    create index intent_open_by_vm on intent (vm_id, manager_id) where resolved_at is null;

    create table backup_result (
      id uuid primary key default uuidv7(),
      vm_id uuid not null references virtual_machine (id),
      enterprise_id uuid not null references enterprise (id),
      manager_id uuid not null references backup_manager (id),
      policy_id uuid,
      operation_id uuid references operation (id),
      origin text not null check (origin in ('ON_DEMAND', 'SCHEDULED', 'DISCOVERED')),
      type text not null default 'COMPLETE',
      name text not null,
      status text not null check (status in (
        'IN_PROGRESS', 'SUCCEEDED', 'SUCCEEDED_WITH_WARNING', 'FAILED', 'CANCELLED', 'UNKNOWN')),
      replication boolean not null default false,
      size_bytes bigint,
      message text,
      -- The backup's own id in the backup system and what the VM was called there, once they are known.
      vendor_backup_id text,
      vendor_vm_ref text,
      started_at timestamptz(3) not null,
      ended_at timestamptz(3),
      created_at timestamptz(3) not null default now()
    );
    create unique index backup_result_vendor on backup_result (manager_id, vm_id, vendor_vm_ref, vendor_backup_id)
      where vendor_backup_id is not null;
    create index backup_result_by_vm on backup_result (vm_id, started_at desc, id desc);

    create table result_copy (
      id uuid primary key default uuidv7(),
      result_id uuid not null references backup_result (id),
      location text not null,
      vendor_id text not null,
      -- What the VM was called in the backup system when the copy was made: the copy is found under that.
      vendor_vm_ref text not null,
      state text not null default 'LISTED' check (state in ('LISTED', 'EXPIRED', 'MISSING')),
      overdue boolean not null default false,
      expires_at timestamptz(3),
      expiry_estimated boolean not null default false,
      absent_checks integer not null default 0,
      last_checked_at timestamptz(3),
      created_at timestamptz(3) not null default now(),
      unique (result_id, location, vendor_id)
    );
    create index result_copy_due on result_copy (expires_at) where state = 'LISTED' and expires_at is not null;
    create index result_copy_sweep on result_copy (last_checked_at nulls first) where state <> 'EXPIRED';

    create table restore_result (
      id uuid primary key default uuidv7(),
      result_id uuid references backup_result (id),
      vm_id uuid not null references virtual_machine (id),
      enterprise_id uuid not null references enterprise (id),
      manager_id uuid not null references backup_manager (id),
      operation_id uuid references operation (id),
      status text not null check (status in (
        'IN_PROGRESS', 'SUCCEEDED', 'SUCCEEDED_WITH_WARNING', 'FAILED', 'CANCELLED', 'UNKNOWN')),
      message text,
      started_at timestamptz(3) not null,
      ended_at timestamptz(3),
      created_at timestamptz(3) not null default now()
    );
    create index restore_result_by_result on restore_result (result_id, started_at desc, id desc);

    -- One run inside a backup system for one VM. Without an open operation it was begun elsewhere and waits to be adopted.
    create table session (
      id uuid primary key default uuidv7(),
      manager_id uuid not null references backup_manager (id),
      vm_id uuid not null references virtual_machine (id),
      vendor_session_id text not null,
      kind text not null check (kind in ('BACKUP', 'RESTORE')),
      operation_id uuid references operation (id),
      result_id uuid references backup_result (id),
      restore_id uuid references restore_result (id),
      state text not null check (state in ('RUNNING', 'SUCCEEDED', 'WARNING', 'FAILED', 'CANCELLED', 'UNKNOWN')),
      progress integer not null default 0 check (progress between 0 and 100),
      message text,
      vendor_vm_ref text not null,
      vendor_backup_id text,
      size_bytes bigint,
      started_at timestamptz(3) not null,
      ended_at timestamptz(3),
      -- The tick that wrote last; an older tick that wakes up writes nothing.
      tick bigint not null default 0,
      last_seen_at timestamptz(3) not null default now(),
      -- When the VM's workflow was told of the end; told at least once.
      notified_at timestamptz(3),
      created_at timestamptz(3) not null default now(),
      unique (manager_id, vm_id, vendor_session_id)
    );
    create index session_in_flight on session (manager_id) where state in ('RUNNING', 'UNKNOWN');
    create index session_to_notify on session (manager_id) where notified_at is null and state not in ('RUNNING', 'UNKNOWN');
    create index session_by_operation on session (operation_id);

    create table manager_watch (
      manager_id uuid primary key references backup_manager (id),
      tick bigint not null default 0,
      sessions_watermark timestamptz(3),
      results_synced_at timestamptz(3),
      -- How far the sync of results has come; null between two syncs.
      results_cursor text,
      last_tick_at timestamptz(3),
      last_error jsonb
    );

    -- Who may write to a backup system now, and who waits for it: at most max_concurrent_writes tickets are granted.
    create table write_ticket (
      id bigint generated always as identity primary key,
      manager_id uuid not null references backup_manager (id),
      holder text not null unique,
      -- The newest attempt of the holder: an older one that wakes up gives nothing back.
      attempt integer not null,
      undo boolean not null,
      granted_at timestamptz(3),
      leased_until timestamptz(3) not null
    );
    create index write_ticket_queue on write_ticket (manager_id, undo desc, id);

    create table residue (
      id uuid primary key default uuidv7(),
      operation_id uuid not null references operation (id),
      vm_id uuid not null references virtual_machine (id),
      system text not null check (system in ('HYPERVISOR', 'BACKUP_SYSTEM')),
      system_name text not null,
      ref text not null,
      description text not null,
      remove_with text not null,
      cleared_at timestamptz(3),
      cleared_by text,
      created_at timestamptz(3) not null default now()
    );
    create index residue_by_operation on residue (operation_id);
    create index residue_of_vm on residue (vm_id) where cleared_at is null;

    create table event (
      id uuid primary key default uuidv7(),
      entity text not null,
      action text not null,
      severity text not null check (severity in ('INFO', 'WARN', 'ERROR')),
      message text not null,
      enterprise_id uuid references enterprise (id),
      datacenter_id uuid references datacenter (id),
      vm_id uuid references virtual_machine (id),
      entity_id uuid,
      operation_id uuid references operation (id),
      error_code text,
      details jsonb not null default '{}',
      principal text,
      at timestamptz(3) not null default now()
    );
    create index event_newest on event (at desc, id desc);
    create index event_by_enterprise on event (enterprise_id, at desc, id desc);
    create index event_by_vm on event (vm_id, at desc, id desc);

    create table idempotency_key (
      token_id uuid not null references token (id),
      route text not null,
      key text not null,
      request_hash text not null,
      operation_id uuid not null references operation (id),
      created_at timestamptz(3) not null default now(),
      primary key (token_id, route, key)
    );
    create index idempotency_key_age on idempotency_key (created_at);

    create table reconciler (
      singleton boolean primary key default true check (singleton),
      closed_runs_watermark timestamptz(3),
      full_pass_at timestamptz(3)
    );
    insert into reconciler default values;
  `.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop table reconciler, idempotency_key, event, residue, write_ticket, manager_watch, session, restore_result,
      result_copy, backup_result, intent, vm_schedule, vm_reference, step, vm_lock, operation, virtual_machine,
      allowance, backup_policy, backup_manager, datacenter, token, enterprise
  `.execute(db);
}
