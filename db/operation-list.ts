/**
 * Operations as they are shown, each read in one statement so that it is seen at one moment.
 * @module
 */
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import { OPEN_STATES, type OperationKind, type OperationState } from '../domain/operations.ts';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';

/** Which operations are meant; `open`: in any state that is not the end. */
export interface OperationFilter {
  readonly vmId?: string | undefined;
  readonly kind?: OperationKind | undefined;
  readonly state?: OperationState | 'open' | undefined;
  readonly enterpriseId?: string | undefined;
  readonly datacenterId?: string | undefined;
  readonly needsAttention?: boolean | undefined;
}

export type OperationSummaryView = Awaited<ReturnType<ReturnType<typeof visible>['executeTakeFirstOrThrow']>>;
export type OperationView = NonNullable<Awaited<ReturnType<typeof operationView>>>;

/** The tenant's operations (`tenant` null: all), newest first, without their steps. */
export function listOperations(
  db: Queryable,
  tenant: string | null,
  filter: OperationFilter,
  page: PageRequest,
): Promise<Page<OperationSummaryView>> {
  const { vmId, kind, state, enterpriseId, datacenterId, needsAttention } = filter;
  const query = visible(db, tenant)
    .$if(vmId !== undefined, (q) => q.where('o.vm_id', '=', vmId as string))
    .$if(kind !== undefined, (q) => q.where('o.kind', '=', kind as OperationKind))
    .$if(enterpriseId !== undefined, (q) => q.where('o.enterprise_id', '=', enterpriseId as string))
    .$if(datacenterId !== undefined, (q) => q.where('o.datacenter_id', '=', datacenterId as string))
    .$if(needsAttention !== undefined, (q) => q.where('o.needs_attention', '=', needsAttention as boolean))
    .where((eb) => {
      if (state === undefined) return eb.lit(true);
      if (state !== 'open') return eb('o.state', '=', state);
      return eb.and([eb('o.state', 'in', OPEN_STATES), eb('o.finished_at', 'is', null)]);
    });
  return readPage(query, { at: 'o.created_at', id: 'o.id' }, page, (row) => ({ at: row.created_at, id: row.id }));
}

/** The operation with its steps, its residue and what it left behind, when it is the tenant's own (`tenant` null: any). */
export function operationView(db: Queryable, tenant: string | null, id: string) {
  return visible(db, tenant)
    .select((eb) => [
      jsonArrayFrom(
        eb
          .selectFrom('step as s')
          .leftJoin('backup_manager as m', 'm.id', 's.manager_id')
          .select([
            's.name',
            'm.id as manager_id',
            'm.name as manager_name',
            's.state',
            's.reason',
            's.attempts',
            's.first_attempt_at',
            's.ended_at',
            's.error',
            's.compensation',
            's.compensation_attempts',
            's.compensation_error',
            's.compensation_started_at',
            's.compensation_ended_at',
          ])
          .whereRef('s.operation_id', '=', 'o.id')
          .orderBy('s.position'),
      ).as('steps'),
      jsonArrayFrom(
        eb
          .selectFrom('residue as r')
          .select([
            'r.id',
            'r.operation_id',
            'r.step',
            'r.system',
            'r.system_name',
            'r.ref',
            'r.description',
            'r.remove_with',
            'r.created_at',
            'r.cleared_at',
            'r.cleared_by',
          ])
          .whereRef('r.operation_id', '=', 'o.id')
          .orderBy('r.created_at')
          .orderBy('r.id'),
      ).as('residue'),
      jsonArrayFrom(eb.selectFrom('backup_result as b').select('b.id').whereRef('b.operation_id', '=', 'o.id')).as(
        'backup_results',
      ),
      jsonArrayFrom(
        eb.selectFrom('restore_result as t').select(['t.id', 't.result_id']).whereRef('t.operation_id', '=', 'o.id'),
      ).as('restore_results'),
    ])
    .where('o.id', '=', id)
    .executeTakeFirst();
}

function visible(db: Queryable, tenant: string | null) {
  return db
    .selectFrom('operation as o')
    .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
    .selectAll('o')
    .select('vm.name as vm_name')
    .where((eb) => (tenant === null ? eb.lit(true) : eb('o.enterprise_id', '=', tenant)));
}
