/**
 * `npm run bench -- lifecycle`: deploys against a no-op workflow with the same activities and payload sizes, on the same
 * Temporal server and the same worker process, in blocks that alternate.
 * @module
 */
import { availableParallelism, cpus } from 'node:os';
import { connect } from '../../db/connect.ts';
import { fillEstate } from './estate.ts';
import { historyShape, shapeTold } from './history-shape.ts';
import { inParallel } from './measure.ts';
import { LEVEL_HEADER, levelTold, newSeries, partTold, type Series } from './series.ts';
import { cpuPerPiece, cpuSeconds, startSystem } from './system.ts';
import { databaseWithoutEvents, type Variant, VARIANTS } from './variants.ts';
import { verifyDeploys } from './verify.ts';
import { baselines, deploys, type Work, workflowsAlone } from './work.ts';

export interface LifecycleOptions {
  /** Blocks of each kind at each level of parallelism. */
  readonly rounds: number;
  /** Also what the parts cost. */
  readonly parts: boolean;
  readonly print: (line: string) => void;
}

/** So many in parallel, so many pieces of work in a block. Short blocks: what disturbs the machine disturbs both. */
const LEVELS = [
  { parallel: 1, pieces: 8 },
  { parallel: 8, pieces: 48 },
  { parallel: 32, pieces: 128 },
] as const;
const WARM_UP = 100;

/** Runs it and prints what it showed. */
export async function benchLifecycle({ rounds, parts, print }: LifecycleOptions): Promise<void> {
  print(`${availableParallelism()} × ${cpus()[0]?.model ?? 'unknown CPU'}, Node ${process.version}`);
  const system = await startSystem(print);
  const variants = parts ? (Object.keys(VARIANTS) as Variant[]) : [];
  const worker = system.startWorker(variants);
  const db = connect({ url: system.databaseUrl, poolSize: 20, application: 'holdfast-api' });
  const eventless = databaseWithoutEvents(system.databaseUrl, 20);
  const { client } = system;
  try {
    const estate = await fillEstate(db, ['product', ...variants]);
    const place = { client, db, estate };
    const doAll = async (work: Work, pieces: number, parallel: number) => {
      const prepared = await work(pieces);
      return Promise.race([inParallel(parallel, prepared), worker.failed]);
    };
    const cpuNow = () => cpuSeconds({ ...system.pids, worker: worker.pid });
    const alternate = async (series: readonly Series[], pieces: number, parallel: number) => {
      for (let round = 0; round < rounds; round += 1) {
        // There and back, so that none always comes first.
        for (const { work, blocks, cpu } of round % 2 === 0 ? series : series.toReversed()) {
          const before = cpuNow();
          blocks.push(await doAll(work, pieces, parallel));
          const after = cpuNow();
          if (before !== undefined && after !== undefined) cpu.push(cpuPerPiece(before, after, pieces));
        }
      }
    };

    const shapeOf = async (workOf: (ran: (id: string) => void) => Work) => {
      let id = '';
      await doAll(
        workOf((workflowId) => {
          id = workflowId;
        }),
        1,
        1,
      );
      return historyShape(client, id);
    };
    const deployShape = await shapeOf((ran) => deploys(place, 'product', ran));
    print(`a deploy:   ${shapeTold(deployShape)}`);
    print(`a baseline: ${shapeTold(await shapeOf((ran) => baselines(client, deployShape, ran)))}`);

    const product = deploys(place, 'product');
    const baseline = baselines(client, deployShape);
    for (const work of [baseline, product]) await doAll(work, WARM_UP, 8);
    print(`\n${LEVEL_HEADER}`);
    for (const { parallel, pieces } of LEVELS) {
      const [ours, theirs] = [newSeries(product), newSeries(baseline)];
      await alternate([theirs, ours], pieces, parallel);
      print(levelTold(parallel, ours, theirs));
    }
    print(`\n${await verifyDeploys(db, estate.datacenterOf('product'))}`);
    if (!parts) return;

    const left: Record<Variant, Work> = {
      'no-events': deploys({ ...place, db: eventless }, 'no-events'),
      'no-permissions': deploys(place, 'no-permissions'),
      'no-steps': deploys(place, 'no-steps'),
      'no-database': workflowsAlone(client, 'no-database'),
    };
    for (const variant of variants) await doAll(left[variant], WARM_UP, 8);
    const [ours, theirs] = [newSeries(product), newSeries(baseline)];
    const without = variants.map((variant) => ({ variant, series: newSeries(left[variant]) }));
    await alternate([theirs, ...without.map(({ series }) => series), ours], 48, 8);
    print('\n8 in parallel, relative to the baseline');
    print(partTold('a deploy', ours, theirs));
    for (const { variant, series } of without) print(partTold(VARIANTS[variant], series, theirs));
    print(partTold('the baseline', theirs, theirs));
  } finally {
    await db.destroy();
    await eventless.destroy();
    await worker.stop();
    await system.stop();
  }
}
