/**
 * Requests for operations: what is checked, locked and inserted before anything is started, in one transaction each.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import { managerById } from '../db/backup-managers.ts';
import type { Database, Queryable } from '../db/connect.ts';
import { rememberRequest, repeatedRequest } from '../db/idempotency.ts';
import { lastCheck } from '../db/manager-checks.ts';
import { startableOperation } from '../db/operation-starts.ts';
import { requestOperation, sentenceStart } from '../db/operations.ts';
import { type LockedVm, lockVm, vmOfResult } from '../db/virtual-machines.ts';
import { type ErrorCode, HoldfastError } from '../domain/errors.ts';
import { type OperationKind, tail } from '../domain/operations.ts';
import { planSteps } from '../domain/plan.ts';
import type { Principal } from '../domain/privileges.ts';
import { ALLOWED_FROM, type VmState } from '../domain/virtual-machines.ts';
import type { Config } from '../temporal.config.ts';
import { startOperation } from '../workflows/start.ts';
import {
  backupDemand,
  cleanupDemand,
  type Demand,
  deployDemand,
  reconfigureDemand,
  restoreDemand,
  undeployDemand,
  vmToClean,
} from './operation-demands.ts';
import { cancel, settle } from './operation-endings.ts';
import { insertRegistered } from './virtual-machine-drafts.ts';
import type { Idempotency, OperationRequests, RequestedOperation, VmRequest } from './operation-requests.types.ts';

/** What the requests are handed. */
export interface RequestDependencies {
  readonly db: Database;
  readonly temporal: Client;
  readonly logger: Logger;
  readonly limits: Config['limits'];
  readonly periodicTaskQueue: string;
}

/** The start of a workflow may take so long; the reconciler does what this could not. Milliseconds. */
const START_DEADLINE_MS = 3_000;
/** A check is waited for so long. Milliseconds. */
const CHECK_LIMIT_MS = 10_000;

/** Makes the functions by which the routes ask for operations. */
export function createOperationRequests(deps: RequestDependencies): OperationRequests {
  const ask = (
    kind: OperationKind,
    request: VmRequest<unknown>,
    demand: (trx: Queryable, vm: LockedVm) => Promise<Demand>,
  ) => requestAndStart(deps, kind, request, demand);

  return {
    register: ({ body, ...request }) =>
      requestAndStart(
        deps,
        'REGISTER',
        { ...request, vmId: (trx) => insertRegistered(trx, request.principal, body) },
        () => Promise.resolve({ request: { hypervisorRef: body.hypervisorRef } }),
      ),
    deploy: (request) => ask('DEPLOY', request, (trx, vm) => deployDemand(trx, vm)),
    undeploy: (request) =>
      ask('UNDEPLOY', request, (trx, vm) => undeployDemand(trx, vm, request.body, request.principal)),
    powerOn: (request) => ask('POWER_ON', request, () => Promise.resolve({})),
    powerOff: (request) => ask('POWER_OFF', request, () => Promise.resolve({})),
    backup: (request) => ask('BACKUP', request, (trx, vm) => backupDemand(trx, vm, request.body)),
    reconfigure: (request) =>
      ask('RECONFIGURE', request, (trx, vm) => reconfigureDemand(trx, vm, request.body, request.principal)),
    restore: async ({ principal, resultId, body, idempotency }) => {
      const vmId = await vmOfResult(deps.db, resultId, principal.enterpriseId);
      if (vmId === undefined) {
        throw new HoldfastError('BACKUP_RESTORE_NOT_FOUND', `There is no backup result ${resultId}.`);
      }
      return ask('RESTORE', { principal, vmId, body, idempotency }, (trx, vm) =>
        restoreDemand(trx, vm, resultId, body),
      );
    },
    retryCleanup: ({ operationId, ...request }) =>
      requestAndStart(
        deps,
        'CLEANUP',
        { ...request, vmId: (trx) => vmToClean(trx, operationId, request.principal) },
        (trx) => cleanupDemand(trx, operationId),
      ),
    cancel: (request) => cancel(deps, request),
    settle: (request) => settle(deps, request),
    checkManager: (managerId) => checkManager(deps, managerId),
  };
}

/** Which VM an operation is asked for: one that is there, or one that the request makes. */
interface Subject extends Pick<VmRequest<unknown>, 'principal' | 'idempotency'> {
  readonly vmId: string | ((trx: Queryable) => Promise<string>);
}

async function requestAndStart(
  deps: RequestDependencies,
  kind: OperationKind,
  { principal, vmId: known, idempotency }: Subject,
  demandOf: (trx: Queryable, vm: LockedVm) => Promise<Demand>,
): Promise<RequestedOperation> {
  const requested = await deps.db.transaction().execute(async (trx): Promise<RequestedOperation> => {
    const repeated = await findRepeated(trx, principal, idempotency);
    if (repeated !== undefined) return { operationId: repeated, repeated: true };
    const vmId = typeof known === 'string' ? known : await known(trx);
    const vm = await lockVm(trx, vmId, principal.enterpriseId, kind === 'CLEANUP');
    if (vm === undefined) throw new HoldfastError('NOT_FOUND', `There is no virtual machine ${vmId}.`);
    // The lock is looked at before the state: while an operation is under way the stored state is about to change.
    if (vm.lockedBy === null) requireState(kind, vm);
    const demand = vm.lockedBy === null ? await demandOf(trx, vm) : {};
    const operation = await requestOperation(trx, {
      vm,
      kind,
      origin: 'HOLDFAST',
      request: demand.request ?? {},
      desired: demand.desired ?? {},
      steps:
        demand.steps ??
        planSteps({
          kind,
          origin: 'HOLDFAST',
          currentSchedules: demand.currentSchedules ?? [],
          desiredSchedules: demand.desired?.schedules ?? [],
          ...(demand.hardware === undefined ? {} : { hardware: demand.hardware }),
          ...(demand.managerId === undefined ? {} : { managerId: demand.managerId }),
          replication: demand.request?.replication === true,
          restoresAsNewMachine: demand.restoresAsNewMachine === true,
        }),
      requestedBy: principal.name,
    });
    if (idempotency !== undefined) {
      await rememberRequest(trx, { tokenId: principal.tokenId, ...idempotency, operationId: operation.id });
    }
    return { operationId: operation.id, repeated: false };
  });
  if (!requested.repeated) await start(deps, requested.operationId);
  return requested;
}

async function findRepeated(
  trx: Queryable,
  principal: Principal,
  idempotency: Idempotency | undefined,
): Promise<string | undefined> {
  if (idempotency === undefined) return undefined;
  const known = await repeatedRequest(trx, { tokenId: principal.tokenId, ...idempotency });
  if (known === undefined || known.requestHash === idempotency.requestHash) return known?.operationId;
  throw new HoldfastError(
    'IDEMPOTENCY_KEY_REUSED',
    `The Idempotency-Key ${idempotency.key} began operation ${known.operationId} with another request. Use a new key.`,
  );
}

/** After the commit the operation will be started, by this or by the reconciler: the answer is the same. */
async function start(deps: RequestDependencies, operationId: string): Promise<void> {
  try {
    const operation = await startableOperation(deps.db, operationId);
    await deps.temporal.connection.withDeadline(Date.now() + START_DEADLINE_MS, () =>
      startOperation(deps.temporal, operation, deps.limits),
    );
  } catch (error) {
    deps.logger.warn({ err: error, operationId }, 'the operation will be started by the reconciler');
  }
}

const STATE_ERRORS: Readonly<Partial<Record<OperationKind, ErrorCode>>> = {
  DEPLOY: 'VM_DEPLOY_NOT_ALLOWED',
  UNDEPLOY: 'VM_UNDEPLOY_NOT_ALLOWED',
  BACKUP: 'BACKUP_REQUEST_VM_MUST_BE_DEPLOYED',
  RESTORE: 'BACKUP_RESTORE_VM_MUST_BE_DEPLOYED',
};

/** States in which there is no machine yet that could be changed. */
const NOT_DEPLOYED_STATES: readonly VmState[] = ['NOT_ALLOCATED', 'ALLOCATED', 'CONFIGURED'];

function requireState(kind: OperationKind, vm: LockedVm): void {
  if (ALLOWED_FROM[kind].includes(vm.state)) return;
  const allowed = ALLOWED_FROM[kind].join(', ');
  throw new HoldfastError(
    STATE_ERRORS[kind] ?? (NOT_DEPLOYED_STATES.includes(vm.state) ? 'VM_NOT_DEPLOYED' : 'VM_STATE_NOT_ALLOWED'),
    `${vm.name} is ${vm.state}. ${sentenceStart(kind)} is possible from ${allowed}.`,
    { state: vm.state },
  );
}

async function checkManager(deps: RequestDependencies, managerId: string) {
  const manager = await managerById(deps.db, managerId);
  if (manager === undefined) throw new HoldfastError('NOT_FOUND', `There is no backup manager ${managerId}.`);
  const handle = await deps.temporal.workflow.start('checkManager', {
    taskQueue: deps.periodicTaskQueue,
    workflowId: `check/${manager.name}~${tail(managerId)}`,
    // Two people who check at once get one look.
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [managerId],
    staticSummary: `check ${manager.name}`,
  });
  const inTime = await Promise.race([
    handle.result().then(() => true),
    new Promise<false>((resolve) => setTimeout(resolve, CHECK_LIMIT_MS, false).unref()),
  ]);
  const check = inTime ? await lastCheck(deps.db, managerId) : null;
  if (check !== null) return check;
  throw new HoldfastError(
    'CHECK_TIMED_OUT',
    'The check has not ended within 10 s. Its outcome will be stored with the backup manager: look there in a while.',
  );
}
