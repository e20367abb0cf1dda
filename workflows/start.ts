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
  /** 0 for the first run. */
  readonly recovery: number;
  /** How the run before was lost, in words. */
  readonly lost: string | null;
  readonly datacenter_name: string;
  readonly enterprise_name: string;
  readonly task_queue: string;
}

const WORKFLOW_TYPES: Readonly<Partial<Record<OperationKind, string>>> = {
  REGISTER: 'registerVm',
  DEPLOY: 'deployVm',
  RECONFIGURE: 'reconfigureVm',
  UNDEPLOY: 'undeployVm',
  POWER_ON: 'powerVm',
  POWER_OFF: 'powerVm',
  BACKUP: 'backupVm',
  RESTORE: 'restoreVm',
  SCHEDULE_REFRESH: 'refreshSchedule',
  CLEANUP: 'cleanupVm',
};

/** So many recoveries begin at once; the ones after them wait, so that runs that keep being lost do not make a storm. */
const PROMPT_RECOVERIES = 3;
/** How long a recovery waits at most. Milliseconds. */
const LONGEST_WAIT_MS = 10 * 60_000;

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
  const { recovery, lost } = operation;
  const what = recovery === 0 ? kindSlug(operation.kind) : `recovery of ${kindSlug(operation.kind)}`;
  const why = recovery === 0 ? '' : ` This run carries it on: ${lost ?? 'its run was lost'}.`;
  const patience = recovery - PROMPT_RECOVERIES;
  return {
    taskQueue: operation.task_queue,
    workflowId: operation.workflow_id,
    args: [input],
    workflowIdConflictPolicy: 'FAIL',
    workflowIdReusePolicy: 'REJECT_DUPLICATE',
    staticSummary: `${what} ${operation.vm_name} in ${operation.datacenter_name} for ${operation.enterprise_name}`,
    staticDetails: `Operation \`${operation.id}\`. Its steps and their outcome are also at \`GET /v1/operations/${operation.id}\`.${why}`,
    ...(patience <= 0 ? {} : { startDelay: Math.min(LONGEST_WAIT_MS, 15_000 * 2 ** patience) }),
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
