/**
 * How an operation's workflow is started: the same way by the API, by the watcher and by the reconciler.
 * @module
 */
import { TypedSearchAttributes } from '@temporalio/common';
import { kindSlug, type OperationKind, type OperationOrigin } from '../domain/operations.ts';
import type { Limits, OperationInput } from './contract.ts';
import { DATACENTER, ENTERPRISE, NEEDS_ATTENTION, OPERATION_ID, OPERATION_KIND, VM_ID } from './search-attributes.ts';

/** What is known of an operation that shall be started. */
export interface Startable {
  readonly id: string;
  readonly kind: OperationKind;
  readonly origin: OperationOrigin;
  readonly vm_id: string;
  readonly vm_name: string;
  readonly workflow_id: string;
  readonly datacenter_name: string;
  readonly enterprise_name: string;
  readonly task_queue: string;
}

const WORKFLOW_TYPES: Readonly<Partial<Record<OperationKind, string>>> = {
  DEPLOY: 'deployVm',
  RECONFIGURE: 'reconfigureVm',
  UNDEPLOY: 'undeployVm',
  POWER_ON: 'powerVm',
  POWER_OFF: 'powerVm',
  BACKUP: 'backupVm',
  RESTORE: 'restoreVm',
};

/** The workflow type of an operation. */
export function workflowType(kind: OperationKind, origin: OperationOrigin): string {
  const type = origin === 'BACKUP_SYSTEM' ? 'observeSession' : WORKFLOW_TYPES[kind];
  if (type === undefined) throw new Error(`no workflow runs operations of kind ${kind}`);
  return type;
}

/**
 * The options of the start. The id belongs to this operation alone and is never used again, so "already started"
 * always means that this operation was started.
 */
export function operationStart(operation: Startable, limits: Limits) {
  const { stepRetryMs, undoRetryMs } = limits;
  const input: OperationInput = { operationId: operation.id, limits: { stepRetryMs, undoRetryMs } };
  const what = kindSlug(operation.kind);
  return {
    taskQueue: operation.task_queue,
    workflowId: operation.workflow_id,
    args: [input],
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    staticSummary: `${what} ${operation.vm_name} in ${operation.datacenter_name} for ${operation.enterprise_name}`,
    staticDetails: `Operation \`${operation.id}\`. Its steps and their outcome are also at \`GET /v1/operations/${operation.id}\`.`,
    typedSearchAttributes: new TypedSearchAttributes([
      { key: VM_ID, value: operation.vm_id },
      { key: DATACENTER, value: operation.datacenter_name },
      { key: ENTERPRISE, value: operation.enterprise_name },
      { key: OPERATION_KIND, value: operation.kind },
      { key: OPERATION_ID, value: operation.id },
      { key: NEEDS_ATTENTION, value: false },
    ]),
  } as const;
}

/** What `startOperation` needs of a Temporal client. */
export interface WorkflowStarter {
  readonly workflow: {
    start(type: string, options: ReturnType<typeof operationStart>): Promise<unknown>;
  };
}

/**
 * Starts the operation's workflow; already started is success.
 * @returns whether this call started it.
 * @throws when Temporal cannot be reached in time: the reconciler will start it.
 */
export async function startOperation(client: WorkflowStarter, operation: Startable, limits: Limits): Promise<boolean> {
  try {
    await client.workflow.start(workflowType(operation.kind, operation.origin), operationStart(operation, limits));
    return true;
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowExecutionAlreadyStartedError') return false;
    throw error;
  }
}
