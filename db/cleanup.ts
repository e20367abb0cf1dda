/**
 * What a cleanup needs to know of what an earlier operation left behind.
 * @module
 */
import { sql } from 'kysely';
import type { StepName } from '../domain/operations.ts';
import type { Leftover } from '../domain/residue.ts';
import type { BackupSchedule } from '../domain/schedules.ts';
import type { Queryable } from './connect.ts';
import { existingSchedule } from './operation-context.ts';
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

/** What has become of a VM since an operation. In doubt it is true: then less is changed. */
export interface Since {
  /** It was deployed or registered again. */
  readonly deployed: boolean;
  /** It has been known to be there, switched on or off: somebody may have it in use. */
  readonly used: boolean;
  /** Its hardware was set, or taken over as the hypervisor had it. */
  readonly hardwareSet: boolean;
}

/** The operation that a cleanup clears up after, and what has become of its VM since. */
export interface CleanedOperation {
  readonly operation: OperationRow;
  readonly since: Since;
}

/** Finds the operation that a cleanup clears up after. */
export async function cleanedOperation(db: Queryable, cleanup: OperationRow): Promise<CleanedOperation> {
  const operation = await operationById(db, cleanup.request.cleansUp ?? '');
  if (operation === undefined) throw new Error(`cleanup ${cleanup.id} does not say what it cleans up`);
  const looked = sql<boolean>`exists (
    select from step s where s.operation_id = o.id and s.state = 'DONE' and s.made->>'power' is not null
      and s.name in ('REGISTER', 'REFRESH', 'CLEAN_HYPERVISOR'))`;
  const seen = sql<boolean>`(o.kind = 'RECONFIGURE' and (o.seen is not null or o.point_of_no_return_at is not null))`;
  const succeeded = sql<boolean>`o.state = 'SUCCEEDED'`;
  const any = (what: ReturnType<typeof sql<boolean>>) => sql<boolean>`coalesce(bool_or(${what}), false)`;
  const since = await db
    .selectFrom('operation as o')
    .select([
      any(sql<boolean>`${succeeded} and o.kind in ('DEPLOY', 'REGISTER')`).as('deployed'),
      any(sql<boolean>`${succeeded} and o.kind not in ('UNDEPLOY', 'CLEANUP') or ${seen} or ${looked}`).as('used'),
      any(
        sql<boolean>`${succeeded} and o.kind in ('DEPLOY', 'REGISTER', 'RECONFIGURE', 'UNDEPLOY', 'RESTORE')
          or ${seen} or ${looked}`,
      ).as('hardwareSet'),
    ])
    .where('o.vm_id', '=', operation.vm_id)
    .where('o.id', 'not in', [operation.id, cleanup.id])
    .where('o.created_at', '>', operation.created_at)
    .executeTakeFirstOrThrow();
  return { operation, since };
}

/**
 * The schedule that a VM which is there shall have in a manager whose schedule nobody is certain of: the one that
 * belongs to the policies in the VM's row. They are those of the newest operation that put its own there; where none
 * did since the one that left the schedule behind, what was last known counts.
 */
export async function promisedSchedule(
  db: Queryable,
  operation: OperationRow,
  managerId: string,
): Promise<BackupSchedule | undefined> {
  const newest = await db
    .selectFrom('operation')
    .select('desired')
    .where('vm_id', '=', operation.vm_id)
    .where('created_at', '>=', operation.created_at)
    .where('finished_at', 'is not', null)
    .where(sql<boolean>`desired ? 'schedules'`)
    .where((eb) =>
      eb.or([
        eb('state', '=', 'SUCCEEDED'),
        // Past its point of no return a reconfigure has put its policies into the row however it ended.
        eb.and([eb('kind', '=', 'RECONFIGURE'), eb('point_of_no_return_at', 'is not', null)]),
      ]),
    )
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (newest !== undefined) return newest.desired.schedules?.find((wanted) => wanted.managerId === managerId);
  return (await existingSchedule(db, operation.vm_id, managerId))?.schedule;
}

/** The newest reconfigure, apart from one operation, whose change of the hardware is still to be taken back. */
export async function reconfigureToUndo(db: Queryable, vmId: string, except: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('residue as r')
    .innerJoin('operation as o', 'o.id', 'r.operation_id')
    .select('o.id')
    .where('r.vm_id', '=', vmId)
    .where('r.step', '=', 'RECONFIGURE')
    .where('r.cleared_at', 'is', null)
    .where('o.id', '<>', except)
    .where('o.point_of_no_return_at', 'is', null)
    .orderBy('o.created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row?.id;
}

/**
 * The newest operation that left one of these disks behind, detached, when it was to delete them.
 * @param labels of disks that shall be added.
 */
export async function leftDisk(
  db: Queryable,
  vmId: string,
  labels: readonly string[],
): Promise<{ readonly label: string; readonly operationId: string } | undefined> {
  if (labels.length === 0) return undefined;
  const rows = await db
    .selectFrom('residue as r')
    .innerJoin('operation as o', 'o.id', 'r.operation_id')
    .select(['o.id', 'o.request'])
    .where('r.vm_id', '=', vmId)
    .where('r.system', '=', 'HYPERVISOR')
    .where('r.cleared_at', 'is', null)
    .where('o.kind', '=', 'RECONFIGURE')
    .orderBy('o.created_at', 'desc')
    .execute();
  for (const { id, request } of rows) {
    const label = request.removedDisks?.find((removed) => labels.includes(removed));
    if (label !== undefined) return { label, operationId: id };
  }
  return undefined;
}
