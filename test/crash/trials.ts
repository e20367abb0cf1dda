/**
 * A trial: one operation on a machine of its own, kept in one step, struck by one fault.
 * @module
 */
import { activitiesOf } from './agreement.ts';
import type { Chance } from './chance.ts';
import type { Fault } from './faults.ts';
import type { ArmedHold } from './holds.ts';
import { LATER, type Machine, SAVED } from './machines.ts';
import { recordsOf } from './records.ts';
import { patiently, type Stage, waitFor } from './stage.ts';
import type { Before } from './verdict.ts';
import { type Point, type StepPlan, type WorkflowPlan } from './workflows.ts';

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
  readonly machine: Machine;
  before: Before;
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
  const [records, state] = [await recordsOf(stage, [machine.id]), stage.state()];
  const known = records.get(machine.id);
  if (known === undefined) throw new Error(`there is no machine ${machine.id}`);
  const { vm } = known;
  const { policyId: GOLD, silverId: SILVER } = stage.tenant;
  return {
    cell,
    machine,
    before: {
      effects: state.hypervisor.effects.length,
      auditId: state.avamar.audit.at(-1)?.id ?? 0,
      activities: activitiesOf(known, state.avamar).length,
      expected: {
        state: vm.state,
        hardware: { cpu: vm.cpu, memoryMiB: vm.memory_mib, disks: vm.disks },
        policy: vm.backup_policies[0]?.policyId === SILVER ? 'SILVER' : 'GOLD',
      },
      policies: { GOLD, SILVER },
      content: machine.backup === null ? null : { now: LATER, saved: SAVED },
    },
    operationId: '',
    hold: null,
    where: null,
    inPlace: false,
    decision: null,
    wrongs: [],
    outcome: '',
  };
}

/** Begins the trial's operation, here or in the backup system. */
export async function begin(stage: Stage, trial: Trial): Promise<void> {
  const { workflow } = trial.cell;
  if (workflow.request === null) {
    await stage.console('POST', `/clients/${trial.machine.cid}/backup`, {
      targets: [{ name: 'ALL', pluginNumber: 1016 }],
    });
    return;
  }
  const { method, path, body } = workflow.request(stage, trial.machine);
  const answer = await stage.api(method, path, body);
  if (answer.status !== 202) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  trial.operationId = answer.body['id'];
}

/** Finds the operation that holds a session which began in the backup system. */
export async function findOperation(stage: Stage, trial: Trial, limitMs: number): Promise<void> {
  if (trial.operationId !== '') return;
  const rows = await waitFor(
    () =>
      stage.rows<{ id: string }>(
        'select id from operation where vm_id = $1 and kind = $2 order by created_at desc limit 1',
        [trial.machine.id, trial.cell.workflow.kind],
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
