/**
 * Which run an operation belongs to: bound to one at a time, and handed over when that one is lost.
 * @module
 */
import { sql } from 'kysely';
import { workflowId } from '../domain/operations.ts';
import { type Database, plannedOnce, type Queryable } from './connect.ts';
import { recordOperationEvent } from './events.ts';
import { heldBy, type OperationRow, sentenceStart } from './operations.ts';

/** A run of a workflow, as Temporal names it. */
export interface WorkflowRun {
  readonly workflowId: string;
  readonly runId: string;
}

/**
 * Binds a run to its operation, once; the same run may ask again after a lost answer. A run of a workflow that was lost
 * and replaced is turned away by its workflow id, however late it asks.
 * @returns the operation, or `undefined` when it is closed or belongs to another run.
 */
export async function bindRun(
  db: Queryable,
  operationId: string,
  { workflowId: id, runId }: WorkflowRun,
): Promise<OperationRow | undefined> {
  await db
    .updateTable('operation')
    .set({
      run_id: runId,
      bound_at: sql<Date>`now()`,
      started_at: sql<Date>`coalesce(started_at, now())`,
      state: sql<OperationRow['state']>`case state when 'REQUESTED' then 'RUNNING' else state end`,
    })
    .where('id', '=', operationId)
    .where('workflow_id', '=', id)
    .where('run_id', 'is', null)
    .where('finished_at', 'is', null)
    .modifyEnd(plannedOnce)
    .execute();
  return db
    .selectFrom('operation as o')
    .selectAll('o')
    .where('o.id', '=', operationId)
    .where(heldBy(runId))
    .executeTakeFirst();
}

/**
 * Takes an open operation from a run that has ended without finishing it, so that a recovery run can carry it on. The
 * fence grows: an activity of the lost run that is still at work may write nothing more. What it had been permitted to
 * write is waited for by the first attempt of each step that the recovery takes up.
 * @param lostRunId the run that was lost; `null`: one that ended before it was bound.
 * @param lost how it ended, in words.
 * @returns false when the operation has ended, or is another run's by now.
 */
export async function handOver(
  db: Database,
  operationId: string,
  lostRunId: string | null,
  lost: string,
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const operation = await trx
      .selectFrom('operation as o')
      .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
      .selectAll('o')
      .select('vm.name as vm_name')
      .where('o.id', '=', operationId)
      .where('o.finished_at', 'is', null)
      .where('o.run_id', lostRunId === null ? 'is' : '=', lostRunId)
      // The VM before its lock, like every request: else each could wait for what the other holds.
      .forUpdate(['o', 'vm'])
      .executeTakeFirst();
    if (operation === undefined) return false;
    const { kind, vm_id: vmId, vm_name: vmName } = operation;
    const recovery = operation.recovery + 1;
    const fence = operation.fence + 1;
    await trx
      .updateTable('vm_lock')
      .set({ fence })
      .where('vm_id', '=', vmId)
      .where('operation_id', '=', operationId)
      .execute();
    await trx
      .updateTable('operation')
      .set({
        fence,
        recovery,
        lost,
        run_id: null,
        workflow_id: workflowId({ vmName, vmId, kind, operationId }, recovery),
        handed_over_at: sql<Date>`now()`,
      })
      .where('id', '=', operationId)
      .execute();
    await trx
      .updateTable('step')
      .set({
        epoch: sql<number>`epoch + 1`,
        activity_attempt: 0,
        undo_activity_attempt: 0,
        // However long nobody could work on it: an undo that is taken up again has all of its time.
        compensation_started_at: sql<Date | null>`case
          when compensation in ('RUNNING', 'FAILED') then null else compensation_started_at end`,
      })
      .where('operation_id', '=', operationId)
      .execute();
    await recordOperationEvent(trx, operation, {
      action: 'RUN_LOST',
      severity: 'WARN',
      message: `${sentenceStart(kind)} of ${vmName} is taken over by a recovery run: ${lost}.`,
      details: { lost, recovery, lostWorkflowId: operation.workflow_id, lostRunId },
    });
    return true;
  });
}
