import { type Kysely, sql } from 'kysely';

/** What a backup system needs that restores beside the VM, and that keeps the offset of a time zone and not the zone. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table session
      -- Restores: what the hypervisor calls the machine that was restored, where the backup system tells.
      add column restored_vm_ref text;

    alter table vm_schedule
      -- When the schedule is to be applied again, by the backup system's clock; null: nothing asks for it.
      add column refresh_at timestamptz(3);
    create index vm_schedule_to_refresh on vm_schedule (manager_id, refresh_at) where refresh_at is not null;

    -- One operation may make something in several backup systems.
    drop index intent_open;
    create unique index intent_open on intent (operation_id, manager_id, kind) where resolved_at is null;
    create index intent_named on intent (vm_id, manager_id) where kind = 'NAMED_WRITE';
  `.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    drop index intent_named;
    drop index intent_open;
    create unique index intent_open on intent (operation_id, kind) where resolved_at is null;
    drop index vm_schedule_to_refresh;
    alter table vm_schedule drop column refresh_at;
    alter table session drop column restored_vm_ref;
  `.execute(db);
}
