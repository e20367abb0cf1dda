/**
 * Backup results and restores as they are shown.
 * @module
 */
import { jsonArrayFrom } from 'kysely/helpers/postgres';
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
    .where((eb) => (tenant === null ? eb.lit(true) : eb('b.enterprise_id', '=', tenant)));
}
