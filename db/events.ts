/**
 * Events: written in the transaction of what they tell of, so that neither is there without the other.
 * @module
 */
import type { NewEvent } from '../domain/events.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import type { OperationRow } from './operations.ts';
import type { SessionRow } from './sessions.ts';

/** Writes one event. */
export async function recordEvent(db: Queryable, event: NewEvent): Promise<void> {
  await db
    .insertInto('event')
    .values({
      entity: event.entity,
      action: event.action,
      severity: event.severity,
      message: event.message,
      enterprise_id: event.enterpriseId ?? null,
      datacenter_id: event.datacenterId ?? null,
      vm_id: event.vmId ?? null,
      entity_id: event.entityId ?? null,
      operation_id: event.operationId ?? null,
      error_code: event.errorCode ?? null,
      details: JSON.stringify(event.details ?? {}),
      principal: event.principal ?? null,
    })
    .modifyEnd(plannedOnce)
    .execute();
}

/** Writes an event about the VM of an operation, on behalf of that operation. */
export function recordOperationEvent(
  db: Queryable,
  operation: Pick<OperationRow, 'id' | 'vm_id' | 'enterprise_id' | 'datacenter_id'>,
  event: Pick<NewEvent, 'action' | 'severity' | 'message' | 'errorCode' | 'details' | 'principal'>,
): Promise<void> {
  return recordEvent(db, {
    ...event,
    entity: 'VIRTUAL_MACHINE',
    enterpriseId: operation.enterprise_id,
    datacenterId: operation.datacenter_id,
    vmId: operation.vm_id,
    entityId: operation.vm_id,
    operationId: operation.id,
  });
}

/** Writes an event about the VM of a session that no operation tells of. @param manager the name of its backup manager. */
export function recordSessionEvent(
  db: Queryable,
  manager: string,
  session: Pick<SessionRow, 'vm_id'> & { readonly enterprise_id: string; readonly datacenter_id: string },
  event: Pick<NewEvent, 'action' | 'severity' | 'message' | 'operationId' | 'details'>,
): Promise<void> {
  return recordEvent(db, {
    ...event,
    entity: 'VIRTUAL_MACHINE',
    enterpriseId: session.enterprise_id,
    datacenterId: session.datacenter_id,
    vmId: session.vm_id,
    entityId: session.vm_id,
    principal: manager,
  });
}
