import { type Kysely, sql } from 'kysely';

/** What a lost run's operation needs to be carried on, and what a person needs to end or to clean up after one. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table operation
      -- When the operation was handed over to its newest recovery run; null while it is with its first run.
      add column handed_over_at timestamptz(3),
      -- How the newest lost run ended, in words.
      add column lost text,
      -- How an operator ended it: {outcome, reason, by, at}; obeyed when nothing written can still take effect.
      add column settlement jsonb,
      -- What the hypervisor showed of the VM when the operation could go neither on nor back: {power, hardware}.
      add column seen jsonb;

    -- How far the look at every open operation has come; null between two of them.
    alter table reconciler add column full_pass_after uuid;

    -- The totals by kind and outcome are read from it alone.
    create index operation_ended on operation (kind, state) where finished_at is not null;

    alter table residue
      -- The step that left it, and its backup manager: what a cleanup needs to know.
      add column step text,
      add column manager_id uuid references backup_manager (id);
    update residue set step = case system when 'HYPERVISOR' then 'CONFIGURE' else 'BACKUP_SCHEDULE' end;
    alter table residue alter column step set not null;
    update residue r set manager_id = m.id
      from backup_manager m, virtual_machine vm
      where r.system = 'BACKUP_SYSTEM' and vm.id = r.vm_id and m.datacenter_id = vm.datacenter_id
        and m.name = r.system_name;
  `.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table residue drop column step, drop column manager_id;
    alter table reconciler drop column full_pass_after;
    drop index operation_ended;
    alter table operation drop column handed_over_at, drop column lost, drop column settlement, drop column seen;
  `.execute(db);
}
