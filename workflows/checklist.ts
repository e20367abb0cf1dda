/**
 * The steps of an operation as a checklist, for the operator who opens its run in the Temporal UI.
 * @module
 */
import { setCurrentDetails } from '@temporalio/workflow';
import { kindSlug } from '../domain/operations.ts';
import type { BriefedStep, Briefing } from './contract.ts';

/** Shows how far each step is. */
export class Checklist {
  readonly #briefing: Briefing;
  readonly #marks = new Map<BriefedStep, string>();

  constructor(briefing: Briefing) {
    this.#briefing = briefing;
    for (const step of briefing.steps) {
      if (step.skip !== null) this.#marks.set(step, `skipped (${step.skip})`);
      else if (step.before) this.#marks.set(step, `${step.before.toLowerCase()} by the run that was lost`);
    }
    this.#show();
  }

  mark(step: BriefedStep, mark: string): void {
    this.#marks.set(step, mark);
    this.#show();
  }

  /** The step's mark; empty while it waits. */
  markOf(step: BriefedStep): string {
    return this.#marks.get(step) ?? '';
  }

  #show(): void {
    const { kind, vmName, datacenterName, enterpriseName, recovery } = this.#briefing;
    const title = `**${kindSlug(kind)} ${vmName}** in ${datacenterName} for ${enterpriseName}`;
    const why = !recovery ? '' : `\n\n${RECOVERIES[recovery.mode]}: ${recovery.lost}.`;
    const lines = this.#briefing.steps.map((step) => `- ${describeStep(step)}: ${this.#marks.get(step) ?? 'waiting'}`);
    setCurrentDetails(`${title}${why}\n\n${lines.join('\n')}`);
  }
}

const RECOVERIES = {
  FORWARD: 'A recovery that goes on where the lost run was',
  WATCH: 'A recovery that watches on what the lost run had begun',
  UNDO: 'A recovery that undoes what the lost run had begun',
} as const;

/** For people: the step, and the backup manager that it concerns. */
export function describeStep(step: BriefedStep): string {
  const words = step.name.toLowerCase().replaceAll('_', ' ');
  return step.managerName === null ? words : `${words} in ${step.managerName}`;
}
