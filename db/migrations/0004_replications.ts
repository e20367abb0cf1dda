import { type Kysely, sql } from 'kysely';

/** Replications: sessions that copy backups of a VM to another system. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table session drop constraint session_kind_check;
    alter table session add constraint session_kind_check check (kind in ('BACKUP', 'RESTORE', 'REPLICATION'));
    create index session_replications on session (vm_id, manager_id, started_at) where kind = 'REPLICATION';
  `.execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql`
    delete from session where kind = 'REPLICATION';
    drop index session_replications;
    alter table session drop constraint session_kind_check;
    alter table session add constraint session_kind_check check (kind in ('BACKUP', 'RESTORE'));
  `.execute(db);
}
