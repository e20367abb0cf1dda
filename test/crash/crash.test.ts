/**
 * The crash matrix in its short form; `npm run test:crash` plays all of it.
 * @module
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chanceFrom } from './chance.ts';
import { brokenInvariants } from './invariants.ts';
import { type Found, playRounds, roundsOf, shortCells } from './matrix.ts';
import { openStage, type Stage } from './stage.ts';
import { workflowPlans } from './workflows.ts';

const SEED = 1;

let stage: Stage;
let found: Found;

beforeAll(async () => {
  stage = await openStage({
    HOLDFAST_WATCH_INTERVAL: '500ms',
    HOLDFAST_RESULTS_SYNC_INTERVAL: '5s',
    // Production looks every 15 s.
    HOLDFAST_RECONCILE_INTERVAL: '3s',
  });
  const cells = shortCells(workflowPlans(stage.changesDisks), chanceFrom(SEED));
  found = await playRounds(stage, roundsOf(cells), () => undefined);
}, 900_000);
afterAll(() => stage.close(false), 60_000);

test('whatever step an operation is in when its worker is killed or its run is lost, it ends in the truth', () => {
  expect(found.trials.flatMap((trial) => trial.wrongs)).toEqual([]);
  expect(found.trials.length).toBeGreaterThan(40);
});

test('nothing is left over: no lock without an operation, no operation without a run, no run without an operation', async () => {
  expect(await brokenInvariants(stage)).toEqual({ leakedLocks: [], orphans: [], idleRuns: [] });
});

test('a lost run has a successor within a minute', () => {
  expect(found.ownerless.length).toBeGreaterThan(5);
  expect(Math.max(...found.ownerless)).toBeLessThanOrEqual(60_000);
});
