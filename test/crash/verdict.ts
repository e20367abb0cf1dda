/**
 * The verdict on a trial: did its operation end in a truthful state, is everything as that state says, and did nothing
 * happen twice?
 * @module
 */
import { isTerminal } from '../../domain/operations.ts';
import { sameDisks } from '../../domain/virtual-machines.ts';
import { disagreements, hardware, sessionsBegunFor } from './agreement.ts';
import type { Consequence } from './faults.ts';
import type { Machine } from './machines.ts';
import type { Records } from './records.ts';
import type { SimulatorState } from './simulator-state.ts';
import type { Expected, WorkflowPlan } from './workflows.ts';

/** How things stood before the operation began. */
export interface Before {
  readonly effects: number;
  readonly auditId: number;
  /** Sessions that somebody asked for. */
  readonly sessions: number;
  readonly expected: Expected;
  readonly policies: Readonly<Record<Expected['policy'], string>>;
  /** What is on the disk, and what a restore brings back; `null` where nobody wrote on it. */
  readonly content: { readonly now: string; readonly saved: string } | null;
}

/** What a verdict is about. */
export interface Case {
  readonly machine: Machine;
  readonly workflow: Pick<WorkflowPlan, 'kind' | 'after' | 'refused' | 'replicates'>;
  readonly operationId: string;
  readonly before: Before;
  readonly consequence: Consequence;
  /** What a cancel was answered. */
  readonly decision: string | null;
  /** It began in the backup system, and may have ended before anybody looked. */
  readonly unseen: boolean;
}

/** Each line says what is wrong; none: all is well. */
export function wrongs(trial: Case, records: Records, state: SimulatorState): string[] {
  const operation = records.operations.find((one) => one.id === trial.operationId);
  if (operation === undefined) {
    // A session that ended before the watch saw it leaves a result and locks nothing.
    const unseen = trial.unseen && trial.operationId === '';
    return unseen ? disagreements(trial.machine, records, state) : [`there is no operation ${trial.operationId}`];
  }
  if (!isTerminal(operation.state)) return [`the operation is still ${operation.state}: ${stepsOf(trial, records)}`];
  const told = operation.error === null ? '' : ` (${operation.error.code}: ${operation.error.message})`;
  const ended = `${operation.state}${told}`;
  const succeeded = operation.state === 'SUCCEEDED';
  return [
    ...outcomeWrongs(trial, operation.state, operation.error?.code ?? null, sessionCount(trial, records, state)).map(
      (wrong) => `${wrong}, but it ended ${ended}; ${stepsOf(trial, records)}`,
    ),
    ...stateWrongs(trial, succeeded, records, state),
    ...repeated(trial, succeeded, records, state),
    ...records.ends
      .filter((end, index) => records.ends.findIndex((other) => other.operation_id === end.operation_id) !== index)
      .map((end) => `operation ${end.operation_id} was ended twice`),
    ...disagreements(trial.machine, records, state),
  ];
}

function stepsOf(trial: Case, records: Records): string {
  return records.steps
    .filter((step) => step.operation_id === trial.operationId)
    .map((step) => `${step.name} ${step.state}${step.compensation === null ? '' : `/${step.compensation}`}`)
    .join(', ');
}

function sessionCount({ before, machine }: Case, records: Records, state: SimulatorState): number {
  return sessionsBegunFor(machine, records, state) - before.sessions;
}

function outcomeWrongs(trial: Case, state: string, code: string | null, sessions: number): string[] {
  if (state === 'ROLLED_BACK_WITH_RESIDUE') return ['nothing had to be left behind'];
  // A restore is never sent a second time: one that certainly was not begun has failed, and says so.
  const notStarted = trial.workflow.kind === 'RESTORE' && code === 'RESTORE_NOT_STARTED' && sessions === 0;
  switch (trial.consequence) {
    case 'GOES_ON':
      if (trial.workflow.refused !== undefined)
        return state === 'ROLLED_BACK' ? [] : ['it should have been rolled back'];
      return state === 'SUCCEEDED' || notStarted ? [] : ['it should have gone on'];
    case 'RUN_LOST':
      return trial.workflow.refused !== undefined && state === 'SUCCEEDED' ? ['it was refused'] : [];
    case 'CANCELLED':
      // A backup may end before the backup system can be asked to stop it; that its session succeeded is asked elsewhere.
      if (trial.workflow.kind === 'BACKUP' && trial.decision === 'ROLLING_BACK' && state === 'SUCCEEDED') return [];
      if (trial.decision === 'PREVENTED' || trial.decision === 'ROLLING_BACK') {
        return state === 'CANCELLED' ? [] : [`its cancel was answered ${trial.decision}`];
      }
      return state === 'SUCCEEDED' || trial.decision === null ? [] : [`its cancel was answered ${trial.decision}`];
  }
}

function stateWrongs(trial: Case, succeeded: boolean, { vm }: Records, state: SimulatorState): string[] {
  const { before, workflow, machine } = trial;
  if (workflow.kind === 'REGISTER' && !succeeded) {
    return vm.deleted_at === null ? ['it was not registered, and the VM is here'] : [];
  }
  const wanted = { ...before.expected, ...(succeeded ? workflow.after(machine) : {}) };
  const problems: string[] = [];
  const what = succeeded ? 'after it had succeeded' : 'after it had not succeeded';
  if (vm.state !== wanted.state) problems.push(`${what} the VM is ${vm.state}, not ${wanted.state}`);
  const actual = hardware({ cpu: vm.cpu, memoryMiB: vm.memory_mib, disks: vm.disks });
  if (actual !== hardware(wanted.hardware))
    problems.push(`${what} the hardware is ${actual}, not ${hardware(wanted.hardware)}`);
  const policies = vm.backup_policies.map((chosen) => chosen.policyId).join();
  if (policies !== before.policies[wanted.policy]) problems.push(`${what} the policy is not ${wanted.policy}`);
  if (before.content !== null) {
    const content = state.hypervisor.vms
      .find((one) => one.id === vm.id)
      ?.disks.find((disk) => disk.label === 'system')?.content;
    const due = workflow.kind === 'RESTORE' && succeeded ? before.content.saved : before.content.now;
    if (content !== undefined && content !== due) problems.push(`${what} the disk says "${content}", not "${due}"`);
  }
  return problems;
}

/** The effects on the hypervisor that an operation of a kind has when it succeeds. */
const ONCE: Readonly<Partial<Record<string, readonly string[]>>> = {
  DEPLOY: ['allocate', 'configure', 'power ON'],
  RECONFIGURE: ['reconfigure'],
  UNDEPLOY: ['power OFF', 'destroy', 'deallocate'],
  REGISTER: ['reconfigure'],
  POWER_ON: ['power ON'],
  POWER_OFF: ['power OFF'],
  RESTORE: ['write-contents'],
};
/** A restore that makes a machine of its own touches none that is there: the VM's id goes to the new one. */
const ONCE_IN_VEEAM: typeof ONCE = { ...ONCE, RESTORE: ['reconfigure'] };
/** What takes them back. */
const INVERSE: Readonly<Record<string, string>> = {
  allocate: 'deallocate',
  configure: 'destroy',
  'power ON': 'power OFF',
  'power OFF': 'power ON',
  reconfigure: 'reconfigure',
};

function repeated(trial: Case, succeeded: boolean, records: Records, state: SimulatorState): string[] {
  const { machine, before, workflow } = trial;
  const problems: string[] = [];
  const seen = new Map<string, number>();
  for (const { id, kind, detail } of state.hypervisor.effects.slice(before.effects)) {
    if (id !== machine.id) continue;
    const what = kind === 'power' ? `power ${detail}` : kind;
    seen.set(what, (seen.get(what) ?? 0) + 1);
  }
  // What is off already is not switched off.
  const once = machine.protectedBy === 'veeam' ? ONCE_IN_VEEAM : ONCE;
  const forward = (once[workflow.kind] ?? []).filter(
    (what) => !(workflow.kind === 'UNDEPLOY' && what === 'power OFF' && before.expected.state === 'OFF'),
  );
  const allowed = new Map(forward.map((what) => [what, 1]));
  if (workflow.kind === 'RECONFIGURE') {
    const wanted = workflow.after(machine).hardware ?? before.expected.hardware;
    // Disks are changed in two steps: what can be taken back, then what cannot.
    if (!sameDisks(wanted.disks, before.expected.hardware.disks)) allowed.set('reconfigure', 2);
  }
  if (succeeded) {
    for (const [what, count] of allowed) {
      if ((seen.get(what) ?? 0) < count)
        problems.push(`it succeeded, and "${what}" happened ${seen.get(what) ?? 0} times`);
    }
  } else {
    for (const what of forward) {
      const back = INVERSE[what];
      if (back !== undefined) allowed.set(back, (allowed.get(back) ?? 0) + 1);
    }
  }
  for (const [what, count] of seen) {
    if (count > (allowed.get(what) ?? 0)) problems.push(`twice: "${what}" happened ${count} times`);
  }
  return [...problems, ...repeatedInBackupSystem(trial, succeeded, records, state)];
}

function repeatedInBackupSystem(trial: Case, succeeded: boolean, records: Records, state: SimulatorState): string[] {
  const { machine, before, workflow } = trial;
  const problems: string[] = [];
  const made = new Map<string, number>();
  for (const { id, method, path, body, status } of state.avamar.audit) {
    const name = typeof body === 'object' && body !== null && 'name' in body ? String(body.name) : '';
    if (id <= before.auditId || method !== 'POST' || status >= 300 || !name.startsWith(`holdfast-${machine.id}-`))
      continue;
    made.set(`${path} ${name}`, (made.get(`${path} ${name}`) ?? 0) + 1);
  }
  for (const [what, count] of made) if (count > 1) problems.push(`twice: ${what} was made ${count} times`);
  const begun = sessionCount(trial, records, state);
  const sessions = ['BACKUP', 'RESTORE', 'SCHEDULED_BACKUP'].includes(workflow.kind) ? 1 : 0;
  if (begun > sessions) problems.push(`twice: ${begun} sessions were begun`);
  if (succeeded && begun < sessions) problems.push('it succeeded without a session');
  const own = records.sessions.filter((one) => one.operation_id === trial.operationId);
  const copying = own.filter(({ kind }) => kind === 'REPLICATION').length;
  if (copying > 1) problems.push(`twice: ${copying} replications were begun`);
  if (workflow.replicates === true && succeeded && copying === 0) problems.push('it succeeded without a replication');
  const session = own.findLast(({ kind }) => kind !== 'REPLICATION');
  const sessionSucceeded = session?.state === 'SUCCEEDED' || session?.state === 'WARNING';
  if (sessions === 1 && session !== undefined && sessionSucceeded !== succeeded) {
    problems.push(`its session is ${session.state}`);
  }
  return problems;
}
