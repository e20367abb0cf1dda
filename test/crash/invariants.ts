/**
 * The invariants of the whole system once everything has settled.
 * @module
 */
import type { Stage } from './stage.ts';

/** What is broken, counted. */
export interface Invariants {
  /** Locks that no open operation holds. */
  readonly leakedLocks: readonly string[];
  /** Open operations without a run that is open. */
  readonly orphans: readonly string[];
  /** Open runs whose operation has ended. */
  readonly idleRuns: readonly string[];
}

export async function brokenInvariants(stage: Stage): Promise<Invariants> {
  const leaked = await stage.rows<{ vm_id: string }>(
    `select l.vm_id from vm_lock l left join operation o on o.id = l.operation_id and o.finished_at is null
     where l.operation_id is not null and o.id is null`,
  );
  const open = await stage.rows<{ id: string; workflow_id: string }>(
    'select id, workflow_id from operation where finished_at is null',
  );
  const orphans: string[] = [];
  for (const { id, workflow_id } of open) {
    const status = await stage.temporal.workflow
      .getHandle(workflow_id)
      .describe()
      .then(
        (run) => run.status.name,
        () => 'not started',
      );
    if (status !== 'RUNNING') orphans.push(`operation ${id}, its run is ${status}`);
  }
  const idleRuns: string[] = [];
  const query = `ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'vm/'`;
  for await (const run of stage.temporal.workflow.list({ query })) {
    const bare = run.workflowId.replace(/\/recovery-\d+$/, '');
    if (open.some(({ workflow_id }) => workflow_id.replace(/\/recovery-\d+$/, '') === bare)) continue;
    // The list is a little behind the runs.
    const { status } = await stage.temporal.workflow.getHandle(run.workflowId, run.runId).describe();
    if (status.name === 'RUNNING') idleRuns.push(run.workflowId);
  }
  return { leakedLocks: leaked.map((row) => row.vm_id), orphans, idleRuns };
}
