/**
 * Random interleavings of what two enterprises, the platform, runs, lost runs and reset runs do to a few virtual
 * machines, compared with the model after every move. What happens at once must have an order that the model follows.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TERMINAL_STATES } from '../../../domain/operations.ts';
import { startTestApi, type TestApi } from './test-api.ts';
import { ACTIONS, type Deed, isPossible, perform, type Real, type Which } from './vm-deeds.ts';
import { isOpen, type Model, newModel, type Who } from './vm-model.ts';

let api: TestApi;
let real: Real;
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

/** One move: deeds that are done at the same time. */
class Move implements fc.AsyncCommand<Model, Real> {
  readonly #deeds: readonly Deed[];

  constructor(deeds: readonly Deed[]) {
    this.#deeds = deeds;
  }

  check(model: Readonly<Model>): boolean {
    return this.#deeds.every((deed) => isPossible(model, deed));
  }

  async run(model: Model, system: Real): Promise<void> {
    const done = await Promise.all(this.#deeds.map((deed) => perform(model, system, deed)));
    const problems: string[] = [];
    for (const order of orders(done)) {
      const after = structuredClone(model);
      const problem = order
        .map(({ what, follow }) => [what, follow(after)])
        .find(([, differs]) => differs !== undefined);
      if (problem === undefined) {
        Object.assign(model, after);
        return agree(model, system);
      }
      problems.push(problem.join(': '));
    }
    throw new Error(problems.join('\n'));
  }

  toString(): string {
    return this.#deeds.map((deed) => JSON.stringify(deed)).join(' at once with ');
  }
}

function orders<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first, index) => orders(items.toSpliced(index, 1)).map((rest) => [first, ...rest]));
}

/** The database holds exactly what the model says: nothing else was changed by anybody. */
async function agree(model: Model, { api: { db } }: Real): Promise<void> {
  const ids = model.vms.map(({ id }) => id);
  if (ids.length === 0) return;
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
  const actual = {
    vms: vms.map(({ id, state, deleted_at, cpu, fence, operation_id }) => ({
      id,
      state,
      deleted: deleted_at !== null,
      cpu,
      fence: fence ?? 0,
      holder: operation_id,
      events: events.flatMap(({ vm_id, action }) => (vm_id === id ? [action] : [])).toSorted(),
    })),
    operations: operations.map((row) => ({
      id: row.id,
      kind: row.kind,
      state: row.state,
      fence: row.fence,
      recovery: row.recovery,
      run: row.run_id,
      crossed: row.point_of_no_return_at !== null,
      cancelled: row.cancel_requested_at !== null,
      closed: row.finished_at !== null,
    })),
  };
  const predicted = {
    vms: model.vms.map(({ id, state, deleted, cpu, fence, holder, events: written }) => ({
      id,
      state,
      deleted,
      cpu,
      fence,
      holder,
      events: written.toSorted(),
    })),
    operations: model.operations.map((operation) => {
      const { id, kind, state, fence, recovery, run, crossed, cancelled } = operation;
      return { id, kind, state, fence, recovery, run, crossed, cancelled, closed: !isOpen(operation) };
    }),
  };
  expect(byId(actual)).toEqual(byId(predicted));
  // Whatever the model says: a locked VM has exactly one open operation, and a free one has none.
  const open = operations.filter((row) => row.finished_at === null).map((row) => row.id);
  expect(open.toSorted()).toEqual(vms.flatMap((vm) => vm.operation_id ?? []).toSorted());
}

function byId<T extends { id: string }, U extends { id: string }>(found: { vms: T[]; operations: U[] }) {
  const order = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
  return { vms: found.vms.toSorted(order), operations: found.operations.toSorted(order) };
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
);
const runs: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ deed: fc.constant('bind' as const), operation: index, run }) },
  { weight: 2, arbitrary: fc.record({ deed: fc.constant('cross' as const), operation: index, run }) },
  { weight: 6, arbitrary: fc.record({ deed: fc.constant('finish' as const), operation: index, run, outcome }) },
  { weight: 2, arbitrary: fc.record({ deed: fc.constant('hand over' as const), operation: index, run }) },
);
const leave = fc.record({ deed: fc.constant('leave behind' as const), operation: index, run });
const deed = fc.oneof({ weight: 3, arbitrary: requests }, { weight: 2, arbitrary: runs });

const alone = (arbitrary: fc.Arbitrary<Deed>) => arbitrary.map((one) => new Move([one]));
const moves = [
  alone(create),
  alone(requests),
  alone(runs),
  alone(leave),
  fc.array(deed, { minLength: 2, maxLength: 3 }).map((deeds) => new Move(deeds)),
];

test('whatever is done in whatever order, the API and the database do what the rules say', async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(moves, { maxCommands: 60, size: 'max' }), async (commands) => {
      await fc.asyncModelRun(() => ({ model: newModel(), real }), commands);
    }),
    { numRuns: 40, endOnFailure: false },
  );
}, 120_000);
