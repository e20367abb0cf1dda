/**
 * Requests for operations: what is checked, locked and inserted before anything is started, in one transaction each.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { DesiredConfiguration, OperationRequest } from '../db/columns.ts';
import type { Database, Queryable } from '../db/connect.ts';
import { rememberRequest, repeatedRequest } from '../db/idempotency.ts';
import { lastCheck, managerById } from '../db/manager-checks.ts';
import { existingSchedules, managersKnowing } from '../db/operation-context.ts';
import { requestOperation, startableOperation } from '../db/operations.ts';
import { allowedPolicies } from '../db/policy-choices.ts';
import { restorableCopies } from '../db/results.ts';
import { type LockedVm, lockVm, vmOfResult } from '../db/virtual-machines.ts';
import { type ErrorCode, HoldfastError } from '../domain/errors.ts';
import { kindSlug, type OperationKind } from '../domain/operations.ts';
import { planSteps } from '../domain/plan.ts';
import { backupPluginType } from '../domain/plugin-types.ts';
import { mayDo, type Principal, type Privilege } from '../domain/privileges.ts';
import { type BackupSchedule, type ChosenPolicy, resolveSchedules, sameSchedule } from '../domain/schedules.ts';
import { ALLOWED_FROM, type Hardware, sameDisks, sameHardware } from '../domain/virtual-machines.ts';
import type { Config } from '../temporal.config.ts';
import { startOperation } from '../workflows/start.ts';
import type {
  BackupBody,
  Idempotency,
  OperationRequests,
  ReconfigureBody,
  RequestedOperation,
  RestoreBody,
  VmRequest,
} from './operation-requests.types.ts';

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

/** What an operation needs beyond its kind. */
interface Demand {
  readonly request?: OperationRequest;
  readonly desired?: DesiredConfiguration;
  readonly currentSchedules?: readonly BackupSchedule[];
  readonly hardware?: { readonly current: Hardware; readonly desired: Hardware };
  readonly managerId?: string;
}

/** Makes the functions by which the routes ask for operations. */
export function createOperationRequests(deps: RequestDependencies): OperationRequests {
  const ask = (
    kind: OperationKind,
    request: VmRequest<unknown>,
    demand: (trx: Queryable, vm: LockedVm) => Promise<Demand>,
  ) => requestAndStart(deps, kind, request, demand);

  return {
    deploy: (request) => ask('DEPLOY', request, (trx, vm) => deployDemand(trx, vm)),
    undeploy: (request) => ask('UNDEPLOY', request, (trx, vm) => undeployDemand(trx, vm)),
    powerOn: (request) => ask('POWER_ON', request, () => Promise.resolve({})),
    powerOff: (request) => ask('POWER_OFF', request, () => Promise.resolve({})),
    backup: (request) => ask('BACKUP', request, (trx, vm) => backupDemand(trx, vm, request.body)),
    reconfigure: (request) =>
      ask('RECONFIGURE', request, (trx, vm) => reconfigureDemand(trx, vm, request.body, request.principal)),
    restore: async ({ principal, resultId, body, idempotency }) => {
      const vmId = await vmOfResult(deps.db, resultId, principal.enterpriseId);
      if (vmId === undefined) {
        throw new HoldfastError('BACKUP_RESTORE_NOT_FOUND', `there is no backup result ${resultId}`);
      }
      return ask('RESTORE', { principal, vmId, body, idempotency }, (trx, vm) =>
        restoreDemand(trx, vm, resultId, body),
      );
    },
    checkManager: (managerId) => checkManager(deps, managerId),
  };
}

async function requestAndStart(
  deps: RequestDependencies,
  kind: OperationKind,
  { principal, vmId, idempotency }: VmRequest<unknown>,
  demandOf: (trx: Queryable, vm: LockedVm) => Promise<Demand>,
): Promise<RequestedOperation> {
  const requested = await deps.db.transaction().execute(async (trx): Promise<RequestedOperation> => {
    const repeated = await findRepeated(trx, principal, idempotency);
    if (repeated !== undefined) return { operationId: repeated, repeated: true };
    const vm = await lockVm(trx, vmId, principal.enterpriseId);
    if (vm === undefined) throw new HoldfastError('NOT_FOUND', `there is no virtual machine ${vmId}`);
    // The lock is looked at before the state: while an operation is under way the stored state is about to change.
    if (vm.lockedBy === null) requireState(kind, vm);
    const demand = vm.lockedBy === null ? await demandOf(trx, vm) : {};
    const operation = await requestOperation(trx, {
      vm,
      kind,
      origin: 'HOLDFAST',
      request: demand.request ?? {},
      desired: demand.desired ?? {},
      steps: planSteps({
        kind,
        origin: 'HOLDFAST',
        currentSchedules: demand.currentSchedules ?? [],
        desiredSchedules: demand.desired?.schedules ?? [],
        ...(demand.hardware === undefined ? {} : { hardware: demand.hardware }),
        ...(demand.managerId === undefined ? {} : { managerId: demand.managerId }),
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
    `the Idempotency-Key ${idempotency.key} began operation ${known.operationId} with another body; use a new key`,
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

function requireState(kind: OperationKind, vm: LockedVm): void {
  if (ALLOWED_FROM[kind].includes(vm.state)) return;
  const allowed = ALLOWED_FROM[kind].join(', ');
  throw new HoldfastError(
    STATE_ERRORS[kind] ?? 'VM_STATE_NOT_ALLOWED',
    `${vm.name} is ${vm.state}; a ${kindSlug(kind)} is possible in ${allowed}`,
    { state: vm.state },
  );
}

async function deployDemand(trx: Queryable, vm: LockedVm): Promise<Demand> {
  const schedules = await schedulesOf(trx, vm, vm.hardware, vm.backupPolicies);
  return {
    desired: { hardware: vm.hardware, backupPolicies: vm.backupPolicies, schedules },
    currentSchedules: (await existingSchedules(trx, vm.id)).map((known) => known.schedule),
  };
}

/**
 * An undeploy of a VM whose state nobody knows looks for schedules wherever there may be one: in every manager that
 * knows the VM, and in those of its policies.
 */
async function undeployDemand(trx: Queryable, vm: LockedVm): Promise<Demand> {
  const current = (await existingSchedules(trx, vm.id)).map((known) => known.schedule);
  if (vm.state !== 'UNKNOWN') return { currentSchedules: current };
  const policies = await allowedPolicies(trx, vm.enterpriseId, vm.datacenterId);
  const chosen = vm.backupPolicies.flatMap(({ policyId }) => policies.get(policyId)?.managerId ?? []);
  const managers = new Set([...(await managersKnowing(trx, vm.id)), ...chosen]);
  const others = [...managers].filter((managerId) => !current.some((schedule) => schedule.managerId === managerId));
  return { currentSchedules: [...current, ...others.map((managerId) => ({ managerId, policies: [] }))] };
}

async function reconfigureDemand(
  trx: Queryable,
  vm: LockedVm,
  body: ReconfigureBody,
  principal: Principal,
): Promise<Demand> {
  if (!sameDisks(vm.hardware.disks, body.hardware.disks)) {
    throw new HoldfastError(
      'VM_DISKS_NOT_RECONFIGURABLE',
      `${vm.name} is deployed: its cpu, memory and backup configuration can change, its disks not yet`,
      {},
      [{ pointer: '/disks', detail: 'leave the disks as they are', code: 'VM_DISKS_NOT_RECONFIGURABLE' }],
    );
  }
  const schedules = await schedulesOf(trx, vm, body.hardware, body.backupPolicies);
  const current = (await existingSchedules(trx, vm.id)).map((known) => known.schedule);
  const managers = new Set([...schedules, ...current].map((schedule) => schedule.managerId));
  const of = (list: readonly BackupSchedule[], id: string) => list.find((schedule) => schedule.managerId === id);
  const sameSchedules = [...managers].every((id) => sameSchedule(of(schedules, id), of(current, id)));
  const sameMachine = sameHardware(vm.hardware, body.hardware);
  if (sameMachine && sameSchedules) {
    throw new HoldfastError('NOTHING_TO_RECONFIGURE', `${vm.name} already is as the request says`);
  }
  if (!sameMachine) requirePrivilege(principal, 'VAPP_MANAGE', 'change its hardware');
  if (!sameSchedules) requirePrivilege(principal, 'VAPP_MANAGE_BACKUP', 'change its backup policies');
  return {
    desired: { hardware: body.hardware, backupPolicies: body.backupPolicies, schedules },
    currentSchedules: current,
    hardware: { current: vm.hardware, desired: body.hardware },
  };
}

function requirePrivilege(principal: Principal, privilege: Privilege, what: string): void {
  if (mayDo(principal, privilege)) return;
  throw new HoldfastError('FORBIDDEN', `the role ${principal.role} may not ${what} (needs ${privilege})`);
}

async function schedulesOf(
  trx: Queryable,
  vm: LockedVm,
  hardware: Hardware,
  chosen: readonly ChosenPolicy[],
): Promise<BackupSchedule[]> {
  const policies = await allowedPolicies(trx, vm.enterpriseId, vm.datacenterId);
  const labels = hardware.disks.map((disk) => disk.label);
  const { schedules, problems } = resolveSchedules(chosen, policies, labels);
  if (problems.length > 0) {
    throw new HoldfastError('INVALID_REQUEST', 'the backup configuration cannot be scheduled', {}, problems);
  }
  return schedules;
}

async function backupDemand(trx: Queryable, vm: LockedVm, body: BackupBody): Promise<Demand> {
  const policies = await allowedPolicies(trx, vm.enterpriseId, vm.datacenterId);
  const candidates = body.policyId === undefined ? vm.backupPolicies.map((chosen) => chosen.policyId) : [body.policyId];
  const [policyId, ...others] = candidates;
  const choices = candidates.map((id) => policies.get(id)).filter((policy) => policy !== undefined);
  if (policyId === undefined || others.length > 0) {
    const list = choices.map((policy) => `${policy.code} (${policy.id})`).join(', ');
    const detail =
      policyId === undefined ? 'the virtual machine has no policy: name one' : `name one of its policies: ${list}`;
    throw new HoldfastError('BACKUP_POLICY_AMBIGUOUS', detail, {}, [
      { pointer: '/policyId', detail, code: 'BACKUP_POLICY_AMBIGUOUS' },
    ]);
  }
  const policy = policies.get(policyId);
  if (policy === undefined) {
    const detail = 'no such policy is allowed to this enterprise in this datacenter';
    throw new HoldfastError('BACKUP_POLICY_NOT_FOUND', detail, {}, [
      { pointer: '/policyId', detail, code: 'BACKUP_POLICY_NOT_FOUND' },
    ]);
  }
  const manager = await managerById(trx, policy.managerId);
  const plugin = backupPluginType(manager.type);
  if (plugin?.operations.onDemandBackup !== true) {
    throw new HoldfastError('BACKUP_ONDEMAND_NOT_SUPPORTED', `${manager.name} makes backups by schedule only`);
  }
  const replication = body.replication ?? policy.replication;
  if (replication && !plugin.operations.replication) {
    throw new HoldfastError('BACKUP_INVALID_REPLICATION_OPTION', `${manager.name} has no replication option`, {}, [
      { pointer: '/replication', detail: 'leave it out', code: 'BACKUP_INVALID_REPLICATION_OPTION' },
    ]);
  }
  return {
    managerId: manager.id,
    request: { policyId, managerId: manager.id, replication, retentionDays: policy.retentionDays },
  };
}

async function restoreDemand(trx: Queryable, vm: LockedVm, resultId: string, body: RestoreBody): Promise<Demand> {
  const copies = await restorableCopies(trx, resultId);
  const copy = body.copyId === undefined ? copies[0] : copies.find((candidate) => candidate.id === body.copyId);
  if (copy === undefined) {
    throw new HoldfastError(
      'BACKUP_STATUS_FOR_RESTORE',
      'the backup is not finished, has failed, or no copy of it exists any more',
    );
  }
  const manager = await managerById(trx, copy.manager_id);
  if (backupPluginType(manager.type)?.constraints.restoreNeedsPowerOff === true && vm.state !== 'OFF') {
    throw new HoldfastError(
      'BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF',
      `${manager.name} restores into a virtual machine that is off; ${vm.name} is ${vm.state}. Power it off first.`,
      { state: vm.state },
    );
  }
  return {
    managerId: manager.id,
    request: { resultId, copyId: copy.id, managerId: manager.id },
    currentSchedules: (await existingSchedules(trx, vm.id)).map((known) => known.schedule),
  };
}

async function checkManager(deps: RequestDependencies, managerId: string) {
  const handle = await deps.temporal.workflow.start('checkManager', {
    taskQueue: deps.periodicTaskQueue,
    workflowId: `check/${managerId}`,
    // Two people who check at once get one look.
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [managerId],
    staticSummary: 'check a backup manager',
  });
  const inTime = await Promise.race([
    handle.result().then(() => true),
    new Promise<false>((resolve) => setTimeout(resolve, CHECK_LIMIT_MS, false).unref()),
  ]);
  const check = inTime ? await lastCheck(deps.db, managerId) : null;
  if (check !== null) return check;
  throw new HoldfastError(
    'CHECK_TIMED_OUT',
    'the check has not ended within 10 s; its outcome will be stored with the backup manager',
  );
}
