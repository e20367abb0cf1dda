/**
 * Which operations wait to be started, and what is needed to start one.
 * @module
 */
import { sql } from 'kysely';
import type { Queryable } from './connect.ts';

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
      'vm.name as vm_name',
      'dc.name as datacenter_name',
      'dc.task_queue',
      'e.name as enterprise_name',
    ]);
}

/** What is needed to start the operation's workflow. */
export function startableOperation(db: Queryable, operationId: string) {
  return startable(db).where('o.id', '=', operationId).executeTakeFirstOrThrow();
}

/** Operations that no run has taken up, oldest first, with their age in milliseconds by the database's clock. */
export function unboundOperations(db: Queryable, olderThanMs: number) {
  return startable(db)
    .select(sql<number>`extract(epoch from now() - o.created_at)::float8 * 1000`.as('age_ms'))
    .where('o.finished_at', 'is', null)
    .where('o.run_id', 'is', null)
    .where('o.created_at', '<', sql<Date>`now() - ${olderThanMs} * interval '1 millisecond'`)
    .orderBy('o.created_at')
    .limit(200)
    .execute();
}

/** Open operations that a run has taken up. */
export function boundOpenOperations(db: Queryable) {
  return db
    .selectFrom('operation')
    .select(['id', 'workflow_id', 'run_id', 'recovery'])
    .where('finished_at', 'is', null)
    .where('run_id', 'is not', null)
    .orderBy('created_at')
    .execute();
}
