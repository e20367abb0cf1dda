/**
 * Whether the hypervisor and the backup system hold exactly what the database says.
 * @module
 */
import type { Disk } from '../../domain/virtual-machines.ts';
import type { Activity, Client } from '../../simulators/avamar/state.ts';
import { markOf } from '../../activities/hypervisors/mark.ts';
import type { Machine } from './machines.ts';
import type { Records } from './records.ts';
import type { AvamarState, HypervisorState, SimulatorState } from './simulator-state.ts';
import { disagreementsInVeeam, restoresIn } from './veeam-agreement.ts';

const MARKER = 'holdfast';
const UNDEPLOYED = ['NOT_ALLOCATED'];

/** Each line says where they differ; none: they agree. */
export function disagreements(machine: Machine, records: Records, state: SimulatorState): string[] {
  const { vm } = records;
  return [
    ...(records.lockedBy === null ? [] : [`the lock is held by operation ${records.lockedBy}`]),
    ...(vm.state === 'UNKNOWN' ? ['the state of the VM is UNKNOWN'] : []),
    ...inHypervisor(records, state.hypervisor),
    ...recordedSchedules(records),
    ...(machine.protectedBy === 'veeam'
      ? disagreementsInVeeam(records, state.veeam)
      : disagreementsInAvamar(records, state.avamar)),
    ...records.residue.map((left) => `left behind: ${left.description}`),
  ];
}

/** The sessions of a VM that somebody asked for. */
export function sessionsBegunFor(machine: Machine, records: Records, { avamar, veeam }: SimulatorState): number {
  return machine.protectedBy === 'veeam' ? restoresIn(records, veeam) : activitiesOf(records, avamar).length;
}

function disagreementsInAvamar(records: Records, avamar: AvamarState): string[] {
  const clients = clientsOf(records, avamar);
  return [
    ...schedulesIn(records, avamar, clients),
    ...sessionsIn(records, avamar, clients),
    ...replicationsIn(records, avamar, clients),
    ...backupsIn(records, avamar, clients),
  ];
}

function recordedSchedules({ vm, schedules }: Records): string[] {
  const problems = schedules.some((one) => one.uncertain) ? ['a schedule is uncertain'] : [];
  const wanted = !UNDEPLOYED.includes(vm.state) && vm.backup_policies.length > 0;
  if (wanted !== schedules.length > 0) {
    problems.push(`the VM is ${vm.state} with ${vm.backup_policies.length} policies and ${schedules.length} schedules`);
  }
  return problems;
}

function inHypervisor({ vm, references, operations }: Records, { vms, allocations }: HypervisorState): string[] {
  const problems: string[] = [];
  // A machine that was there before us has its place from somebody else.
  const isRegistered = operations.some((one) => one.kind === 'REGISTER');
  const machines = vms.filter((machine) => machine.id === vm.id);
  const isAllocated = allocations.some((allocation) => allocation.id === vm.id);
  const beside = vms.filter((one) => one.id !== vm.id && one.annotation?.includes(markOf(vm.id)) === true);
  if (beside.length > 0) problems.push(`${beside.map((one) => one.moref).join()} bears its mark too`);
  const current = references.filter((one) => one.system === 'HYPERVISOR' && one.valid_to === null);
  if (UNDEPLOYED.includes(vm.state)) {
    if (machines.length > 0) problems.push(`the hypervisor has the VM (${machines.map((one) => one.moref).join()})`);
    if (isAllocated) problems.push('the hypervisor has a place for the VM');
    if (current.length > 0) problems.push(`the reference ${current[0]?.ref} is still current`);
    return problems;
  }
  const [machine] = machines;
  if (machine === undefined) return [`the VM is ${vm.state} and the hypervisor has none`];
  if (machines.length > 1) problems.push(`the hypervisor has ${machines.length} of the VM`);
  if (!isAllocated && !isRegistered) problems.push('the hypervisor has no place for the VM');
  if (machine.power !== vm.state) problems.push(`the VM is ${vm.state}, in the hypervisor ${machine.power}`);
  if (current.length !== 1 || current[0]?.ref !== machine.moref) {
    problems.push(`the hypervisor calls it ${machine.moref}, the database ${current.map((one) => one.ref).join()}`);
  }
  const there = hardware({ ...machine, disks: machine.disks.filter((disk) => disk.attached) });
  const here = hardware({ cpu: vm.cpu, memoryMiB: vm.memory_mib, disks: vm.disks });
  if (there !== here) problems.push(`hardware ${here}, in the hypervisor ${there}`);
  const detached = machine.disks.filter((disk) => !disk.attached);
  if (detached.length > 0) problems.push(`a detached disk is left: ${detached.map((disk) => disk.label).join()}`);
  return problems;
}

/** The hardware in a form that can be compared and read. */
export function hardware(of: {
  readonly cpu: number;
  readonly memoryMiB: number;
  readonly disks: readonly Disk[];
}): string {
  const disks = of.disks.map((disk) => `${disk.label}:${disk.sizeGiB}`).toSorted();
  return `${of.cpu}/${of.memoryMiB}/${disks.join('+')}`;
}

/** The clients that stand for the VM, also those of its earlier lives. */
function clientsOf({ references }: Records, { clients }: AvamarState): Client[] {
  const morefs = new Set(
    references.filter((one) => one.system === 'HYPERVISOR').map((one) => `VirtualMachine:${one.ref}`),
  );
  const cids = new Set(references.filter((one) => one.system === 'BACKUP_SYSTEM').map((one) => one.ref));
  return clients.filter((client) => cids.has(client.id) || morefs.has(client.entityId));
}

function schedulesIn(
  { vm, schedules, references }: Records,
  avamar: AvamarState,
  clients: readonly Client[],
): string[] {
  const prefix = `${MARKER}-${vm.id}-`;
  const named = <T extends { readonly id: string; readonly name: string }>(all: readonly T[]): T[] =>
    all.filter((one) => one.name.startsWith(prefix));
  const there = [avamar.groups, avamar.schedules, avamar.retentions, avamar.datasets].flatMap((all) =>
    named(all as readonly { id: string; name: string }[]),
  );
  const groups = schedules.flatMap(({ ref }) => (ref['groups'] ?? []) as Record<string, string | null>[]);
  const here = groups.flatMap((group) =>
    [group['groupId'], group['scheduleId'], group['retentionId'], group['datasetId']].filter(
      (id) => typeof id === 'string',
    ),
  );
  const problems: string[] = [];
  for (const one of there) if (!here.includes(one.id)) problems.push(`the backup system has ${one.name}, unknown here`);
  for (const id of here) if (!there.some((one) => one.id === id)) problems.push(`the backup system lacks ${id}`);
  const moref = references.find((one) => one.system === 'HYPERVISOR' && one.valid_to === null)?.ref;
  const client = clients.find((one) => one.entityId === `VirtualMachine:${moref}`);
  for (const group of named(avamar.groups)) {
    if (!group.enabled) problems.push(`the group ${group.name} is disabled`);
    const members = group.members.map((member) => member.cid).join();
    if (members !== client?.id) problems.push(`the group ${group.name} backs up ${members}, not ${client?.id}`);
  }
  for (const schedule of schedules) {
    for (const policy of schedule.schedule.policies) {
      const kept = named(avamar.retentions).filter((one) => one.name.startsWith(`${prefix}${policy.code}-`));
      for (const backup of policy.backups) {
        const times = named(avamar.schedules).find((one) =>
          one.name.startsWith(`${prefix}${policy.code}-${backup.subtype.toLowerCase().replace('_', '-')}`),
        );
        if (times?.startTime !== backup.time)
          problems.push(`${policy.code} at ${backup.time}, there at ${times?.startTime}`);
      }
      if (kept.some((one) => one.duration !== policy.retentionDays))
        problems.push(`${policy.code} is kept for another time`);
    }
  }
  return problems;
}

/** The activities of a VM that somebody asked for, the oldest first. */
function activitiesOf(records: Records, avamar: AvamarState): Activity[] {
  const cids = new Set(clientsOf(records, avamar).map((client) => client.id));
  return avamar.activities.filter(
    ({ cid, kind, scheduleId }) => cids.has(cid) && kind !== 'replication' && scheduleId === undefined,
  );
}

const SESSION_STATES: Readonly<Record<string, string>> = {
  SUCCESS: 'SUCCEEDED',
  PARTIAL_SUCCESS: 'WARNING',
  CANCELED: 'CANCELLED',
};
const RESULT_STATES: Readonly<Record<string, string>> = { WARNING: 'SUCCEEDED_WITH_WARNING' };

function sessionsIn(records: Records, avamar: AvamarState, clients: readonly Client[]): string[] {
  const problems: string[] = [];
  const cids = new Set(clients.map((client) => client.id));
  const activities = avamar.activities.filter(({ cid, kind }) => cids.has(cid) && kind !== 'replication');
  for (const activity of activities) {
    const sessions = records.sessions.filter((session) => session.vendor_session_id === activity.id);
    const state = activity.finished === undefined ? 'RUNNING' : (SESSION_STATES[activity.finished.state] ?? 'FAILED');
    const [session] = sessions;
    if (session === undefined || sessions.length > 1) {
      problems.push(`the ${activity.kind} ${activity.id} (${state}) has ${sessions.length} sessions here`);
      continue;
    }
    if (session.state !== state) problems.push(`session ${activity.id} is ${session.state}, there ${state}`);
    if (session.operation_id === null && activity.finished === undefined)
      problems.push(`session ${activity.id} has no operation`);
    const result =
      activity.kind === 'backup'
        ? records.results.find((one) => one.id === session.result_id)
        : records.restores.find((one) => one.id === session.restore_id);
    const status = RESULT_STATES[state] ?? (state === 'RUNNING' ? 'IN_PROGRESS' : state);
    if (result?.status !== status) problems.push(`the result of ${activity.id} is ${result?.status}, not ${status}`);
  }
  for (const session of records.sessions.filter(({ kind }) => kind !== 'REPLICATION')) {
    if (!activities.some((activity) => activity.id === session.vendor_session_id)) {
      problems.push(`session ${session.vendor_session_id} is not in the backup system`);
    }
  }
  const count = (kind: string) => activities.filter((activity) => activity.kind === kind).length;
  if (records.results.length !== count('backup')) {
    problems.push(`${records.results.length} backup results of ${count('backup')} backups`);
  }
  if (records.restores.length !== count('restore')) {
    problems.push(`${records.restores.length} restore results of ${count('restore')} restores`);
  }
  return problems;
}

/** A run copies for each of its clients: that part is the session of the client's VM. */
function replicationsIn(records: Records, { activities }: AvamarState, clients: readonly Client[]): string[] {
  const cids = new Set(clients.map((client) => client.id));
  const there = activities
    .filter(({ cid, kind, parentId }) => cids.has(cid) && kind === 'replication' && parentId !== undefined)
    .map(({ parentId, cid, finished }) => {
      const state = finished === undefined ? 'RUNNING' : (SESSION_STATES[finished.state] ?? 'FAILED');
      return `replication ${parentId}/${cid} ${state}`;
    });
  const here = records.sessions
    .filter(({ kind }) => kind === 'REPLICATION')
    .map((session) => `replication ${session.vendor_session_id} ${session.state}`);
  return [
    ...there.filter((one) => !here.includes(one)).map((one) => `${one} is not so here`),
    ...here.filter((one) => !there.includes(one)).map((one) => `${one} is not so in the backup system`),
  ];
}

function backupsIn(records: Records, avamar: AvamarState, clients: readonly Client[]): string[] {
  const cids = new Set(clients.map((client) => client.id));
  const local = avamar.backups.map(({ cid, labelNumber }) => ({ cid, labelNumber, location: 'Local' }));
  const remote = avamar.copies.map(({ original: { cid }, labelNumber, destId: location }) => {
    return { cid, labelNumber, location };
  });
  const there = [...local, ...remote]
    .filter(({ cid }) => cids.has(cid))
    .map(({ cid, labelNumber, location }) => `${cid}/${labelNumber} in ${location}`);
  const here = records.copies
    .filter((copy) => copy.state === 'LISTED')
    .map((copy) => `${copy.vendor_vm_ref}/${copy.vendor_id} in ${copy.location}`);
  return [
    ...there.filter((id) => !here.includes(id)).map((id) => `the backup ${id} is not listed here`),
    ...here.filter((id) => !there.includes(id)).map((id) => `the backup ${id} is listed here and not there`),
  ];
}
