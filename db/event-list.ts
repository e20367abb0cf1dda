/**
 * Events as they are shown.
 * @module
 */
import type { Selectable } from 'kysely';
import type { Severity } from '../domain/events.ts';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';
import type { EventTable } from './schema.ts';

export type EventRow = Selectable<EventTable>;

/** Which events are meant. */
export interface EventFilter {
  readonly vmId?: string | undefined;
  readonly operationId?: string | undefined;
  readonly entity?: string | undefined;
  readonly action?: string | undefined;
  readonly severity?: Severity | undefined;
  readonly enterpriseId?: string | undefined;
  readonly datacenterId?: string | undefined;
}

/** The event, when it is about the tenant (`tenant` null: any). */
export function eventById(db: Queryable, tenant: string | null, id: string): Promise<EventRow | undefined> {
  return visible(db, tenant).where('id', '=', id).executeTakeFirst();
}

/** The events about the tenant (`tenant` null: all), newest first. */
export function listEvents(
  db: Queryable,
  tenant: string | null,
  filter: EventFilter,
  page: PageRequest,
): Promise<Page<EventRow>> {
  const columns = {
    vm_id: filter.vmId,
    operation_id: filter.operationId,
    entity: filter.entity,
    action: filter.action,
    severity: filter.severity,
    enterprise_id: filter.enterpriseId,
    datacenter_id: filter.datacenterId,
  } as const;
  const wanted = Object.entries(columns).filter(
    (entry): entry is [keyof typeof columns, string] => entry[1] !== undefined,
  );
  const query = visible(db, tenant).where((eb) => eb.and(wanted.map(([column, value]) => eb(column, '=', value))));
  return readPage(query, { at: 'at', id: 'id' }, page, (row) => ({ at: row.at, id: row.id }));
}

function visible(db: Queryable, tenant: string | null) {
  return db
    .selectFrom('event')
    .selectAll()
    .where((eb) => (tenant === null ? eb.lit(true) : eb('enterprise_id', '=', tenant)));
}
