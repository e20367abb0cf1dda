/**
 * `npm run bench -- lifecycle`: deploys against a no-op workflow with the same activities and payload sizes, on the same
 * Temporal server and the same worker process, in blocks that alternate.
 * @module
 */
import { availableParallelism, cpus } from 'node:os';
import { connect } from '../../db/connect.ts';
import { fillEstate } from './estate.ts';
import { historyShape } from './history-shape.ts';
import { type Block, inParallel, median } from './measure.ts';
import { type Cpu, cpuPerPiece, cpuSeconds, startSystem } from './system.ts';
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

/** So many in parallel, so many pieces of work in a block. */
const LEVELS = [
  { parallel: 1, pieces: 12 },
  { parallel: 8, pieces: 64 },
  { parallel: 32, pieces: 128 },
] as const;
const WARM_UP = 100;

/** The blocks of one kind of work and the CPU time that they took. */
interface Series {
  readonly work: Work;
  readonly blocks: Block[];
  readonly cpu: Cpu[];
}

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
    const orWorkerFails = <T>(work: Promise<T>) => Promise.race([work, worker.failed]);
    const doAll = async (work: Work, pieces: number, parallel: number) =>
      orWorkerFails(inParallel(parallel, await work(pieces)));
    const once = async (work: (sawRun: (id: string) => void) => Work) => {
      let ran = '';
      await doAll(
        work((id) => (ran = id)),
        1,
        1,
      );
      return historyShape(client, ran);
    };

    const deployShape = await once((sawRun) => deploys(place, 'product', sawRun));
    const baselineShape = await once((sawRun) => baselines(client, deployShape, sawRun));
    print(`a deploy:   ${told(deployShape)}`);
    print(`a baseline: ${told(baselineShape)}`);
    const product = deploys(place, 'product');
    const baseline = baselines(client, deployShape);
    for (const work of [baseline, product]) await doAll(work, WARM_UP, 8);

    const cpuNow = () => cpuSeconds({ ...system.pids, worker: worker.pid });
    const alternate = async (series: readonly Series[], pieces: number, parallel: number) => {
      for (let round = 0; round < rounds; round += 1) {
        for (const { work, blocks, cpu } of round % 2 === 0 ? series : series.toReversed()) {
          const todo = await work(pieces);
          const before = cpuNow();
          blocks.push(await orWorkerFails(inParallel(parallel, todo)));
          const after = cpuNow();
          if (before !== undefined && after !== undefined) cpu.push(cpuPerPiece(before, after, pieces));
        }
      }
    };

    print('');
    print('in parallel   deploys/s   p50 ms   baseline/s   p50 ms   ratio (lowest to highest round)');
    for (const { parallel, pieces } of LEVELS) {
      const [ours, theirs] = [newSeries(product), newSeries(baseline)];
      await alternate([theirs, ours], pieces, parallel);
      const ratios = ours.blocks.map((block, i) => block.perSecond / (theirs.blocks[i]?.perSecond ?? Number.NaN));
      print(
        [
          String(parallel).padStart(11),
          speed(ours).toFixed(1).padStart(11),
          latency(ours).toFixed(0).padStart(8),
          speed(theirs).toFixed(1).padStart(12),
          latency(theirs).toFixed(0).padStart(8),
          `   ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
        ].join(' '),
      );
      print(`              CPU ms per deploy:   ${cpuTold(ours)}`);
      print(`              CPU ms per baseline: ${cpuTold(theirs)}`);
    }
    print('');
    print(await verifyDeploys(db, estate.datacenterOf('product')));

    if (parts) {
      const left: Record<Variant, Work> = {
        'no-events': deploys({ ...place, db: eventless }, 'no-events'),
        'no-permissions': deploys(place, 'no-permissions'),
        'no-steps': deploys(place, 'no-steps'),
        'no-database': workflowsAlone(client, 'no-database'),
      };
      for (const variant of variants) await doAll(left[variant], WARM_UP, 8);
      const all = { baseline: newSeries(baseline), deploy: newSeries(product) };
      const without = variants.map((variant) => ({ variant, series: newSeries(left[variant]) }));
      await alternate([all.baseline, ...without.map(({ series }) => series), all.deploy], 64, 8);
      print('');
      print('8 in parallel');
      const line = (what: string, series: Series) => {
        const ratios = series.blocks.map((block, i) => block.perSecond / (all.baseline.blocks[i]?.perSecond ?? 1));
        print(`${median(ratios).toFixed(2)}  ${speed(series).toFixed(1).padStart(5)}/s  ${what}  [${cpuTold(series)}]`);
      };
      line('the baseline', all.baseline);
      line('a deploy', all.deploy);
      for (const { variant, series } of without) line(VARIANTS[variant], series);
    }
  } finally {
    await db.destroy();
    await eventless.destroy();
    await worker.stop();
    await system.stop();
  }
}

function newSeries(work: Work): Series {
  return { work, blocks: [], cpu: [] };
}

const speed = ({ blocks }: Series) => median(blocks.map((block) => block.perSecond));
const latency = ({ blocks }: Series) => median(blocks.flatMap((block) => block.latencies));

function cpuTold({ cpu }: Series): string {
  const [first] = cpu;
  if (first === undefined) return 'not known here';
  return Object.keys(first)
    .map((part) => `${part} ${median(cpu.map((one) => one[part as keyof Cpu])).toFixed(0)}`)
    .join(', ');
}

function told({ events, input, activities }: Awaited<ReturnType<typeof historyShape>>): string {
  const sizes = activities.map(([given, answered]) => `${given}>${answered}`).join(' ');
  return `${activities.length} activities, ${events} events, ${input} bytes of input; bytes in > out: ${sizes}`;
}
