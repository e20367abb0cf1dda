/**
 * The documents of backup results and restores. Both are read-only: the backup system makes them.
 * @module
 */
import { z } from 'zod';
import type { RestoreView, ResultView } from '../../db/result-list.ts';
import { resultStatus } from '../../domain/results.ts';
import { Id, iso, Moment } from '../fields.ts';

const Status = z.enum(['IN_PROGRESS', 'SUCCEEDED', 'SUCCEEDED_WITH_WARNING', 'FAILED', 'CANCELLED', 'UNKNOWN']);

const Copy = z
  .object({
    id: Id,
    location: z.string().describe('What the backup system calls the place that it lies in.'),
    locationName: z.string().nullable().describe('What people call that place, where that is something else.'),
    vendorId: z.string().describe('What the backup system calls the copy.'),
    state: z
      .enum(['LISTED', 'EXPIRED', 'MISSING'])
      .describe('LISTED: there. EXPIRED: past its date and gone. MISSING: gone before its date, or without one.'),
    overdue: z.boolean().describe('Past its date and still there: it can be restored, but not for much longer.'),
    expiresAt: Moment.nullable(),
    expiryEstimated: z
      .boolean()
      .describe('The backup system names no date: `expiresAt` follows from the retention, where that is known.'),
    lastCheckedAt: Moment.nullable(),
  })
  .meta({ id: 'BackupCopy' });

const Replication = z
  .object({ status: Status, message: z.string().nullable(), startedAt: Moment, endedAt: Moment.nullable() })
  .meta({ id: 'Replication' });

/** A backup as it is answered. */
export const BackupResult = z
  .object({
    id: Id,
    name: z.string(),
    vm: z.object({ id: Id, name: z.string() }),
    enterpriseId: Id,
    manager: z.object({ id: Id, name: z.string() }),
    policyId: Id.nullable(),
    operationId: Id.nullable(),
    origin: z.enum(['ON_DEMAND', 'SCHEDULED', 'DISCOVERED']),
    type: z.string(),
    status: Status,
    restorable: z.boolean().describe('Whether it is finished and a copy is still listed.'),
    replication: z.boolean().describe('Whether it is to be copied to another system.'),
    lastReplication: Replication.nullable().describe(
      'The replication that concerns it: the first one that succeeded since it was made, else the newest. ' +
        'null: none has begun; where one was asked for with the backup, the operation says why.',
    ),
    sizeBytes: z.number().nullable(),
    message: z.string().nullable(),
    startedAt: Moment,
    endedAt: Moment.nullable(),
    copies: z.array(Copy),
    links: z.object({ self: z.string(), vm: z.string(), restores: z.string(), operation: z.string().optional() }),
  })
  .meta({ id: 'BackupResult' });

/** A restore as it is answered. */
export const Restore = z
  .object({
    id: Id,
    resultId: Id.nullable(),
    vmId: Id,
    managerId: Id,
    operationId: Id.nullable(),
    status: Status,
    message: z.string().nullable(),
    startedAt: Moment,
    endedAt: Moment.nullable(),
    links: z.object({ vm: z.string(), backupResult: z.string().optional(), operation: z.string().optional() }),
  })
  .meta({ id: 'Restore' });

/** Which results are meant. */
export const ResultStatusFilter = Status.optional();

/** The row as it is answered. */
export function toResult(row: ResultView): z.infer<typeof BackupResult> {
  const self = `/v1/backup-results/${row.id}`;
  const finished = row.status === 'SUCCEEDED' || row.status === 'SUCCEEDED_WITH_WARNING';
  return {
    id: row.id,
    name: row.name,
    vm: { id: row.vm_id, name: row.vm_name },
    enterpriseId: row.enterprise_id,
    manager: { id: row.manager_id, name: row.manager_name },
    policyId: row.policy_id,
    operationId: row.operation_id,
    origin: row.origin,
    type: row.type,
    status: row.status,
    restorable: finished && row.copies.some((copy) => copy.state === 'LISTED'),
    replication: row.replication,
    lastReplication: row.last_replication === null ? null : toReplication(row.last_replication),
    sizeBytes: row.size_bytes,
    message: row.message,
    startedAt: iso(row.started_at),
    endedAt: iso(row.ended_at),
    copies: row.copies.map((copy) => ({
      id: copy.id,
      location: copy.location,
      locationName: copy.location_name,
      vendorId: copy.vendor_id,
      state: copy.state,
      overdue: copy.overdue,
      expiresAt: moment(copy.expires_at),
      expiryEstimated: copy.expiry_estimated,
      lastCheckedAt: moment(copy.last_checked_at),
    })),
    links: {
      self,
      vm: `/v1/virtual-machines/${row.vm_id}`,
      restores: `${self}/restores`,
      ...operationLink(row.operation_id),
    },
  };
}

function toReplication(row: NonNullable<ResultView['last_replication']>): z.infer<typeof Replication> {
  const { state, message, started_at: startedAt, ended_at: endedAt } = row;
  return { status: resultStatus(state), message, startedAt: iso(new Date(startedAt)), endedAt: moment(endedAt) };
}

/** The row as it is answered. */
export function toRestore(row: RestoreView): z.infer<typeof Restore> {
  return {
    id: row.id,
    resultId: row.result_id,
    vmId: row.vm_id,
    managerId: row.manager_id,
    operationId: row.operation_id,
    status: row.status,
    message: row.message,
    startedAt: iso(row.started_at),
    endedAt: iso(row.ended_at),
    links: {
      vm: `/v1/virtual-machines/${row.vm_id}`,
      ...(row.result_id === null ? {} : { backupResult: `/v1/backup-results/${row.result_id}` }),
      ...operationLink(row.operation_id),
    },
  };
}

function operationLink(id: string | null): { operation?: string } {
  return id === null ? {} : { operation: `/v1/operations/${id}` };
}

function moment(text: string | null): string | null {
  return text === null ? null : new Date(text).toISOString();
}
