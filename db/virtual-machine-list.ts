/**
 * Virtual machines as they are shown: with their lock, their schedules and what was left behind.
 * @module
 */
import { sql } from 'kysely';
import { jsonArrayFrom } from 'kysely/helpers/postgres';
import type { VisibleVmState } from '../domain/virtual-machines.ts';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';

/** Which virtual machines are meant. */
export interface VmFilter {
  readonly name?: string | undefined;
  readonly state?: VisibleVmState | undefined;
  readonly datacenterId?: string | undefined;
  readonly enterpriseId?: string | undefined;
}

export type VmView = Awaited<ReturnType<ReturnType<typeof visible>['executeTakeFirstOrThrow']>>;

/** The virtual machine, when it is the tenant's own (`tenant` null: any) and was not deleted. */
export function vmView(db: Queryable, tenant: string | null, id: string): Promise<VmView | undefined> {
  return visible(db, tenant).where('vm.id', '=', id).executeTakeFirst();
}

/** The tenant's virtual machines (`tenant` null: all), newest first. */
export function listVms(
  db: Queryable,
  tenant: string | null,
  filter: VmFilter,
  page: PageRequest,
): Promise<Page<VmView>> {
  const { name, state, datacenterId, enterpriseId } = filter;
  const query = visible(db, tenant)
    .$if(name !== undefined, (q) => q.where('vm.name', '=', name as string))
    .$if(datacenterId !== undefined, (q) => q.where('vm.datacenter_id', '=', datacenterId as string))
    .$if(enterpriseId !== undefined, (q) => q.where('vm.enterprise_id', '=', enterpriseId as string))
    .where((eb) => {
      if (state === undefined) return eb.lit(true);
      if (state === 'LOCKED') return eb('lock.operation_id', 'is not', null);
      return eb.and([eb('vm.state', '=', state), eb('lock.operation_id', 'is', null)]);
    });
  return readPage(query, { at: 'vm.created_at', id: 'vm.id' }, page, (row) => ({ at: row.created_at, id: row.id }));
}

function visible(db: Queryable, tenant: string | null) {
  return db
    .selectFrom('virtual_machine as vm')
    .leftJoin('vm_lock as lock', (join) =>
      join.onRef('lock.vm_id', '=', 'vm.id').on('lock.operation_id', 'is not', null),
    )
    .leftJoin('operation as holder', 'holder.id', 'lock.operation_id')
    .selectAll('vm')
    .select([
      'lock.operation_id as lock_operation_id',
      'holder.kind as lock_kind',
      'holder.requested_by as lock_requested_by',
      'lock.reason as lock_reason',
      'lock.since as lock_since',
    ])
    .select(sql<number | null>`floor(extract(epoch from now() - lock.since))::int`.as('lock_age_seconds'))
    .select((eb) => [
      eb
        .selectFrom('vm_reference as r')
        .select('r.ref')
        .whereRef('r.vm_id', '=', 'vm.id')
        .where('r.system', '=', 'HYPERVISOR')
        .where('r.valid_to', 'is', null)
        .orderBy('r.valid_from', 'desc')
        .orderBy('r.id', 'desc')
        .limit(1)
        .as('hypervisor_ref'),
      jsonArrayFrom(
        eb
          .selectFrom('vm_schedule as s')
          .innerJoin('backup_manager as m', 'm.id', 's.manager_id')
          .select(['m.id as manager_id', 'm.name as manager_name', 's.schedule', 's.applied_at', 's.uncertain'])
          .whereRef('s.vm_id', '=', 'vm.id')
          .orderBy('m.name'),
      ).as('schedules'),
      jsonArrayFrom(
        eb
          .selectFrom('residue')
          .select([
            'residue.id',
            'residue.operation_id',
            'residue.step',
            'residue.system',
            'residue.system_name',
            'residue.ref',
            'residue.description',
            'residue.remove_with',
            'residue.created_at',
          ])
          .whereRef('residue.vm_id', '=', 'vm.id')
          .where('residue.cleared_at', 'is', null)
          .orderBy('residue.created_at')
          .orderBy('residue.id'),
      ).as('residue'),
    ])
    .where('vm.deleted_at', 'is', null)
    .where((eb) => (tenant === null ? eb.lit(true) : eb('vm.enterprise_id', '=', tenant)));
}
