import type { Outcome, Result } from './state.ts';

/** How the next runs or restores are to end. In memory: a restarted simulator has none. */
type PlannedOutcome = {
  vmName?: string | undefined;
  jobName?: string | undefined;
  kind?: 'backup' | 'restore' | undefined;
  result: Result;
  reason?: string | undefined;
  /** A restore that fails after the machine that was there is gone. */
  originalRemoved?: boolean | undefined;
  times?: number | undefined;
};
export type Outcomes = ReturnType<typeof createOutcomes>;

const REASONS: Record<Result, string> = {
  Success: '',
  Warning: 'The guest file system could not be quiesced.',
  Failed: 'The virtual disk could not be read.',
};

export function createOutcomes() {
  let outcomes: PlannedOutcome[] = [];
  return {
    list: (): PlannedOutcome[] => outcomes,
    add: (outcome: PlannedOutcome): void => void outcomes.push(outcome),
    clear: (): void => {
      outcomes = [];
    },
    /** The first that fits; used up by it. */
    take(kind: 'backup' | 'restore', vmName: string, jobName?: string): Outcome | undefined {
      const found = outcomes.find(
        (outcome) =>
          (outcome.kind === undefined || outcome.kind === kind) &&
          (outcome.vmName === undefined || outcome.vmName === vmName) &&
          (outcome.jobName === undefined || outcome.jobName === jobName),
      );
      if (found === undefined) return undefined;
      if (found.times !== undefined) {
        found.times -= 1;
        if (found.times <= 0) outcomes = outcomes.filter((outcome) => outcome !== found);
      }
      const { result, reason = REASONS[result], originalRemoved = false } = found;
      return { result, reason, originalRemoved };
    },
  };
}
