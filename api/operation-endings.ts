/**
 * Ending operations before their time: what the database decides is passed on at once, and repeated by the reconciler
 * where that did not succeed.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { type CancelAnswer, cancelOperation } from '../db/cancellation.ts';
import type { Database } from '../db/connect.ts';
import { requestSettlement, trySettle } from '../db/settlement.ts';
import { WRITE_SETTLED_MS } from '../domain/writes.ts';
import { notFound } from './not-found.ts';
import type { OperationSubject, SettleBody } from './operation-requests.types.ts';

/** What is needed to end an operation. */
interface EndingDependencies {
  readonly db: Database;
  readonly temporal: Client;
  readonly logger: Logger;
}

/** The run is told within so long; the reconciler does what this could not. Milliseconds. */
const TELL_DEADLINE_MS = 3_000;

/**
 * Cancels an operation where that can be done.
 * @throws HoldfastError NOT_FOUND.
 */
export async function cancel(
  deps: EndingDependencies,
  { principal, operationId }: OperationSubject,
): Promise<CancelAnswer> {
  const tenant = principal.enterpriseId;
  const answer = await cancelOperation(deps.db, { operationId, tenant, by: principal.name });
  if (answer === undefined) throw notFound('operation', operationId);
  const { decision, reason, run } = answer;
  if (run !== null) {
    try {
      await deps.temporal.connection.withDeadline(Date.now() + TELL_DEADLINE_MS, () =>
        deps.temporal.workflow.getHandle(run.workflowId, run.runId).cancel(),
      );
    } catch (error) {
      deps.logger.warn({ err: error, operationId }, 'the run will be told of the cancel by the reconciler');
    }
  }
  return { decision, reason };
}

/**
 * Settles an operation, and ends it at once where nothing that it wrote can still take effect.
 * @throws HoldfastError NOT_FOUND, OPERATION_ENDED, OPERATION_SETTLED, OPERATION_NOT_SETTLEABLE.
 */
export async function settle(
  deps: EndingDependencies,
  { principal, operationId, body }: OperationSubject & { readonly body: SettleBody },
): Promise<void> {
  const wish = { operationId, tenant: principal.enterpriseId, by: principal.name, ...body };
  if (!(await requestSettlement(deps.db, wish))) throw notFound('operation', operationId);
  await trySettle(deps.db, operationId, WRITE_SETTLED_MS);
}
