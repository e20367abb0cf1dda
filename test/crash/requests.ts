/**
 * Requests whose API dies between the commit of the operation and the start of its workflow.
 * @module
 */
import type { Holds } from './holds.ts';
import { patiently, type Stage, waitFor } from './stage.ts';
import type { Trial } from './trials.ts';

const IN_PLACE_LIMIT_MS = 15_000;

const send = (stage: Stage, { cell, machine }: Trial) => {
  const request = cell.workflow.request?.(stage, machine);
  if (request === undefined) throw new Error(`nobody requests ${cell.workflow.name}`);
  return stage.api(request.method, request.path, request.body, { 'idempotency-key': `trial-${machine.id}` });
};

/** Sends each request and leaves it where its transaction is being committed; nobody will ever get the answer. */
export async function requestInVain(stage: Stage, trials: readonly Trial[], holds: Holds): Promise<void> {
  for (const trial of trials) send(stage, trial).catch(() => undefined);
  await waitFor(
    async () => {
      const holding = await holds.holding();
      for (const trial of trials) trial.inPlace = trial.hold !== null && holding.has(trial.hold);
      return trials.every((trial) => trial.inPlace);
    },
    (all) => all,
    IN_PLACE_LIMIT_MS,
  );
}

/** A client that got no answer repeats its request with the same key, and learns which operation it has begun. */
export async function requestAgain(stage: Stage, trials: readonly Trial[]): Promise<void> {
  for (const trial of trials) {
    const answer = await patiently(() => send(stage, trial));
    if (answer.status !== 202) throw new Error(`repeated: ${answer.status} ${JSON.stringify(answer.body)}`);
    trial.operationId = answer.body['id'];
  }
}
