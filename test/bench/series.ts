/**
 * The blocks of one kind of work, and how they are told.
 * @module
 */
import { type Block, median } from './measure.ts';
import type { Cpu } from './system.ts';
import type { Work } from './work.ts';

/** The blocks of one kind of work and the CPU time of each of their pieces. */
export interface Series {
  readonly work: Work;
  readonly blocks: Block[];
  /** Empty where the operating system does not tell. */
  readonly cpu: Cpu[];
}

export function newSeries(work: Work): Series {
  return { work, blocks: [], cpu: [] };
}

export const LEVEL_HEADER =
  'in parallel  deploys/s  p50 ms  baseline/s  p50 ms  ratio (lowest to highest round)  ratio of CPU time';

/** One level of parallelism, and the CPU time of the processes below it. */
export function levelTold(parallel: number, ours: Series, theirs: Series): string {
  const ratios = ratiosOf(ours, theirs);
  const [low, high] = [Math.min(...ratios), Math.max(...ratios)];
  const columns = [
    String(parallel).padStart(11),
    speed(ours).padStart(10),
    latency(ours).padStart(7),
    speed(theirs).padStart(11),
    latency(theirs).padStart(7),
    ` ${median(ratios).toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`.padEnd(33),
    cpuRatio(ours, theirs),
  ];
  return [
    columns.join(' '),
    `             CPU ms of a deploy:   ${cpuTold(ours)}`,
    `             CPU ms of a baseline: ${cpuTold(theirs)}`,
  ].join('\n');
}

/** One kind of work beside the baseline. */
export function partTold(what: string, series: Series, baseline: Series): string {
  const ratio = median(ratiosOf(series, baseline)).toFixed(2);
  return `${ratio}, of CPU time ${cpuRatio(series, baseline)}  ${what}\n      CPU ms: ${cpuTold(series)}`;
}

/** Round by round, since what disturbs the machine in one round is gone in the next. */
function ratiosOf(ours: Series, theirs: Series): number[] {
  return ours.blocks.map((block, round) => block.perSecond / (theirs.blocks[round]?.perSecond ?? Number.NaN));
}

function speed({ blocks }: Series): string {
  return median(blocks.map((block) => block.perSecond)).toFixed(1);
}

function latency({ blocks }: Series): string {
  return median(blocks.flatMap((block) => block.latencies)).toFixed(0);
}

function cpuRatio(ours: Series, theirs: Series): string {
  if (ours.cpu.length === 0 || theirs.cpu.length === 0) return '-';
  return (total(theirs) / total(ours)).toFixed(2);
}

function total({ cpu }: Series): number {
  return median(cpu.map((one) => one.temporal + one.postgres + one.worker + one.client));
}

function cpuTold(series: Series): string {
  const { cpu } = series;
  if (cpu.length === 0) return 'not known here';
  const of = (part: keyof Cpu) => median(cpu.map((one) => one[part])).toFixed(0);
  const parts = `Temporal ${of('temporal')}, PostgreSQL ${of('postgres')}, worker ${of('worker')}, client ${of('client')}`;
  return `${parts}; together ${total(series).toFixed(0)}`;
}
