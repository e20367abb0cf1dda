/**
 * What a cleanup needs to know of what an earlier operation left behind.
 * @module
 */
import type { StepName } from '../domain/operations.ts';
import type { Leftover } from '../domain/residue.ts';
import type { BackupSchedule } from '../domain/schedules.ts';
import type { Queryable } from './connect.ts';
import { existingSchedules } from './operation-context.ts';
import { type OperationRow, operationById } from './operations.ts';

/** What an operation left behind and nobody has cleared, oldest first. */
export async function leftoversOf(db: Queryable, operationId: string): Promise<(Leftover & { step: StepName })[]> {
  const rows = await db
    .selectFrom('residue')
    .select(['system', 'manager_id', 'step'])
    .where('operation_id', '=', operationId)
    .where('cleared_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return rows.map((row) => ({ system: row.system, managerId: row.manager_id, step: row.step }));
}

/** The operation when it is the tenant's own (`tenant` null: any): its VM, and whether it has ended. */
export function operationToClean(db: Queryable, operationId: string, tenant: string | null) {
  return db
    .selectFrom('operation')
    .select(['id', 'vm_id', 'finished_at'])
    .where('id', '=', operationId)
    .$if(tenant !== null, (q) => q.where('enterprise_id', '=', tenant as string))
    .executeTakeFirst();
}

/** The operation that a cleanup clears up after, and whether its VM was deployed or registered after it. */
export async function cleanedOperation(
  db: Queryable,
  cleanup: OperationRow,
): Promise<{ readonly operation: OperationRow; readonly deployedSince: boolean }> {
  const operation = await operationById(db, cleanup.request.cleansUp ?? '');
  if (operation === undefined) throw new Error(`cleanup ${cleanup.id} does not say what it cleans up`);
  const deployed = await db
    .selectFrom('operation')
    .select('id')
    .where('vm_id', '=', operation.vm_id)
    .where('kind', 'in', ['DEPLOY', 'REGISTER'])
    .where('state', '=', 'SUCCEEDED')
    .where('created_at', '>', operation.created_at)
    .limit(1)
    .executeTakeFirst();
  return { operation, deployedSince: deployed !== undefined };
}

/**
 * The schedule that a VM which is there shall have in a manager whose schedule nobody is certain of: the one that was
 * last known, or the one that the operation was to make and that the VM's policies still ask for.
 */
export async function promisedSchedule(
  db: Queryable,
  operation: OperationRow,
  managerId: string,
): Promise<BackupSchedule | undefined> {
  const existing = (await existingSchedules(db, operation.vm_id)).find((known) => known.managerId === managerId);
  if (existing !== undefined) return existing.schedule;
  if (operation.state !== 'SUCCEEDED') return undefined;
  const schedule = operation.desired.schedules?.find((wanted) => wanted.managerId === managerId);
  const vm = await db
    .selectFrom('virtual_machine')
    .select('backup_policies')
    .where('id', '=', operation.vm_id)
    .executeTakeFirstOrThrow();
  const chosen = new Set(vm.backup_policies.map((policy) => policy.policyId));
  return schedule?.policies.every(({ policyId }) => chosen.has(policyId)) === true ? schedule : undefined;
}
