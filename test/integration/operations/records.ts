/**
 * What is on record of operations and of their VM, and waiting for it.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { Database } from '../../../db/connect.ts';
import type { OperationRow } from '../../../db/operations.ts';
import { stepsOf } from '../../../db/steps.ts';
import { isTerminal } from '../../../domain/operations.ts';
import { until } from './until.ts';

export function recordsOf(db: Database, client: Client) {
  const operation = (id: string): Promise<OperationRow> =>
    db.selectFrom('operation').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const residue = (operationId: string) =>
    db
      .selectFrom('residue')
      .selectAll()
      .where('operation_id', '=', operationId)
      .orderBy('created_at')
      .orderBy('id')
      .execute();
  return {
    operation,
    /** The operation once it has ended. */
    ended: (id: string, limitMs?: number) =>
      until(
        `operation ${id} ends`,
        () => operation(id),
        (row) => isTerminal(row.state),
        limitMs,
      ),
    /** Waits until the operation whose run was lost is another run's. */
    takenOver: (operationId: string) =>
      until(
        'a recovery has taken over',
        () => operation(operationId),
        ({ recovery }) => recovery === 1,
      ),
    /** How the run of the operation failed, as JSON. */
    async runFailure(operationId: string): Promise<string> {
      const { workflow_id: workflowId } = await operation(operationId);
      const failure = await client.workflow
        .getHandle(workflowId)
        .result()
        .catch((error: { cause?: unknown }) => error.cause);
      return JSON.stringify(failure);
    },
    /** `NAME STATE/COMPENSATION` for each step. */
    story: async (id: string) =>
      (await stepsOf(db, id)).map((step) =>
        step.compensation === null ? `${step.name} ${step.state}` : `${step.name} ${step.state}/${step.compensation}`,
      ),
    /** What the operation left behind, in the order in which it was named. */
    residue,
    /** What of that nobody has cleared yet. */
    uncleared: async (operationId: string) => (await residue(operationId)).filter((row) => row.cleared_at === null),
    /** The VM's stored row with its lock. */
    vm: (id: string) =>
      db
        .selectFrom('virtual_machine as vm')
        .leftJoin('vm_lock as l', 'l.vm_id', 'vm.id')
        .selectAll('vm')
        .select(['l.operation_id', 'l.fence', 'l.reason'])
        .where('vm.id', '=', id)
        .executeTakeFirstOrThrow(),
  };
}
