/**
 * Operations, the VM lock that they hold and the fence that keeps everybody else's writes out.
 *
 * Every function that changes an operation names the run that it belongs to and changes nothing when another run, or
 * a newer fence, has taken its place.
 * @module
 */
import { type ExpressionBuilder, type Selectable, sql } from 'kysely';
import { HoldfastError } from '../domain/errors.ts';
import { OPERATION_ACTIONS, REPLICATION_ACTIONS } from '../domain/events.ts';
import { kindSlug, type OperationKind, type OperationOrigin, workflowId } from '../domain/operations.ts';
import type { PlannedStep } from '../domain/plan.ts';
import type { DesiredConfiguration, OperationRequest } from './columns.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import { recordOperationEvent } from './events.ts';
import { newId } from './ids.ts';
import type { DB, OperationTable } from './schema.ts';

export type OperationRow = Selectable<OperationTable>;

/** The manager id of steps that concern no manager. */
export const NO_MANAGER = '00000000-0000-0000-0000-000000000000';

/** An operation that shall begin. */
export interface NewOperation {
  readonly vm: {
    readonly id: string;
    readonly name: string;
    readonly enterpriseId: string;
    readonly datacenterId: string;
  };
  readonly kind: OperationKind;
  readonly origin: OperationOrigin;
  readonly request: OperationRequest;
  readonly desired: DesiredConfiguration;
  readonly steps: readonly PlannedStep[];
  readonly requestedBy: string;
}

/** Who holds the lock of a VM, as a client is told it. */
export interface LockHolder {
  readonly operationId: string;
  readonly href: string;
  readonly kind: OperationKind;
  readonly reason: string | null;
  readonly requestedBy: string;
  readonly since: Date;
  /** Whole seconds by the database's clock. */
  readonly ageSeconds: number;
}

/**
 * Takes the VM's lock, grows its fence by one and inserts the operation with its steps, in the caller's transaction.
 * From its commit on the operation will be started: by the caller, or by the reconciler.
 * @throws HoldfastError VM_LOCKED naming the holder.
 */
export async function requestOperation(trx: Queryable, wanted: NewOperation): Promise<OperationRow> {
  const { vm, kind } = wanted;
  // The update of an existing row changes nothing; it waits for whoever has it, and locks it.
  const lock = await trx
    .insertInto('vm_lock')
    .values({ vm_id: vm.id })
    .onConflict((conflict) => conflict.column('vm_id').doUpdateSet({ vm_id: vm.id }))
    .returning(['fence', 'operation_id'])
    .modifyEnd(plannedOnce)
    .executeTakeFirstOrThrow();
  if (lock.operation_id !== null) throw await lockedError(trx, vm, lock.operation_id);

  const fence = lock.fence + 1;
  const id = await newId(trx, 'operation');
  const operation = await trx
    .insertInto('operation')
    .values({
      id,
      vm_id: vm.id,
      enterprise_id: vm.enterpriseId,
      datacenter_id: vm.datacenterId,
      kind,
      origin: wanted.origin,
      fence,
      request: JSON.stringify(wanted.request),
      desired: JSON.stringify(wanted.desired),
      workflow_id: workflowId({ vmName: vm.name, vmId: vm.id, kind, operationId: id }, 0),
      requested_by: wanted.requestedBy,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await trx
    .updateTable('vm_lock')
    .set({ fence, operation_id: id, kind, reason: lockReason(kind), since: sql<Date>`now()` })
    .where('vm_id', '=', vm.id)
    .modifyEnd(plannedOnce)
    .execute();
  await insertSteps(trx, id, wanted.steps);
  const forced = wanted.request.forceUndeploy === true;
  await recordOperationEvent(trx, operation, {
    action: wanted.request.replication === true ? REPLICATION_ACTIONS.begin : OPERATION_ACTIONS[kind].begin,
    // It may leave something behind on purpose.
    severity: forced ? 'WARN' : 'INFO',
    message: `${forced ? 'A forced undeploy' : sentenceStart(kind)} of ${vm.name} was requested by ${wanted.requestedBy}.`,
    principal: wanted.requestedBy,
    details: { request: wanted.request },
  });
  return operation;
}

async function insertSteps(trx: Queryable, operationId: string, steps: readonly PlannedStep[]): Promise<void> {
  if (steps.length === 0) return;
  await trx
    .insertInto('step')
    .values(
      steps.map((step, position) => ({
        operation_id: operationId,
        position,
        name: step.name,
        manager_id: step.managerId ?? NO_MANAGER,
        state: step.skip === null ? ('PENDING' as const) : ('SKIPPED' as const),
        reason: step.skip,
      })),
    )
    .modifyEnd(plannedOnce)
    .execute();
}

async function lockedError(
  trx: Queryable,
  vm: { readonly id: string; readonly name: string },
  operationId: string,
): Promise<HoldfastError> {
  const holder = await lockHolder(trx, vm.id);
  const what =
    holder === undefined
      ? 'another operation'
      : `${sentenceStart(holder.kind).toLowerCase()} that ${holder.requestedBy} asked for`;
  const since = holder === undefined ? '' : ` since ${holder.since.toISOString()}`;
  return new HoldfastError(
    'VM_LOCKED',
    `${vm.name} is locked by ${what}${since}. Wait for operation ${operationId} to end, then try again.`,
    { holder: holder ?? { operationId } },
  );
}

/** Who holds the lock of the VM now; `undefined` when it is free. */
export async function lockHolder(db: Queryable, vmId: string): Promise<LockHolder | undefined> {
  const row = await db
    .selectFrom('vm_lock as lock')
    .innerJoin('operation as o', 'o.id', 'lock.operation_id')
    .select(['o.id', 'o.kind', 'o.requested_by', 'lock.reason', 'lock.since'])
    .select(sql<number>`greatest(0, floor(extract(epoch from now() - lock.since)))::int`.as('age_seconds'))
    .where('lock.vm_id', '=', vmId)
    .executeTakeFirst();
  if (row === undefined || row.since === null) return undefined;
  return {
    operationId: row.id,
    href: `/v1/operations/${row.id}`,
    kind: row.kind,
    reason: row.reason,
    requestedBy: row.requested_by,
    since: row.since,
    ageSeconds: row.age_seconds,
  };
}

function lockReason(kind: OperationKind): string {
  const reasons: Partial<Record<OperationKind, string>> = {
    BACKUP: 'the backup system backs it up',
    SCHEDULED_BACKUP: 'the backup system works on it by its own schedule or by hand',
    RESTORE: 'the backup system restores it',
  };
  return reasons[kind] ?? `${sentenceStart(kind).toLowerCase()} is under way`;
}

/** `POWER_ON` → `A power-on`, to begin a sentence with. */
export function sentenceStart(kind: OperationKind): string {
  const noun = kind === 'REGISTER' ? 'registration' : kindSlug(kind);
  return `${/^[aeiou]/.test(noun) ? 'An' : 'A'} ${noun}`;
}

/** The operation, or `undefined`. */
export function operationById(db: Queryable, id: string): Promise<OperationRow | undefined> {
  return db.selectFrom('operation').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * The operation, kept from changing until the transaction ends.
 * @param tenant whose operations may be seen; `null`: everybody's.
 */
export function lockOperation(trx: Queryable, id: string, tenant: string | null): Promise<OperationRow | undefined> {
  return trx
    .selectFrom('operation')
    .selectAll()
    .where('id', '=', id)
    .$if(tenant !== null, (q) => q.where('enterprise_id', '=', tenant as string))
    .forUpdate()
    .executeTakeFirst();
}

/** The operation while it is open, the run is its own and it holds the lock with its fence. */
export function heldBy(runId: string) {
  return (eb: ExpressionBuilder<DB & { o: OperationTable }, 'o'>) =>
    eb.and([
      eb('o.finished_at', 'is', null),
      // What an operator has settled is no run's any more.
      eb('o.settlement', 'is', null),
      eb('o.run_id', '=', runId),
      eb.exists(
        eb
          .selectFrom('vm_lock as held')
          .select('held.vm_id')
          .whereRef('held.vm_id', '=', 'o.vm_id')
          .whereRef('held.operation_id', '=', 'o.id')
          .whereRef('held.fence', '=', 'o.fence'),
      ),
    ]);
}

/** Whether the run holds the operation: it is open, bound to that run, and has the VM's lock with its fence. */
export async function isHeldBy(db: Queryable, operationId: string, runId: string): Promise<boolean> {
  const row = await db
    .selectFrom('operation as o')
    .select('o.id')
    .where('o.id', '=', operationId)
    .where(heldBy(runId))
    .executeTakeFirst();
  return row !== undefined;
}

/**
 * Crosses the point of no return, unless a cancel came first.
 * @returns false when the operation is to be cancelled, or is not this run's any more.
 */
export async function crossPointOfNoReturn(db: Queryable, operationId: string, runId: string): Promise<boolean> {
  await db
    .updateTable('operation as o')
    .set({ point_of_no_return_at: sql<Date>`now()` })
    .where('o.id', '=', operationId)
    .where('o.point_of_no_return_at', 'is', null)
    .where('o.cancel_requested_at', 'is', null)
    .where(heldBy(runId))
    .execute();
  const row = await db
    .selectFrom('operation as o')
    .select('o.id')
    .where('o.id', '=', operationId)
    .where('o.point_of_no_return_at', 'is not', null)
    .where(heldBy(runId))
    .executeTakeFirst();
  return row !== undefined;
}

/** Asks for a person's attention, with the reason, or takes that back with `null`. */
export async function needAttention(db: Queryable, operationId: string, reason: string | null): Promise<void> {
  await db
    .updateTable('operation')
    .set({ needs_attention: reason !== null, attention_reason: reason })
    .where('id', '=', operationId)
    .where('finished_at', 'is', null)
    .execute();
}

/** `UNKNOWN_OUTCOME` when nobody can say what became of it, and back to `RUNNING` when somebody can again. */
export async function setOutcomeKnown(db: Queryable, operationId: string, known: boolean, reason: string | null) {
  await db
    .updateTable('operation')
    .set({
      state: known ? 'RUNNING' : 'UNKNOWN_OUTCOME',
      needs_attention: !known,
      attention_reason: known ? null : reason,
    })
    .where('id', '=', operationId)
    .where('finished_at', 'is', null)
    .where('state', '=', known ? 'UNKNOWN_OUTCOME' : 'RUNNING')
    .execute();
}

/** Shows how far a backup or restore is; progress never goes back. */
export async function setProgress(db: Queryable, operationId: string, progress: number): Promise<void> {
  await db
    .updateTable('operation')
    .set({ progress })
    .where('id', '=', operationId)
    .where('finished_at', 'is', null)
    .where('progress', '<', progress)
    .execute();
}
