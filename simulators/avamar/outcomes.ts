import type { Activity, Client } from './state.ts';

/** How the next activities of a client are to end. In memory: a restarted simulator has none. */
export type Outcome = {
  clientName?: string | undefined;
  cid?: string | undefined;
  kind?: Activity['kind'] | undefined;
  state: string;
  errorCode?: number | undefined;
  codeReason?: string | undefined;
  times?: number | undefined;
};
export type Outcomes = ReturnType<typeof createOutcomes>;

export function createOutcomes() {
  let outcomes: Outcome[] = [];
  return {
    list: (): Outcome[] => outcomes,
    add: (outcome: Outcome): void => void outcomes.push(outcome),
    clear: (): void => {
      outcomes = [];
    },
    /** The first that fits the client (by id, client name or the machine's name); used up by it. */
    take(client: Client, kind: Activity['kind']): Outcome | undefined {
      const found = outcomes.find(
        (outcome) =>
          (outcome.cid === undefined || outcome.cid === client.id) &&
          (outcome.clientName === undefined || [client.name, client.vmName].includes(outcome.clientName)) &&
          (outcome.kind === undefined || outcome.kind === kind),
      );
      if (found === undefined) return undefined;
      if (found.times !== undefined) {
        found.times -= 1;
        if (found.times <= 0) outcomes = outcomes.filter((outcome) => outcome !== found);
      }
      return found;
    },
  };
}
