/**
 * The conformance suite: what every plugin has to pass before its backup system, simulated or real.
 *
 * ```ts
 * conformance('Avamar', avamarSubject);
 * ```
 * @module
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BackupPluginType } from '../../domain/plugin-types.ts';
import { type Coverage, coverage } from './coverage.ts';
import type { PluginUnderTest, Subject, Surroundings } from './plugin-under-test.ts';
import { openContext } from './port-calls.ts';
import { accessRules, CERTIFICATE, certificateRules } from './rules/access.ts';
import { restoreRules } from './rules/restores.ts';
import { scheduleRules } from './rules/schedules.ts';
import { sessionRules } from './rules/sessions.ts';
import { GROUPS, type Played, type Scenario } from './scenarios.ts';
import { type Place, TROUBLES, type TroubleRow, untruth } from './troubles.ts';
import type { Call } from './wire.ts';

/** How often a call is tried again once a trouble has passed: what was asked before may still be on its way. */
const TRIES = 3;

/** How long a backup or a restore takes in the suite. */
const SESSION_SECONDS = 0.1;

/** Runs the suite over a subject, as tests of vitest. */
export function conformance(name: string, subject: Subject): void {
  const covered = coverage(name);
  const scenarios = GROUPS.flatMap(([, stories]) => stories).filter((scenario) => {
    if (!scenario.isOffered(subject.type)) return false;
    const missing = scenario.needs.find((ability) => subject.without[ability] !== undefined);
    if (missing !== undefined) covered.leaveOut(scenario.name, subject.without[missing] ?? missing);
    return missing === undefined;
  });
  afterAll(() => console.log(covered.table()));
  const struck = new Set<string>();
  for (const [group, stories] of GROUPS) {
    const played = scenarios.filter((scenario) => stories.includes(scenario));
    describe(`${name}, whatever happens to a call: ${group}`, () => inTrouble(subject, played, covered, struck));
  }
  describe(`${name}, by the rules`, () => byTheRules(subject));
  if (subject.without.SURROUNDINGS !== undefined) return;
  describe(`${name}, with a certificate`, () => {
    let world: PluginUnderTest;
    beforeAll(async () => {
      world = await subject.start({ certificate: CERTIFICATE });
    });
    afterAll(() => world.close());
    certificateRules(() => world);
  });
  for (const [condition, surroundings] of surroundingsOf(subject)) {
    describe(`${name}, ${condition}`, () => surrounded(subject, scenarios, covered, condition, surroundings));
  }
}

function inTrouble(subject: Subject, scenarios: readonly Scenario[], covered: Coverage, struck: Set<string>): void {
  let world: PluginUnderTest;
  beforeAll(async () => {
    world = await subject.start({});
  });
  afterAll(() => world.close());
  for (const scenario of scenarios) {
    const runs = new Map<boolean, Promise<Healthy>>();
    /** Made once: what each trouble is compared with. */
    const healthy = (smallPages: boolean): Promise<Healthy> => {
      const run = runs.get(smallPages) ?? healthyRun(world, subject.type, scenario, smallPages);
      runs.set(smallPages, run);
      return run;
    };
    test(`${scenario.name}`, async () => {
      expect((await healthy(false)).outcome).toEqual(scenario.expected(subject.type));
      covered.note(scenario.name, 'healthy', 1);
    });
    for (const row of TROUBLES) {
      test(`${scenario.name}: ${row.name}`, async () => {
        const run = await healthy(row.what === 'SAME_PAGE_AGAIN');
        const places = placesLeft(row, run.calls, struck);
        covered.note(scenario.name, row.name, await sweep(world, subject.type, scenario, row, places, run.outcome));
      });
    }
  }
}

function byTheRules(subject: Subject): void {
  let world: PluginUnderTest;
  beforeAll(async () => {
    world = await subject.start({});
  });
  afterEach(async () => {
    await world.wire.heal();
    await world.console.sessionsTake(SESSION_SECONDS);
  });
  afterAll(() => world.close());
  accessRules(() => world, subject);
  scheduleRules(() => world, subject);
  sessionRules(() => world, subject);
  restoreRules(() => world, subject);
}

function surrounded(
  subject: Subject,
  scenarios: readonly Scenario[],
  covered: Coverage,
  condition: string,
  surroundings: Surroundings,
): void {
  let world: PluginUnderTest;
  beforeAll(async () => {
    world = await subject.start(surroundings);
  });
  afterAll(() => world.close());
  test.each(scenarios)('$name', async (scenario) => {
    const { outcome } = await healthyRun(world, subject.type, scenario, false);
    expect(outcome).toEqual(scenario.expected(subject.type));
    covered.note(scenario.name, condition, 1);
  });
}

/** A clock that is wrong by days and a zone far away, and whatever differs among servers of the kind. */
function surroundingsOf(subject: Subject): readonly (readonly [string, Surroundings])[] {
  return [
    ['clock ahead', { aheadSeconds: 2 * 86_400 }],
    ['clock behind', { aheadSeconds: -2 * 86_400 }],
    ['other zone', { zone: 'Pacific/Auckland' }],
    ...subject.habits.map((habit) => [habit, { habit }] as const),
  ];
}

interface Healthy {
  readonly calls: readonly Call[];
  readonly outcome: unknown;
}

async function healthyRun(
  world: PluginUnderTest,
  type: BackupPluginType,
  scenario: Scenario,
  smallPages: boolean,
): Promise<Healthy> {
  const played = await scenario.begin(world, type);
  if (smallPages) world.wire.smallPages(2);
  world.wire.forget();
  await played.act(world.connect(), openContext());
  const calls = [...world.wire.calls];
  if (scenario.isIdempotent) {
    world.wire.forget();
    const again = openContext();
    await played.act(world.connect(), again);
    expect(world.wire.calls.filter(({ write }) => write !== undefined)).toEqual([]);
    expect(again.writes).toBe(0);
  }
  await world.wire.heal();
  await played.giveUp?.(world.connect(), openContext());
  return { calls, outcome: await played.outcome() };
}

/**
 * Where a trouble is to strike: writes in every scenario; a kind of call that only reads once in all scenarios, and the
 * last of them in each, when most has been done already.
 */
function placesLeft(row: TroubleRow, calls: readonly Call[], struck: Set<string>): Place[] {
  const all = row.places(calls);
  return all.filter((place, index) => {
    const key = `${row.name} ${place.named}`;
    const isNew = !struck.has(key);
    struck.add(key);
    return isNew || row.strikesWrites || index === all.length - 1;
  });
}

/** Plays the scenario once for each place where the trouble can strike. @returns in how many it did. */
async function sweep(
  world: PluginUnderTest,
  type: BackupPluginType,
  scenario: Scenario,
  row: TroubleRow,
  places: readonly Place[],
  healthyOutcome: unknown,
): Promise<number> {
  let struck = 0;
  for (const place of places) {
    const at = `${row.name} at ${place.named}`;
    const played = await scenario.begin(world, type);
    if (row.what === 'SAME_PAGE_AGAIN') world.wire.smallPages(2);
    world.wire.forget();
    const strike = row.what === 'GONE' ? undefined : world.wire.trouble(row.what, place.fits, place.times);
    if (row.what === 'GONE') await world.wire.goAway();
    const failure = await failureOf(played.act(world.connect(), openContext()));
    await world.wire.heal();
    expect(untruth(row, failure), at).toBeUndefined();
    if (strike === undefined || strike.hit.length > 0) struck += 1;
    // A list that fits on one page has no later one; any other trouble strikes where it did in the healthy run.
    else expect(row.what, `${at} did not strike`).toBe('SAME_PAGE_AGAIN');
    await finish(world, played, failure, at);
    expect(await played.outcome(), at).toEqual(healthyOutcome);
  }
  return struck;
}

/** What Holdfast does after a failure: the same again in another process, or the undo. */
async function finish(world: PluginUnderTest, played: Played, failure: unknown, at: string): Promise<void> {
  const next = played.giveUp ?? (failure === undefined ? undefined : played.act);
  let last: unknown;
  for (let tries = 0; next !== undefined && tries < TRIES; tries += 1) {
    last = await failureOf(next(world.connect(), openContext()));
    if (last === undefined) return;
  }
  expect(last, `after ${at}`).toBeUndefined();
}

const failureOf = (sent: Promise<unknown>): Promise<unknown> =>
  sent.then(
    () => undefined,
    (error: unknown) => error,
  );
