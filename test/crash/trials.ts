/**
 * A trial: one operation on a machine of its own, kept in one step, struck by one fault.
 * @module
 */
import { sessionsBegunFor } from './agreement.ts';
import type { Chance } from './chance.ts';
import type { Fault } from './faults.ts';
import type { ArmedHold } from './holds.ts';
import { HARDWARE, LATER, type Machine, SAVED } from './machines.ts';
import { type Records, recordsOf } from './records.ts';
import { patiently, type Stage, waitFor } from './stage.ts';
import type { Before } from './verdict.ts';
import type { Expected, Point, StepPlan, WorkflowPlan } from './workflows.ts';

/** One square of the matrix. */
export interface Cell {
  readonly workflow: WorkflowPlan;
  /** `null`: it is struck before it is started. */
  readonly step: StepPlan | null;
  readonly fault: Fault;
  readonly point: Point | null;
  readonly chance: Chance;
}

/** What became of a cell. */
export interface Trial {
  cell: Cell;
  machine: Machine;
  before: Before;
  /** Its operation is not older. */
  readonly since: Date;
  operationId: string;
  /** What keeps it there. */
  hold: ArmedHold | null;
  /** In which step it was, where chance decided that. */
  where: string | null;
  /** Whether the operation was in its step when the fault struck. */
  inPlace: boolean;
  /** What a cancel was answered. */
  decision: string | null;
  /** What is wrong; empty: nothing. */
  wrongs: string[];
  /** How the operation ended. */
  outcome: string;
}

/** `deployVm/ALLOCATE × killed-before (wire)` */
export function describeCell({ workflow, step, fault, point }: Cell): string {
  return `${workflow.name}/${step?.name ?? 'request'} × ${fault.name}${point === null ? '' : ` (${point})`}`;
}

/** Notes how things stand before the operation of a trial begins. */
export async function newTrial(stage: Stage, cell: Cell, machine: Machine): Promise<Trial> {
  const known = machine.id === '' ? undefined : (await recordsOf(stage, [machine.id])).get(machine.id);
  const state = stage.state();
  const { silverId: SILVER } = stage.tenant;
  const { policyId: GOLD } = machine.protectedBy === 'veeam' ? stage.veeamTenant : stage.tenant;
  return {
    cell,
    machine,
    before: {
      effects: state.hypervisor.effects.length,
      auditId: state.avamar.audit.at(-1)?.id ?? 0,
      sessions: known === undefined ? 0 : sessionsBegunFor(machine, known, state),
      expected: known === undefined ? UNKNOWN : expectedOf(known.vm, SILVER),
      policies: { GOLD, SILVER, NONE: '' },
      content: machine.backup === null ? null : { now: LATER, saved: SAVED },
    },
    since: new Date(),
    operationId: '',
    hold: null,
    where: null,
    inPlace: false,
    decision: null,
    wrongs: [],
    outcome: '',
  };
}

/** A machine that nobody here knows. */
const UNKNOWN: Expected = { state: 'NOT_ALLOCATED', hardware: HARDWARE, policy: 'NONE' };

function expectedOf(vm: Records['vm'], silver: string): Expected {
  return {
    state: vm.state,
    hardware: { cpu: vm.cpu, memoryMiB: vm.memory_mib, disks: vm.disks },
    policy: vm.backup_policies[0]?.policyId === silver ? 'SILVER' : 'GOLD',
  };
}

/** Begins the trial's operation, here or in the backup system. */
export async function begin(stage: Stage, trial: Trial): Promise<void> {
  const { workflow } = trial.cell;
  if (workflow.request === null) return workflow.begins?.(stage, trial.machine);
  const { method, path, body } = workflow.request(stage, trial.machine);
  if (trial.machine.id === '') {
    // The answer comes when it is registered.
    stage.api(method, path, body).catch(() => undefined);
    const named = await waitFor(
      () => stage.rows<{ id: string }>('select id from virtual_machine where name = $1', [trial.machine.name]),
      (rows) => rows.length > 0,
      15_000,
    );
    trial.machine = { ...trial.machine, id: named[0]?.id ?? '' };
    return;
  }
  const answer = await stage.api(method, path, body);
  if (answer.status !== 202) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  trial.operationId = answer.body['id'];
}

/** Finds the operation that nobody has requested. */
export async function findOperation(stage: Stage, trial: Trial, limitMs: number): Promise<void> {
  if (trial.operationId !== '') return;
  const rows = await waitFor(
    () =>
      stage.rows<{ id: string }>(
        'select id from operation where vm_id = $1 and kind = $2 and created_at >= $3 order by created_at desc limit 1',
        [trial.machine.id, trial.cell.workflow.kind, trial.since],
      ),
    (found) => found.length > 0,
    limitMs,
  );
  trial.operationId = rows[0]?.id ?? '';
}

/** The state of operations by their ids. */
export async function statesOf(
  stage: Stage,
  ids: readonly string[],
): Promise<Map<string, { state: string; open: boolean }>> {
  const rows = await patiently(() =>
    stage.rows<{ id: string; state: string; open: boolean }>(
      'select id, state, finished_at is null as open from operation where id = any($1)',
      [ids],
    ),
  );
  return new Map(rows.map((row) => [row.id, row]));
}
