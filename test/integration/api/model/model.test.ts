/**
 * Random interleavings of what two enterprises, the platform, runs, lost runs and reset runs do to a few virtual
 * machines, compared with the model after every move. What happens at once must have an order that the model follows.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TERMINAL_STATES } from '../../../../domain/operations.ts';
import { startTestApi, type TestApi } from '../test-api.ts';
import { ACTIONS, type Deed, type Real, type Which } from './deeds.ts';
import { isPossible, perform } from './perform.ts';
import { isOpen, type Model, newModel, type Vm, type Who } from './rules.ts';

let api: TestApi;
let real: Omit<Real, 'story'>;
beforeAll(async () => {
  api = await startTestApi();
  const datacenter = await api.newDatacenter();
  const manager = await api.newManager(datacenter.id);
  const policy = await api.newPolicy(datacenter.id, manager.id);
  const enterprises = [await api.newEnterprise(), await api.newEnterprise()] as const;
  for (const { id } of enterprises) await api.allow(id, policy.id);
  real = {
    api,
    enterprises: [enterprises[0].id, enterprises[1].id],
    tokens: [enterprises[0].admin, enterprises[1].admin],
    datacenterId: datacenter.id,
    managerId: manager.id,
    policyId: policy.id,
  };
});
afterAll(() => api.stop());

/** One move: one deed after the other, or several at the same time. */
class Move implements fc.AsyncCommand<Model, Real> {
  readonly #turns: readonly (readonly Deed[])[];

  constructor(...turns: readonly (readonly Deed[])[]) {
    this.#turns = turns;
  }

  check(model: Readonly<Model>): boolean {
    return this.#turns.every((deeds) => deeds.every((deed) => isPossible(model, deed)));
  }

  async run(model: Model, system: Real): Promise<void> {
    for (const deeds of this.#turns) await together(model, system, deeds);
  }

  toString(): string {
    const turns = this.#turns.map((deeds) => deeds.map((deed) => JSON.stringify(deed)).join(' at once with '));
    return turns.join(', then ');
  }
}

/** Does all of it at the same time; there must be an order in which it can have happened. */
async function together(model: Model, system: Real, deeds: readonly Deed[]): Promise<void> {
  const done = await Promise.all(deeds.map((deed) => perform(model, system, deed)));
  const problems = new Set<string>();
  let world: World | undefined;
  for (const order of orders(done)) {
    const after = structuredClone(model);
    const problem = order.map(({ what, follow }) => [what, follow(after)]).find(([, differs]) => differs !== undefined);
    if (problem !== undefined) {
      problems.add(problem.join(': '));
      continue;
    }
    world ??= await inDatabase(
      system,
      after.vms.map(({ id }) => id),
    );
    if (isDeepStrictEqual(world, predicted(after))) {
      Object.assign(model, after);
      return;
    }
    problems.add(`the answers are right, but the database is not:\n${diff(predicted(after), world)}`);
  }
  throw new Error([...problems].join('\n'));
}

function orders<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first, index) => orders(items.toSpliced(index, 1)).map((rest) => [first, ...rest]));
}

type World = ReturnType<typeof predicted>;

/** What the database has to hold: all that anybody could have changed. */
function predicted(model: Model) {
  const vms = model.vms.map((vm) => {
    const { id, state, deleted, cpu, fence, holder } = vm;
    return { id, state, deleted, cpu, fence, holder, events: vm.events.toSorted() };
  });
  const operations = model.operations.map((operation) => {
    const { id, kind, state, fence, recovery, run, crossed, cancelled } = operation;
    return { id, kind, state, fence, recovery, run, crossed, cancelled, open: isOpen(operation) };
  });
  return { vms: byId(vms), operations: byId(operations) };
}

/** What the database holds of these virtual machines. */
async function inDatabase({ api: { db } }: Real, ids: readonly string[]): Promise<World> {
  if (ids.length === 0) return { vms: [], operations: [] };
  const [vms, operations, events] = await Promise.all([
    db
      .selectFrom('virtual_machine as vm')
      .leftJoin('vm_lock as l', 'l.vm_id', 'vm.id')
      .select(['vm.id', 'vm.state', 'vm.deleted_at', 'vm.cpu', 'l.fence', 'l.operation_id'])
      .where('vm.id', 'in', ids)
      .execute(),
    db.selectFrom('operation').selectAll().where('vm_id', 'in', ids).execute(),
    db.selectFrom('event').select(['vm_id', 'action']).where('vm_id', 'in', ids).execute(),
  ]);
  // Whatever the model says: a locked VM has exactly one open operation, and a free one has none.
  const open = operations.filter((row) => row.finished_at === null).map((row) => row.id);
  expect(open.toSorted()).toEqual(vms.flatMap((vm) => vm.operation_id ?? []).toSorted());
  return {
    vms: byId(
      vms.map(({ id, state, deleted_at: deletedAt, cpu, fence, operation_id: holder }) => {
        const written = events.flatMap((event) => (event.vm_id === id ? [event.action] : [])).toSorted();
        return { id, state, deleted: deletedAt !== null, cpu, fence: fence ?? 0, holder, events: written };
      }),
    ),
    operations: byId(
      operations.map((row) => ({
        id: row.id,
        kind: row.kind,
        state: row.state,
        fence: row.fence,
        recovery: row.recovery,
        run: row.run_id,
        crossed: row.point_of_no_return_at !== null,
        cancelled: row.cancel_requested_at !== null,
        open: row.finished_at === null,
      })),
    ),
  };
}

function byId<T extends { readonly id: string }>(rows: readonly T[]): T[] {
  return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** The rows that differ, as they should be and as they are. */
function diff(wanted: World, found: World): string {
  const rows = (world: World) => [...world.vms, ...world.operations].map((row) => JSON.stringify(row));
  const [want, have] = [rows(wanted), rows(found)];
  return [
    ...want.filter((row) => !have.includes(row)).map((row) => `- ${row}`),
    ...have.filter((row) => !want.includes(row)).map((row) => `+ ${row}`),
  ].join('\n');
}

const index = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 2 }) }, { weight: 1, arbitrary: fc.nat({ max: 11 }) });
const key = fc.option(fc.constantFrom('k1', 'k2'), { freq: 3 });
const who: fc.Arbitrary<Who> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Who>('owner') },
  { weight: 3, arbitrary: fc.constant<Who>('platform') },
  { weight: 1, arbitrary: fc.constant<Who>('stranger') },
);
const run: fc.Arbitrary<Which> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Which>('own') },
  { weight: 1, arbitrary: fc.constant<Which>('reset') },
  { weight: 1, arbitrary: fc.constant<Which>('lost') },
);
const outcome = fc.oneof(
  { weight: 3, arbitrary: fc.constant('SUCCEEDED' as const) },
  { weight: 1, arbitrary: fc.constantFrom(...TERMINAL_STATES) },
);
const action = fc.constantFrom(...(Object.keys(ACTIONS) as (keyof typeof ACTIONS)[]));

const create = fc.record({
  deed: fc.constant('create' as const),
  owner: fc.constantFrom(0 as const, 1 as const),
  policy: fc.boolean(),
});
const requests: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ deed: fc.constant('ask' as const), vm: index, who, action, key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      deed: fc.constant('change' as const),
      vm: index,
      who,
      cpu: fc.integer({ min: 1, max: 3 }),
      key,
    }),
  },
  { weight: 2, arbitrary: fc.record({ deed: fc.constant('restore' as const), vm: index, who, key }) },
  { weight: 1, arbitrary: fc.record({ deed: fc.constant('keep a backup' as const), vm: index }) },
  { weight: 1, arbitrary: fc.record({ deed: fc.constant('delete' as const), vm: index, who }) },
  { weight: 1, arbitrary: fc.record({ deed: fc.constant('look' as const), vm: index, who }) },
  { weight: 2, arbitrary: fc.record({ deed: fc.constant('cancel' as const), operation: index, who }) },
  { weight: 1, arbitrary: fc.record({ deed: fc.constant('clean up' as const), operation: index, who, key }) },
  {
    weight: 1,
    arbitrary: fc.record({
      deed: fc.constant('settle' as const),
      operation: index,
      outcome: fc.constantFrom('SUCCEEDED' as const, 'FAILED' as const),
    }),
  },
);
const runs: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ deed: fc.constant('bind' as const), operation: index, run }) },
  { weight: 2, arbitrary: fc.record({ deed: fc.constant('cross' as const), operation: index, run }) },
  { weight: 6, arbitrary: fc.record({ deed: fc.constant('finish' as const), operation: index, run, outcome }) },
  { weight: 2, arbitrary: fc.record({ deed: fc.constant('hand over' as const), operation: index, run }) },
  { weight: 1, arbitrary: fc.record({ deed: fc.constant('lose sight of' as const), operation: index }) },
);
const leave = fc.record({ deed: fc.constant('leave behind' as const), operation: index, run });
const deed = fc.oneof({ weight: 3, arbitrary: requests }, { weight: 2, arbitrary: runs });

const alone = (arbitrary: fc.Arbitrary<Deed>) => arbitrary.map((one) => new Move([one]));
const moves = fc.oneof(
  { weight: 1, arbitrary: alone(create) },
  { weight: 10, arbitrary: alone(requests) },
  { weight: 8, arbitrary: alone(runs) },
  { weight: 1, arbitrary: alone(leave) },
  { weight: 8, arbitrary: fc.array(deed, { minLength: 2, maxLength: 3 }).map((deeds) => new Move(deeds)) },
  {
    weight: 4,
    arbitrary: outcome.map((how) => {
      const mine = { operation: 0, run: 'own' } as const;
      return new Move([{ deed: 'bind', ...mine }], [{ deed: 'finish', ...mine, outcome: how }]);
    }),
  },
);

/** Each story begins with a draft, a VM that runs and one that is off and can be restored. */
async function begin(): Promise<{ model: Model; real: Real }> {
  const model = newModel();
  const system = { ...real, story: api.unique('story') };
  for (const owner of [0, 0, 1] as const) await together(model, system, [{ deed: 'create', owner, policy: true }]);
  const [, on, off] = model.vms as [Vm, Vm, Vm];
  for (const [vm, state] of [
    [on, 'ON'],
    [off, 'OFF'],
  ] as const) {
    await api.setState(vm.id, state);
    vm.state = state;
  }
  await together(model, system, [{ deed: 'keep a backup', vm: 2 }]);
  return { model, real: system };
}

test('whatever is done in whatever order, the API and the database do what the rules say', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands([moves], { maxCommands: 60, size: 'max' }), async (commands) => {
      const story = await begin();
      await fc.asyncModelRun(() => story, commands);
    }),
    // Looking for the shortest story that fails ends in time to tell it.
    { numRuns: 30, interruptAfterTimeLimit: 90_000 },
  );
}, 120_000);
