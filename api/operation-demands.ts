/**
 * What each kind of operation needs beyond its kind, checked in the transaction that takes the VM's lock.
 * @module
 */
import type { DesiredConfiguration, OperationRequest } from '../db/columns.ts';
import type { Queryable } from '../db/connect.ts';
import { managerById } from '../db/backup-managers.ts';
import { leftoversOf, operationToClean } from '../db/cleanup.ts';
import { certainly, existingSchedules, managersKnowing } from '../db/operation-context.ts';
import { schedulesToReckonWith } from '../db/vm-schedules.ts';
import { lockAllowedPolicies } from '../db/backup-policies.ts';
import { copyById, restorableCopies } from '../db/result-copies.ts';
import type { LockedVm } from '../db/virtual-machines.ts';
import { HoldfastError } from '../domain/errors.ts';
import type { PlannedStep } from '../domain/plan.ts';
import { backupPluginType } from '../domain/plugin-types.ts';
import { mayDo, type Principal, type Privilege } from '../domain/privileges.ts';
import { cleanupSteps } from '../domain/residue.ts';
import { type BackupSchedule, type ChosenPolicy, resolveSchedules, sameSchedule } from '../domain/schedules.ts';
import { type Disk, diskChanges, type Hardware, sameHardware } from '../domain/virtual-machines.ts';
import { notFound } from './not-found.ts';
import { refuseProblems } from './validation.ts';
import type { BackupBody, ReconfigureBody, RestoreBody, UndeployBody } from './operation-requests.types.ts';

/** What an operation needs beyond its kind. */
export interface Demand {
  readonly request?: OperationRequest;
  readonly desired?: DesiredConfiguration;
  readonly currentSchedules?: readonly BackupSchedule[];
  readonly hardware?: { readonly current: Hardware; readonly desired: Hardware };
  readonly managerId?: string;
  /** RESTORE only: whether the backup system makes a machine of its own. */
  readonly restoresAsNewMachine?: boolean;
  /** CLEANUP only: its steps follow from what is left, not from its kind. */
  readonly steps?: readonly PlannedStep[];
}

/** DEPLOY: the VM as its draft says, with the schedules that follow from its policies. */
export async function deployDemand(trx: Queryable, vm: LockedVm): Promise<Demand> {
  const schedules = await schedulesOf(trx, vm, vm.hardware, vm.backupPolicies);
  return {
    desired: { hardware: vm.hardware, backupPolicies: vm.backupPolicies, schedules },
    currentSchedules: await schedulesToReckonWith(trx, vm.id),
  };
}

/**
 * An undeploy of a VM whose state nobody knows looks for schedules wherever there may be one: in every manager that
 * knows the VM, and in those of its policies.
 */
export async function undeployDemand(
  trx: Queryable,
  vm: LockedVm,
  body: UndeployBody,
  principal: Principal,
): Promise<Demand> {
  const forced = body.forceUndeploy === true;
  if (forced) requirePrivilege(principal, 'VAPP_FORCE_UNDEPLOY', 'force an undeploy');
  const request = forced ? { forceUndeploy: true } : {};
  const current = await schedulesToReckonWith(trx, vm.id);
  if (vm.state !== 'UNKNOWN') return { request, currentSchedules: current };
  const policies = await policiesOf(trx, vm, vm.backupPolicies);
  const chosen = [...policies.values()].map((policy) => policy.managerId);
  const managers = new Set([...(await managersKnowing(trx, vm.id)), ...chosen]);
  const others = [...managers].filter((managerId) => !current.some((schedule) => schedule.managerId === managerId));
  return { request, currentSchedules: [...current, ...others.map((managerId) => ({ managerId, policies: [] }))] };
}

/** RECONFIGURE: what changes, and whether the one who asks may change it. */
export async function reconfigureDemand(
  trx: Queryable,
  vm: LockedVm,
  body: ReconfigureBody,
  principal: Principal,
): Promise<Demand> {
  const { shrunk, removed } = diskChanges(vm.hardware.disks, body.hardware.disks);
  refuseShrinking(vm.hardware.disks, body.hardware.disks, shrunk);
  const schedules = await schedulesOf(trx, vm, body.hardware, body.backupPolicies);
  const current = await schedulesToReckonWith(trx, vm.id);
  const managers = new Set([...schedules, ...current].map((schedule) => schedule.managerId));
  const of = (list: readonly BackupSchedule[], id: string) => list.find((schedule) => schedule.managerId === id);
  const sameSchedules = [...managers].every((id) => sameSchedule(of(schedules, id), of(current, id)));
  const sameMachine = sameHardware(vm.hardware, body.hardware);
  if (sameMachine && sameSchedules) {
    throw new HoldfastError(
      'NOTHING_TO_RECONFIGURE',
      `${vm.name} already is as the request says: there is nothing to do.`,
    );
  }
  if (!sameMachine) requirePrivilege(principal, 'VAPP_MANAGE', 'change its hardware');
  if (!sameSchedules) requirePrivilege(principal, 'VAPP_MANAGE_BACKUP', 'change its backup policies');
  return {
    request: removed.length === 0 ? {} : { removedDisks: removed.map((disk) => disk.label) },
    desired: { hardware: body.hardware, backupPolicies: body.backupPolicies, schedules },
    currentSchedules: current,
    hardware: { current: vm.hardware, desired: body.hardware },
  };
}

/** A disk of a deployed VM can grow; to make it smaller would cut off what is on it. */
function refuseShrinking(current: readonly Disk[], wanted: readonly Disk[], shrunk: readonly Disk[]): void {
  refuseProblems(
    shrunk.map((disk) => ({
      pointer: `/disks/${wanted.indexOf(disk)}/sizeGiB`,
      detail: `disk ${disk.label} has ${sizeOf(current, disk.label)} GiB and cannot shrink to ${disk.sizeGiB} GiB`,
      code: 'VM_DISK_CANNOT_SHRINK',
    })),
  );
}

function sizeOf(disks: readonly Disk[], label: string): number | undefined {
  return disks.find((disk) => disk.label === label)?.sizeGiB;
}

function requirePrivilege(principal: Principal, privilege: Privilege, what: string): void {
  if (mayDo(principal, privilege)) return;
  throw new HoldfastError('FORBIDDEN', `The role ${principal.role} may not ${what}: it lacks ${privilege}.`);
}

async function schedulesOf(
  trx: Queryable,
  vm: LockedVm,
  hardware: Hardware,
  chosen: readonly ChosenPolicy[],
): Promise<BackupSchedule[]> {
  const policies = await policiesOf(trx, vm, chosen);
  const labels = hardware.disks.map((disk) => disk.label);
  const { schedules, problems } = resolveSchedules(chosen, policies, labels);
  refuseProblems(problems);
  return schedules;
}

/** Those of the chosen policies that the VM may use; they stay as they are until the operation is requested. */
function policiesOf(trx: Queryable, vm: LockedVm, chosen: readonly Pick<ChosenPolicy, 'policyId'>[]) {
  return lockAllowedPolicies(trx, {
    enterpriseId: vm.enterpriseId,
    datacenterId: vm.datacenterId,
    policyIds: chosen.map(({ policyId }) => policyId),
  });
}

/** BACKUP: by the policy that is named, or by the only one that the VM has. */
export async function backupDemand(trx: Queryable, vm: LockedVm, body: BackupBody): Promise<Demand> {
  const candidates = body.policyId === undefined ? vm.backupPolicies : [{ policyId: body.policyId }];
  const policies = await policiesOf(trx, vm, candidates);
  const [policyId, ...others] = candidates.map((chosen) => chosen.policyId);
  if (policyId === undefined || others.length > 0) {
    const list = [...policies.values()].map((policy) => `${policy.code} (${policy.id})`).join(', ');
    const detail =
      policyId === undefined
        ? 'The virtual machine has no policy: name one.'
        : `The virtual machine has several policies; name one: ${list}.`;
    throw new HoldfastError('BACKUP_POLICY_AMBIGUOUS', detail, {}, [
      { pointer: '/policyId', detail, code: 'BACKUP_POLICY_AMBIGUOUS' },
    ]);
  }
  const policy = policies.get(policyId);
  if (policy === undefined) {
    const detail = 'No such policy is allowed to this enterprise in this datacenter.';
    throw new HoldfastError('BACKUP_POLICY_NOT_FOUND', detail, {}, [
      { pointer: '/policyId', detail, code: 'BACKUP_POLICY_NOT_FOUND' },
    ]);
  }
  const manager = await requireManager(trx, policy.managerId);
  const plugin = backupPluginType(manager.type);
  if (plugin?.operations.onDemandBackup !== true) {
    throw new HoldfastError('BACKUP_ONDEMAND_NOT_SUPPORTED', `${manager.name} makes backups by schedule only.`);
  }
  const replication = body.replication ?? policy.replication;
  if (replication && !plugin.operations.replication) {
    throw new HoldfastError('BACKUP_INVALID_REPLICATION_OPTION', `${manager.name} has no replication option.`, {}, [
      { pointer: '/replication', detail: 'leave it out', code: 'BACKUP_INVALID_REPLICATION_OPTION' },
    ]);
  }
  return {
    managerId: manager.id,
    request: { policyId, managerId: manager.id, replication, retentionDays: policy.retentionDays },
  };
}

/** RESTORE: a copy that is there, into a VM that may take it. */
export async function restoreDemand(
  trx: Queryable,
  vm: LockedVm,
  resultId: string,
  body: RestoreBody,
): Promise<Demand> {
  const copies = await restorableCopies(trx, resultId);
  if (body.copyId !== undefined && (await copyById(trx, body.copyId))?.result_id !== resultId) {
    const detail = 'This backup has no such copy; its copies are in the backup result.';
    throw new HoldfastError('INVALID_REQUEST', detail, {}, [{ pointer: '/copyId', detail, code: 'INVALID_REQUEST' }]);
  }
  const copy = body.copyId === undefined ? copies[0] : copies.find((candidate) => candidate.id === body.copyId);
  if (copy === undefined) {
    throw new HoldfastError(
      'BACKUP_STATUS_FOR_RESTORE',
      'This backup cannot be restored: it is not finished, has failed, or no copy of it exists any more.',
    );
  }
  const manager = await requireManager(trx, copy.manager_id);
  const constraints = backupPluginType(manager.type)?.constraints;
  if (constraints?.restoreNeedsPowerOff === true && vm.state !== 'OFF') {
    throw new HoldfastError(
      'BACKUP_RESTORE_VM_MUST_BE_POWERED_OFF',
      `${manager.name} restores into a virtual machine that is off; ${vm.name} is ${vm.state}. Power it off first.`,
      { state: vm.state },
    );
  }
  return {
    managerId: manager.id,
    request: { resultId, copyId: copy.id, managerId: manager.id },
    currentSchedules: certainly(await existingSchedules(trx, vm.id)),
    restoresAsNewMachine: constraints?.restoresAsNewMachine === true,
  };
}

/**
 * The VM of the operation that is to be cleaned up after.
 * @throws HoldfastError NOT_FOUND when the principal may not see that operation.
 */
export async function vmToClean(trx: Queryable, operationId: string, principal: Principal): Promise<string> {
  const operation = await operationToClean(trx, operationId, principal.enterpriseId);
  if (operation !== undefined) return operation.vm_id;
  throw notFound('operation', operationId);
}

/** CLEANUP: what the operation has left behind and nobody has cleared yet. */
export async function cleanupDemand(trx: Queryable, operationId: string): Promise<Demand> {
  const steps = cleanupSteps(await leftoversOf(trx, operationId));
  if (steps.length > 0) return { request: { cleansUp: operationId }, steps };
  throw new HoldfastError(
    'NOTHING_TO_CLEAN',
    `Operation ${operationId} has left nothing behind that could be cleaned up.`,
  );
}

/** The manager of a policy or a result, which cannot be deleted while these exist. */
async function requireManager(trx: Queryable, managerId: string) {
  const manager = await managerById(trx, managerId);
  if (manager === undefined) throw new Error(`there is no backup manager ${managerId}`);
  return manager;
}
