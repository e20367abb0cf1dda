/**
 * Which operations wait to be started, and what is needed to start one.
 * @module
 */
import { sql } from 'kysely';
import { plannedOnce, type Queryable } from './connect.ts';
import type { WorkflowRun } from './runs.ts';

function startable(db: Queryable) {
  return db
    .selectFrom('operation as o')
    .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
    .innerJoin('datacenter as dc', 'dc.id', 'o.datacenter_id')
    .innerJoin('enterprise as e', 'e.id', 'o.enterprise_id')
    .select([
      'o.id',
      'o.kind',
      'o.origin',
      'o.vm_id',
      'o.workflow_id',
      'o.recovery',
      'o.lost',
      'vm.name as vm_name',
      'dc.name as datacenter_name',
      'dc.task_queue',
      'e.name as enterprise_name',
    ]);
}

/** What is needed to start the operation's workflow. */
export function startableOperation(db: Queryable, operationId: string) {
  return startable(db).where('o.id', '=', operationId).modifyEnd(plannedOnce).executeTakeFirstOrThrow();
}

/** Since when the operation `o` has waited for its run, or for its newest recovery. */
export const waitingSince = sql<Date>`coalesce(o.handed_over_at, o.created_at)`;

/**
 * Operations that no run has taken up, oldest first, with their age in milliseconds by the database's clock: since they
 * were requested, or since their last run was lost.
 */
export function unboundOperations(db: Queryable, olderThanMs: number) {
  return startable(db)
    .select(sql<number>`extract(epoch from now() - ${waitingSince})::float8 * 1000`.as('age_ms'))
    .where('o.finished_at', 'is', null)
    .where('o.run_id', 'is', null)
    .where('o.settlement', 'is', null)
    .where(waitingSince, '<', sql<Date>`now() - ${olderThanMs} * interval '1 millisecond'`)
    .orderBy('o.created_at')
    .limit(200)
    .execute();
}

/** Open operations that a run has taken up. What an operator has settled is carried on by nobody. */
function boundOpenOperations(db: Queryable) {
  return db
    .selectFrom('operation')
    .select(['id', 'workflow_id', 'run_id'])
    .where('finished_at', 'is', null)
    .where('run_id', 'is not', null)
    .where('settlement', 'is', null);
}

/** Open operations of these runs. */
export function openOperationsOf(db: Queryable, runIds: readonly string[]) {
  return boundOpenOperations(db).where(sql<boolean>`run_id = any(${runIds}::text[])`).execute();
}

/** Some open operations that a run has taken up, in the order of their ids. */
export function openOperationsAfter(db: Queryable, after: string | null, limit: number) {
  return boundOpenOperations(db)
    .$if(after !== null, (query) => query.where('id', '>', after as string))
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Open operations that were promised to be cancelled. */
export function operationsToCancel(db: Queryable) {
  return boundOpenOperations(db).where('cancel_requested_at', 'is not', null).execute();
}

/** Of these runs, those that no open operation is waiting for: reset runs, and runs whose operation has ended. */
export async function strayRuns<R extends WorkflowRun>(db: Queryable, runs: readonly R[]): Promise<R[]> {
  if (runs.length === 0) return [];
  const ids = runs.map((run) => run.workflowId);
  const owners = await db
    .selectFrom('operation')
    .select(['workflow_id', 'run_id'])
    .where('workflow_id', 'in', ids)
    .where('finished_at', 'is', null)
    .execute();
  const owner = new Map(owners.map((operation) => [operation.workflow_id, operation.run_id]));
  return runs.filter(({ workflowId, runId }) => {
    const bound = owner.get(workflowId);
    return bound === undefined || (bound !== null && bound !== runId);
  });
}
