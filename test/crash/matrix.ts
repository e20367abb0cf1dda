/**
 * The matrix: which cells there are, and in which rounds they are played.
 * @module
 */
import { type Chance, chanceFrom } from './chance.ts';
import { FAULTS, type Fault } from './faults.ts';
import { rollbackPlans } from './rollbacks.ts';
import { reported, type ReportedTrial } from './report.ts';
import { machinesFor, playRound } from './round.ts';
import type { Stage } from './stage.ts';
import type { Cell } from './trials.ts';
import { type Point, type StepPlan, type WorkflowPlan, workflowPlans } from './workflows.ts';

/** Fewer than the activities that a worker runs at once. */
const ROUND_LIMIT = 34;
/** Fewer than the connections that a worker has: each kept statement keeps one. */
const STATEMENT_LIMIT = 15;

/** The same for the API. */
const API_LIMIT = 8;

/** How often a cell is played again whose operation was not where it should have been. */
const MORE_TRIES = 2;

/** Which part of the matrix is wanted. */
export interface Selection {
  readonly faults: readonly string[];
  readonly workflows: readonly string[];
}

/** What the matrix found. */
export interface Found {
  readonly trials: readonly ReportedTrial[];
  /** How long lost operations were without an owner, in milliseconds. */
  readonly ownerless: readonly number[];
}

/** Plays the selected part of the matrix so many times. */
export async function playMatrix(
  stage: Stage,
  options: {
    readonly selection: Selection;
    readonly passes: number;
    readonly seed: number;
    readonly tell: (line: string) => void;
  },
): Promise<Found> {
  const { tell } = options;
  const forward = workflowPlans(stage.changesDisks);
  const plans = [...forward, ...rollbackPlans(forward)];
  const rounds = Array.from({ length: options.passes }, (_, pass) =>
    roundsOf(cellsOf(plans, options.selection, chanceFrom(options.seed).of(`pass ${pass}`))),
  ).flat();
  return playRounds(stage, rounds, tell);
}

/**
 * Plays rounds one after the other; the machines of the next are made while the operations of one come to their end. A
 * cell whose operation was not in its step in time, as on a machine that has much else to do, is played again.
 */
export async function playRounds(
  stage: Stage,
  rounds: readonly (readonly Cell[])[],
  tell: (line: string) => void,
): Promise<Found> {
  const trials: ReportedTrial[] = [];
  const ownerless: number[] = [];
  const queue = [...rounds];
  const tries = new Map<Cell, number>();
  let number = 0;
  const prepare = () => machinesFor(stage, `r${number + 1}`, queue[0] ?? []);
  let prepared = prepare();
  for (let cells = queue[0]; cells !== undefined; cells = queue[0]) {
    const machines = await prepared;
    queue.shift();
    number += 1;
    const faults = [...new Set(cells.map((cell) => cell.fault.name))].join(', ');
    tell(`round ${number} of ${number + queue.length}: ${faults}, ${cells.length} trials`);
    const struck = (missed: readonly Cell[]) => {
      const again = missed.filter((cell) => (tries.get(cell) ?? 0) < MORE_TRIES);
      for (const cell of again) tries.set(cell, (tries.get(cell) ?? 0) + 1);
      if (again.length > 0) queue.push(again);
      prepared = stage.whole().then(prepare);
      // It is awaited with the next round; until then its failure is nobody's.
      prepared.catch(() => undefined);
    };
    const result = await playRound(stage, cells, machines, tell, struck);
    ownerless.push(...result.ownerless);
    for (const trial of result.trials) {
      // Where it was when the fault struck is unknown: that says nothing about the cell, and ends well all the same.
      const isPlayedAgain = !trial.inPlace && queue.some((round) => round.includes(trial.cell));
      if (isPlayedAgain && trial.wrongs.length === 0) continue;
      const one = reported(trial);
      trials.push(one);
      for (const wrong of one.wrongs) tell(`  FAILED ${wrong} [${trial.machine.name}]`);
    }
  }
  return { trials, ownerless };
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
  // What is being rolled back cannot be cancelled any more, and its request is that of the workflow.
  if (workflow.refused !== undefined && (fault.group === 'api' || fault.name === 'cancelled')) return [];
  const keepable = workflow.steps.filter((step) => pointsOf(step, fault).length > 0);
  if (fault.group !== 'api') return keepable;
  if (workflow.steps.some((step) => step.requestsOnly === true)) return [];
  return workflow.request === null ? [] : [null];
}

function cellOf(workflow: WorkflowPlan, step: StepPlan | null, fault: Fault, chance: Chance): Cell {
  const own = chance.of(`${workflow.name}/${step?.name}/${fault.name}`);
  return { workflow, step, fault, point: step === null ? null : pointFor(step, fault, own), chance: own };
}

/** A step without an effect outside would be kept where it begins, which a request to cancel cannot pass. */
function pointFor(step: StepPlan, fault: Fault, chance: Chance): Point {
  const keepsItsRow = fault.name === 'cancelled' && step.effects === undefined && step.waits !== true;
  return keepsItsRow ? 'record' : chance.pick(pointsOf(step, fault));
}

function pointsOf(step: StepPlan, { points }: Fault): readonly Point[] {
  return step.requestsOnly === true ? points.filter((point) => point === 'wire' || point === 'answer') : points;
}

/**
 * A part of the matrix that takes three minutes: each step of each workflow once under the death of the worker and once
 * under the loss of its run or a cancel.
 */
export function shortCells(plans: readonly WorkflowPlan[], chance: Chance): Cell[] {
  const faults: readonly Fault[] = FAULTS;
  return (['worker', 'runs'] as const).flatMap((group) =>
    plans.flatMap((workflow) =>
      workflow.steps.flatMap((step, index): Cell[] => {
        const own = chance.of(`${workflow.name}/${step.name}/${group}`);
        // A start that never arrived is looked for for a minute before that is believed: the full matrix waits for it.
        const quick = (fault: Fault) => !(fault.name === 'killed-before' && step.name.startsWith('REQUEST_'));
        const candidates = faults.filter(
          (fault) => fault.group === group && quick(fault) && stepsUnder(fault, workflow).includes(step),
        );
        const fault = candidates[(index + own.whole(0, 3)) % candidates.length] as Fault;
        const points = fault.points.filter((point) => group === 'worker' || point === 'wire' || point === 'answer');
        return [{ workflow, step, fault, point: pointFor(step, { ...fault, points }, own), chance: own }];
      }),
    ),
  );
}

/** Rounds of cells that can be struck together. */
export function roundsOf(cells: readonly Cell[]): Cell[][] {
  const rounds: Cell[][] = [];
  for (const group of new Set(cells.map((cell) => cell.fault.group))) {
    const own: Cell[][] = [];
    for (const cell of cells.filter(({ fault }) => fault.group === group)) {
      const limit = group === 'api' ? API_LIMIT : STATEMENT_LIMIT;
      const room = own.find(
        (round) => round.length < ROUND_LIMIT && (!keepsStatement(cell) || round.filter(keepsStatement).length < limit),
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
  if (step === null) return true;
  if (step.waits === true) return point === 'record' || point === 'answer';
  return step.effects === undefined || AT_STATEMENTS.includes(point);
}
