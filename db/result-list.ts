/**
 * Backup results and restores as they are shown.
 * @module
 */
import { sql } from 'kysely';
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres';
import type { ResultStatus } from '../domain/results.ts';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';

export type ResultView = Awaited<ReturnType<ReturnType<typeof visible>['executeTakeFirstOrThrow']>>;
export type RestoreView = Awaited<ReturnType<ReturnType<typeof restores>['executeTakeFirstOrThrow']>>;

/** The backup result, when it is the tenant's own (`tenant` null: any). */
export function resultView(db: Queryable, tenant: string | null, id: string): Promise<ResultView | undefined> {
  return visible(db, tenant).where('b.id', '=', id).executeTakeFirst();
}

/** The backup results of a VM, the newest backup first. */
export function listResults(
  db: Queryable,
  tenant: string | null,
  filter: { readonly vmId: string; readonly status?: ResultStatus | undefined },
  page: PageRequest,
): Promise<Page<ResultView>> {
  const { vmId, status } = filter;
  const query = visible(db, tenant)
    .where('b.vm_id', '=', vmId)
    .$if(status !== undefined, (q) => q.where('b.status', '=', status as ResultStatus));
  return readPage(query, { at: 'b.started_at', id: 'b.id' }, page, (row) => ({ at: row.started_at, id: row.id }));
}

/** The restores of a backup result, newest first. */
export function listRestores(
  db: Queryable,
  tenant: string | null,
  resultId: string,
  page: PageRequest,
): Promise<Page<RestoreView>> {
  const query = restores(db, tenant).where('result_id', '=', resultId);
  return readPage(query, { at: 'started_at', id: 'id' }, page, (row) => ({ at: row.started_at, id: row.id }));
}

function restores(db: Queryable, tenant: string | null) {
  return db
    .selectFrom('restore_result')
    .selectAll()
    .where((eb) => (tenant === null ? eb.lit(true) : eb('enterprise_id', '=', tenant)));
}

function visible(db: Queryable, tenant: string | null) {
  return db
    .selectFrom('backup_result as b')
    .innerJoin('virtual_machine as vm', 'vm.id', 'b.vm_id')
    .innerJoin('backup_manager as m', 'm.id', 'b.manager_id')
    .selectAll('b')
    .select(['vm.name as vm_name', 'm.name as manager_name'])
    .select((eb) =>
      jsonArrayFrom(
        eb
          .selectFrom('result_copy as copy')
          .select([
            'copy.id',
            'copy.location',
            'copy.location_name',
            'copy.vendor_id',
            'copy.state',
            'copy.overdue',
            'copy.expires_at',
            'copy.expiry_estimated',
            'copy.last_checked_at',
          ])
          .whereRef('copy.result_id', '=', 'b.id')
          .orderBy('copy.created_at')
          .orderBy('copy.id'),
      ).as('copies'),
    )
    .select((eb) =>
      jsonObjectFrom(
        eb
          .selectFrom('session as s')
          .select(['s.state', 's.message', 's.started_at', 's.ended_at'])
          .whereRef('s.vm_id', '=', 'b.vm_id')
          .whereRef('s.manager_id', '=', 'b.manager_id')
          .whereRef('s.vendor_vm_ref', '=', 'b.vendor_vm_ref')
          .where('s.kind', '=', 'REPLICATION')
          .where((s) =>
            s.or([
              s('s.result_id', '=', s.ref('b.id')),
              s.and([
                s('s.result_id', 'is', null),
                s('s.started_at', '>=', sql<Date>`coalesce(b.ended_at, b.started_at)`),
              ]),
            ]),
          )
          // Later ones have nothing left to copy of it, so their failure is not its own.
          .orderBy(sql`case when s.state in ('SUCCEEDED', 'WARNING') then s.started_at end`, (o) => o.asc().nullsLast())
          .orderBy('s.started_at', 'desc')
          .limit(1),
      ).as('last_replication'),
    )
    .where((eb) => (tenant === null ? eb.lit(true) : eb('b.enterprise_id', '=', tenant)));
}
