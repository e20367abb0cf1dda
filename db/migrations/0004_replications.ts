import { type Kysely, sql } from 'kysely';

/**
 * Replications: sessions that copy backups of a VM to another system, and the names of the systems that they copy to.
 * Copies that a list of backups does not show are looked for at once.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table session drop constraint session_kind_check;
    alter table session add constraint session_kind_check check (kind in ('BACKUP', 'RESTORE', 'REPLICATION'));
    alter table result_copy
      -- What people call the place that it lies in, where that differs from what the backup system calls it.
      add column location_name text,
      -- When a list of the backups of its VM showed it last, and since when such lists do not.
      add column listed_at timestamptz(3) not null default now(),
      add column unseen_at timestamptz(3);
    create index session_replications on session (vm_id, manager_id, started_at) where kind = 'REPLICATION';
  `.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table result_copy drop column location_name, drop column listed_at, drop column unseen_at;
    delete from session where kind = 'REPLICATION';
    drop index session_replications;
    alter table session drop constraint session_kind_check;
    alter table session add constraint session_kind_check check (kind in ('BACKUP', 'RESTORE'));
  `.execute(db);
}
