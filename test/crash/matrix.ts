/**
 * The matrix: which cells there are, and in which rounds they are played.
 * @module
 */
import type { Chance } from './chance.ts';
import { FAULTS, type Fault } from './faults.ts';
import type { Cell } from './trials.ts';
import type { Point, StepPlan, WorkflowPlan } from './workflows.ts';

/** Fewer than the activities that a worker runs at once. */
const ROUND_LIMIT = 34;
/** Fewer than the connections that a worker has: each kept statement keeps one. */
const STATEMENT_LIMIT = 13;

/** Which part of the matrix is wanted. */
export interface Selection {
  readonly faults: readonly string[];
  readonly workflows: readonly string[];
}

/** All cells of one pass; chance decides where in its step each operation is. */
export function cellsOf(plans: readonly WorkflowPlan[], selection: Selection, chance: Chance): Cell[] {
  const wants = (list: readonly string[], name: string) => list.length === 0 || list.includes(name);
  return FAULTS.filter((fault) => wants(selection.faults, fault.name)).flatMap((fault: Fault) =>
    plans
      .filter((workflow) => wants(selection.workflows, workflow.name))
      .flatMap((workflow) => stepsUnder(fault, workflow).map((step) => cellOf(workflow, step, fault, chance))),
  );
}

function stepsUnder(fault: Fault, workflow: WorkflowPlan): readonly (StepPlan | null)[] {
  if (fault.group !== 'api') return workflow.steps;
  return workflow.request === null ? [] : [null];
}

function cellOf(workflow: WorkflowPlan, step: StepPlan | null, fault: Fault, chance: Chance): Cell {
  const own = chance.of(`${workflow.name}/${step?.name}/${fault.name}`);
  return { workflow, step, fault, point: step === null ? null : own.pick(fault.points), chance: own };
}

/** Rounds of cells that can be struck together. */
export function roundsOf(cells: readonly Cell[]): Cell[][] {
  const rounds: Cell[][] = [];
  for (const group of new Set(cells.map((cell) => cell.fault.group))) {
    const own: Cell[][] = [];
    for (const cell of cells.filter(({ fault }) => fault.group === group)) {
      const room = own.find(
        (round) =>
          round.length < ROUND_LIMIT &&
          (!keepsStatement(cell) || round.filter(keepsStatement).length < STATEMENT_LIMIT),
      );
      if (room === undefined) own.push([cell]);
      else room.push(cell);
    }
    rounds.push(...own);
  }
  return rounds;
}

const AT_STATEMENTS: readonly (Point | null)[] = ['begin', 'permit', 'record'];

function keepsStatement({ step, point }: Cell): boolean {
  // The API has ten connections.
  if (step === null) return true;
  if (step.waits === true) return point === 'record' || point === 'answer';
  return step.effects === undefined || AT_STATEMENTS.includes(point);
}
