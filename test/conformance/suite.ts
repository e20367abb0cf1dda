/**
 * The conformance suite: what every plugin has to pass before its backup system, simulated or real.
 *
 * ```ts
 * conformance('Avamar', avamarSubject);
 * ```
 * @module
 */
import { afterAll, afterEach, beforeAll, describe, expect, test, type TestOptions } from 'vitest';
import { ExternalSystemError } from '../../activities/calls.ts';
import type { BackupPluginType } from '../../domain/plugin-types.ts';
import { type Coverage, coverage } from './coverage.ts';
import { type Lending, lending } from './lending.ts';
import type { PluginUnderTest, Subject, Surroundings } from './plugin-under-test.ts';
import { openContext, until } from './port-calls.ts';
import { accessRules, CERTIFICATE, certificateRules } from './rules/access.ts';
import { calendarRules } from './rules/calendar.ts';
import { restoreRules } from './rules/restores.ts';
import { scheduleRules } from './rules/schedules.ts';
import { sessionRules } from './rules/sessions.ts';
import { GROUPS, type Played, type Scenario } from './scenarios.ts';
import { type Place, TROUBLES, type TroubleRow, untruth } from './troubles.ts';
import type { Call } from './wire.ts';

/** Far from each other, and one that changes its clocks. */
const ZONES_OF_SERVERS = ['UTC', 'Pacific/Auckland'];

/** So many worlds stand side by side in each group of stories. */
const LANES = 6;

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
  // The parts wait for worlds of their own, so they do it at once; what is asked of one real server comes in turn.
  const part = subject.without.SURROUNDINGS === undefined ? describe.concurrent : describe;
  const struck = new Set<string>();
  for (const [group, stories] of GROUPS) {
    const played = scenarios.filter((scenario) => stories.includes(scenario));
    // What is read is compared by its ids, which other worlds do not have; and there is one real server alone.
    const lanes = group === 'reading' || subject.without.SURROUNDINGS !== undefined ? 1 : LANES;
    part(`${name}, whatever happens to a call: ${group}`, () => inTrouble(subject, played, covered, struck, lanes));
  }
  part(name, () => {
    describe('by the rules', { concurrent: false }, () => byTheRules(subject));
  });
  if (subject.without.TIME === undefined) part(`${name}, by the calendar`, () => byTheCalendar(subject));
  if (subject.without.SURROUNDINGS !== undefined) return;
  part(`${name}, with a certificate`, () => {
    let world: PluginUnderTest;
    beforeAll(async () => {
      world = await subject.start({ certificate: CERTIFICATE });
    });
    afterAll(() => world.close());
    certificateRules(() => world);
  });
  part(`${name}, in other surroundings`, () => surrounded(subject, scenarios, covered));
}

function inTrouble(
  subject: Subject,
  scenarios: readonly Scenario[],
  covered: Coverage,
  struck: Set<string>,
  lanes: number,
): void {
  let worlds: PluginUnderTest[] = [];
  let lend: Lending;
  beforeAll(async () => {
    worlds = await Promise.all(Array.from({ length: lanes }, () => subject.start({})));
    lend = lending(worlds);
  });
  afterAll(() => Promise.all(worlds.map((world) => world.close())));
  const patience = patienceOf(subject);
  for (const scenario of scenarios) {
    const runs = new Map<boolean, Promise<Healthy>>();
    /** Made once: what each trouble is compared with. */
    const healthy = (smallPages: boolean): Promise<Healthy> => {
      const run = runs.get(smallPages) ?? lend((world) => healthyRun(world, subject.type, scenario, smallPages));
      runs.set(smallPages, run);
      return run;
    };
    test.concurrent(scenario.name, patience, async () => {
      expect((await healthy(false)).outcome).toEqual(scenario.expected(subject.type));
      covered.note(scenario.name, 'healthy', 1);
    });
    for (const row of TROUBLES) {
      test.concurrent(`${scenario.name}: ${row.name}`, patience, async () => {
        const { calls, outcome } = await healthy(row.what === 'SAME_PAGE_AGAIN');
        const places = placesLeft(row, calls, struck);
        const ends = await Promise.allSettled(
          places.map((place) => lend((world) => strikes(world, subject, scenario, row, place, outcome))),
        );
        for (const end of ends) if (end.status === 'rejected') throw end.reason;
        const hits = ends.filter((end) => end.status === 'fulfilled' && end.value);
        covered.note(scenario.name, row.name, hits.length);
      });
    }
  }
}

/** A real server takes its time, and every story waits for its turn. */
const patienceOf = ({ patienceMs }: Subject): TestOptions =>
  patienceMs === undefined ? {} : { timeout: 200 * patienceMs };

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

function byTheCalendar(subject: Subject): void {
  const servers = ZONES_OF_SERVERS.map((zone) => [zone, { zone }] as const);
  const lend = lentIn(subject, servers);
  for (const rule of calendarRules(subject)) {
    for (const zone of ZONES_OF_SERVERS) {
      test.concurrent(`${rule.name}, on a server in ${zone}`, () => lend(zone, rule.holds));
    }
  }
}

/**
 * Starts a world in each of the surroundings for the tests of a part, and lends the one that is named. Its time goes on
 * from one test to the next, so they have it in their order.
 */
function lentIn(
  subject: Subject,
  conditions: readonly (readonly [string, Surroundings])[],
): <T>(condition: string, use: (world: PluginUnderTest) => Promise<T>) => Promise<T> {
  const worlds: PluginUnderTest[] = [];
  const lenders = new Map<string, Lending>();
  beforeAll(async () => {
    for (const [condition, surroundings] of conditions) {
      const world = await subject.start(surroundings);
      worlds.push(world);
      lenders.set(condition, lending([world]));
    }
  });
  afterAll(() => Promise.all(worlds.map((world) => world.close())));
  return (condition, use) => {
    const lend = lenders.get(condition);
    if (lend === undefined) throw new Error(`no world was started for ${condition}`);
    return lend(use);
  };
}

function surrounded(subject: Subject, scenarios: readonly Scenario[], covered: Coverage): void {
  const conditions = surroundingsOf(subject);
  const lend = lentIn(subject, conditions);
  for (const scenario of scenarios) {
    for (const [condition] of conditions) {
      test.concurrent(`${scenario.name}: ${condition}`, async () => {
        const run = (world: PluginUnderTest) => healthyRun(world, subject.type, scenario, false);
        expect((await lend(condition, run)).outcome).toEqual(scenario.expected(subject.type));
        covered.note(scenario.name, condition, 1);
      });
    }
  }
  for (const [condition, { aheadSeconds }] of conditions) {
    if (aheadSeconds === undefined) continue;
    test.concurrent(`a check tells the skew: ${condition}`, async () => {
      const found = await lend(condition, (world) => world.connect().check(openContext(), []));
      expect(Math.abs((found.clockSkewSeconds ?? 0) - aheadSeconds)).toBeLessThan(120);
      expect(found.problems.map(({ code }) => code)).toContain('CLOCK_SKEW');
    });
  }
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
  await finish(world, played, undefined, 'a good run');
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

/** Plays the scenario with the trouble in that place. @returns whether it struck there. */
async function strikes(
  world: PluginUnderTest,
  { type, without }: Subject,
  scenario: Scenario,
  row: TroubleRow,
  place: Place,
  healthyOutcome: unknown,
): Promise<boolean> {
  const at = `${row.name} at ${place.named}`;
  const played = await scenario.begin(world, type);
  if (row.what === 'SAME_PAGE_AGAIN') world.wire.smallPages(2);
  world.wire.forget();
  const strike = row.what === 'GONE' ? undefined : world.wire.trouble(row.what, place.fits, place.times);
  if (row.what === 'GONE') await world.wire.goAway();
  const failure = await failureOf(played.act(world.connect(), openContext()));
  await world.wire.heal();
  expect(untruth(row, failure), at).toBeUndefined();
  const hasStruck = strike === undefined || strike.hit.length > 0;
  // A list that fits on one page has no later one, and a server in use does not do the same twice; in a simulator
  // any other trouble strikes where it did in the healthy run.
  const mayMiss = row.what === 'SAME_PAGE_AGAIN' || without.SURROUNDINGS !== undefined;
  if (!mayMiss) expect(hasStruck, `${at} did not strike`).toBe(true);
  await finish(world, played, failure, at);
  expect(await played.outcome(), at).toEqual(healthyOutcome);
  return hasStruck;
}

/**
 * What Holdfast does after a failure: the same again in another process, or the undo; again and again while that may
 * help, since what was asked before may still be on its way.
 */
async function finish(world: PluginUnderTest, played: Played, failure: unknown, at: string): Promise<void> {
  if (failure === undefined && played.giveUp === undefined) return;
  const again = (): Promise<void> =>
    played.giveUp?.(world.connect(), openContext()) ?? played.act(world.connect(), openContext());
  const last = await until(
    { patienceMs: world.patienceMs },
    () => failureOf(again()),
    (error) => !(error instanceof ExternalSystemError && error.transient),
  );
  expect(last, `after ${at}`).toBeUndefined();
}

const failureOf = (sent: Promise<unknown>): Promise<unknown> =>
  sent.then(
    () => undefined,
    (error: unknown) => error,
  );
