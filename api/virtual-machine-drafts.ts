/**
 * What happens to a virtual machine without an operation: it is created, edited and deleted while it is not allocated.
 * @module
 */
import type { z } from 'zod';
import { lockAllowedPolicies, policyById } from '../db/backup-policies.ts';
import type { Database, Queryable } from '../db/connect.ts';
import { datacenterById } from '../db/datacenters.ts';
import { enterpriseById } from '../db/enterprises.ts';
import { recordEvent } from '../db/events.ts';
import { lockHolder } from '../db/operations.ts';
import { deleteDraft, hypervisorRefTaken, insertVm, updateDraft } from '../db/virtual-machine-drafts.ts';
import { type VmView, vmView } from '../db/virtual-machine-list.ts';
import { type LockedVm, lockVm } from '../db/virtual-machines.ts';
import { type ErrorCode, HoldfastError } from '../domain/errors.ts';
import { kindSlug } from '../domain/operations.ts';
import type { Principal } from '../domain/privileges.ts';
import type { BackupPolicy } from '../domain/policies.ts';
import { type ChosenPolicy, resolveSchedules } from '../domain/schedules.ts';
import { type Disk, sameHardware } from '../domain/virtual-machines.ts';
import { requirePrivilege } from './auth/authenticate.ts';
import {
  type ChangedVirtualMachine,
  type NewVirtualMachine,
  sameChoices,
  writableChoice,
} from './documents/virtual-machine.ts';
import { notFound } from './not-found.ts';
import type { RegisterBody } from './operation-requests.types.ts';
import { fieldProblem, invalidRequest, refuseProblems } from './validation.ts';

/** Where a virtual machine is and whose it is. */
interface Place {
  readonly enterpriseId: string;
  readonly datacenterId: string;
}

/** What a draft is made of: a body that names its hardware. */
type NewDraft = Body & { cpu: number; memoryMiB: number; disks: Disk[] };
type Body = z.infer<typeof NewVirtualMachine>;

/** The draft that the body describes; `undefined` when it names a machine that is to be registered. */
export function draftOf(body: Body): NewDraft | undefined {
  const { cpu, memoryMiB, disks } = body;
  if (cpu === undefined || memoryMiB === undefined || disks === undefined) return undefined;
  return { ...body, cpu, memoryMiB, disks };
}

/** Creates a draft. @returns its id. */
export async function createVm(db: Database, principal: Principal, body: NewDraft): Promise<string> {
  return await db.transaction().execute(async (trx) => {
    const place = await placeOf(trx, principal, body);
    const policies = await checkedPolicies(trx, principal, place, body.backupPolicies, body.disks);
    const id = await insertVm(trx, {
      enterprise_id: place.enterpriseId,
      datacenter_id: place.datacenterId,
      name: body.name,
      ...columns(body),
    });
    const vm = { id, name: body.name, ...place };
    await record(trx, vm, principal, 'CREATE', `Virtual machine ${vm.name} was created by ${principal.name}.`);
    await recordChoices(trx, vm, principal, [], body.backupPolicies, policies);
    return id;
  });
}

/**
 * Changes a draft.
 * @returns the virtual machine as the change has made it, whatever becomes of it then; `NOT_A_DRAFT` when it is
 * allocated: nothing was changed, an operation has to do it.
 */
export async function changeVm(
  db: Database,
  principal: Principal,
  id: string,
  body: z.infer<typeof ChangedVirtualMachine>,
): Promise<VmView | 'NOT_A_DRAFT'> {
  return await db.transaction().execute(async (trx) => {
    const vm = await lockVm(trx, id, principal.enterpriseId);
    if (vm === undefined) throw notFound('virtual machine', id);
    const renamed = body.name !== undefined && body.name !== vm.name;
    const rechosen = !sameChoices(vm.backupPolicies, body.backupPolicies);
    if (renamed || !sameHardware(vm.hardware, body)) {
      requirePrivilege(principal, 'VAPP_MANAGE', 'to change the name or the hardware');
    }
    if (rechosen) requireChoosing(principal, body.backupPolicies);
    if (vm.state !== 'NOT_ALLOCATED') {
      if (renamed)
        throw invalidRequest([fieldProblem('/name', 'cannot change while the virtual machine is allocated')]);
      return 'NOT_A_DRAFT';
    }
    if (vm.lockedBy !== null) throw await held('VM_LOCKED', trx, vm);

    const policies = await settledPolicies(trx, vm, body.backupPolicies, body.disks);
    await updateDraft(trx, id, { ...(renamed ? { name: body.name } : {}), ...columns(body) });
    await record(trx, vm, principal, 'MODIFY', `Virtual machine ${vm.name} was changed by ${principal.name}.`);
    await recordChoices(trx, vm, principal, vm.backupPolicies, body.backupPolicies, policies);
    const changed = await vmView(trx, principal.enterpriseId, id);
    if (changed === undefined) throw notFound('virtual machine', id);
    return changed;
  });
}

/** Deletes a draft. @throws HoldfastError VM_DELETE_NOT_ALLOWED. */
export async function deleteVm(db: Database, principal: Principal, id: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const vm = await lockVm(trx, id, principal.enterpriseId);
    if (vm === undefined) throw notFound('virtual machine', id);
    if (vm.lockedBy !== null) throw await held('VM_DELETE_NOT_ALLOWED', trx, vm);
    if (vm.state !== 'NOT_ALLOCATED') {
      throw new HoldfastError(
        'VM_DELETE_NOT_ALLOWED',
        `${vm.name} is ${vm.state}. Undeploy it first; its backups stay.`,
        { state: vm.state },
      );
    }
    await deleteDraft(trx, id);
    await record(trx, vm, principal, 'DELETE', `Virtual machine ${vm.name} was deleted by ${principal.name}.`);
  });
}

/**
 * Inserts a VM whose machine is there already and is about to be registered. Until that has happened the row's hardware
 * stands for nothing, and nobody is shown it.
 * @returns its id.
 * @throws HoldfastError HYPERVISOR_VM_IN_USE when the machine is another VM's, or about to be.
 */
export async function insertRegistered(trx: Queryable, principal: Principal, body: RegisterBody): Promise<string> {
  const { name, hypervisorRef } = body;
  const place = await placeOf(trx, principal, body);
  if (await hypervisorRefTaken(trx, place.datacenterId, hypervisorRef)) {
    throw new HoldfastError(
      'HYPERVISOR_VM_IN_USE',
      `The machine ${hypervisorRef} of this datacenter is a virtual machine of Holdfast already, or about to be one.`,
      {},
      [{ pointer: '/hypervisorRef', detail: 'is taken', code: 'HYPERVISOR_VM_IN_USE' }],
    );
  }
  const id = await insertVm(trx, {
    enterprise_id: place.enterpriseId,
    datacenter_id: place.datacenterId,
    name,
    ...columns({ cpu: 1, memoryMiB: 1, disks: [], backupPolicies: [] }),
  });
  const message = `Virtual machine ${name} was created by ${principal.name} to register the machine ${hypervisorRef}.`;
  await record(trx, { id, name, ...place }, principal, 'CREATE', message);
  return id;
}

async function placeOf(
  trx: Queryable,
  principal: Principal,
  body: { readonly enterpriseId?: string | undefined; readonly datacenterId: string },
): Promise<Place> {
  const enterpriseId = await ownerOf(trx, principal, body.enterpriseId);
  if ((await datacenterById(trx, body.datacenterId)) === undefined) {
    throw invalidRequest([fieldProblem('/datacenterId', 'there is no such datacenter')]);
  }
  return { enterpriseId, datacenterId: body.datacenterId };
}

async function ownerOf(trx: Queryable, principal: Principal, wanted: string | undefined): Promise<string> {
  const id = wanted ?? principal.enterpriseId;
  if (id === null)
    throw invalidRequest([fieldProblem('/enterpriseId', 'is missing; the token belongs to no enterprise')]);
  if ((await enterpriseById(trx, principal.enterpriseId, id)) === undefined) {
    throw invalidRequest([fieldProblem('/enterpriseId', 'there is no such enterprise')]);
  }
  return id;
}

/** The privileges that a choice of policies needs. */
function requireChoosing(principal: Principal, chosen: readonly ChosenPolicy[]): void {
  requirePrivilege(principal, 'VAPP_MANAGE_BACKUP', 'to choose backup policies');
  const given = chosen.flatMap((choice) => choice.configurations);
  if (given.some(({ time, days }) => time !== undefined || days !== undefined)) {
    requirePrivilege(principal, 'VAPP_DEFINE_BACKUP_INFO', 'to give times and days');
  }
  if (given.some(({ disks }) => disks !== undefined)) {
    requirePrivilege(principal, 'VAPP_MANAGE_BACKUP_DISKS', 'to choose the disks of a backup');
  }
}

async function checkedPolicies(
  trx: Queryable,
  principal: Principal,
  place: Place,
  chosen: readonly ChosenPolicy[],
  disks: readonly Disk[],
) {
  if (chosen.length > 0) requireChoosing(principal, chosen);
  return await settledPolicies(trx, place, chosen, disks);
}

/** The chosen policies, once it is certain that they can be scheduled. */
async function settledPolicies(
  trx: Queryable,
  { enterpriseId, datacenterId }: Place,
  chosen: readonly ChosenPolicy[],
  disks: readonly Disk[],
): Promise<ReadonlyMap<string, BackupPolicy>> {
  const policyIds = chosen.map((choice) => choice.policyId);
  const policies = await lockAllowedPolicies(trx, { enterpriseId, datacenterId, policyIds });
  const { problems } = resolveSchedules(
    chosen,
    policies,
    disks.map((disk) => disk.label),
  );
  refuseProblems(problems);
  return policies;
}

function columns(body: z.infer<typeof ChangedVirtualMachine>) {
  return {
    cpu: body.cpu,
    memory_mib: body.memoryMiB,
    disks: JSON.stringify(body.disks),
    backup_policies: JSON.stringify(body.backupPolicies.map(writableChoice)),
  };
}

async function held(code: ErrorCode, trx: Queryable, vm: LockedVm): Promise<HoldfastError> {
  const holder = await lockHolder(trx, vm.id);
  const who = holder === undefined ? 'an operation' : `a ${kindSlug(holder.kind)} of ${holder.requestedBy}`;
  return new HoldfastError(
    code,
    `${vm.name} is locked by ${who}. Wait for operation ${vm.lockedBy} to end, then try again.`,
    { holder: holder ?? { operationId: vm.lockedBy } },
  );
}

type Vm = Place & { readonly id: string; readonly name: string };

async function record(trx: Queryable, vm: Vm, principal: Principal, action: string, message: string): Promise<void> {
  await recordEvent(trx, {
    entity: 'VIRTUAL_MACHINE',
    action,
    severity: 'INFO',
    message,
    enterpriseId: vm.enterpriseId,
    datacenterId: vm.datacenterId,
    vmId: vm.id,
    entityId: vm.id,
    principal: principal.name,
  });
}

/** An event for every policy that the virtual machine has now and had not before, and the other way round. */
async function recordChoices(
  trx: Queryable,
  vm: Vm,
  principal: Principal,
  before: readonly ChosenPolicy[],
  after: readonly ChosenPolicy[],
  policies: ReadonlyMap<string, BackupPolicy>,
): Promise<void> {
  const missingIn = (choices: readonly ChosenPolicy[]) => (choice: ChosenPolicy) =>
    !choices.some((other) => other.policyId === choice.policyId);
  for (const { policyId } of after.filter(missingIn(before))) {
    const name = policies.get(policyId)?.name ?? policyId;
    const message = `Backup policy ${name} was added to ${vm.name} by ${principal.name}.`;
    await record(trx, vm, principal, 'ADD_BACKUP_POLICY', message);
  }
  for (const { policyId } of before.filter(missingIn(after))) {
    const name = (await policyById(trx, null, policyId))?.name ?? policyId;
    const message = `Backup policy ${name} was removed from ${vm.name} by ${principal.name}.`;
    await record(trx, vm, principal, 'REMOVE_BACKUP_POLICY', message);
  }
}
