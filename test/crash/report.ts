/**
 * What a run found, as a table for people and as JSON for machines.
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { distributionOf, type Distribution } from './live-owner.ts';
import type { Invariants } from './invariants.ts';
import { describeCell, type Trial } from './trials.ts';

/** A trial in the report. */
export interface ReportedTrial {
  readonly workflow: string;
  readonly step: string;
  readonly fault: string;
  readonly point: string;
  readonly outcome: string;
  readonly wrongs: readonly string[];
  readonly operationId: string;
  readonly decision: string | null;
}

export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly trials: readonly ReportedTrial[];
  readonly counts: {
    readonly trials: number;
    readonly failed: number;
    readonly leakedLocks: number;
    readonly orphans: number;
    readonly idleRuns: number;
    readonly duplicates: number;
  };
  readonly invariants: Invariants;
  /** From a run's end to a live owner of its operation, in milliseconds. */
  readonly ownerless: Distribution;
}

/** Puts together what was found. */
export function reportOf(found: {
  readonly seed: number;
  readonly startedAt: number;
  readonly trials: readonly ReportedTrial[];
  readonly ownerless: readonly number[];
  readonly invariants: Invariants;
}): Report {
  const { seed, startedAt, trials, ownerless, invariants } = found;
  return {
    seed,
    seconds: Math.round((Date.now() - startedAt) / 1_000),
    trials,
    counts: {
      trials: trials.length,
      failed: trials.filter((trial) => trial.wrongs.length > 0).length,
      leakedLocks: invariants.leakedLocks.length,
      orphans: invariants.orphans.length,
      idleRuns: invariants.idleRuns.length,
      duplicates: trials.filter((trial) => trial.wrongs.some((wrong) => wrong.includes(': twice: '))).length,
    },
    invariants,
    ownerless: distributionOf(ownerless),
  };
}

/** Whether everything is as it shall be. */
export function isClean({ counts, ownerless }: Report): boolean {
  const { failed, leakedLocks, orphans, idleRuns, duplicates } = counts;
  return failed + leakedLocks + orphans + idleRuns + duplicates + ownerless.tooLong === 0;
}

export function reported(trial: Trial): ReportedTrial {
  const { cell, outcome, operationId, decision } = trial;
  return {
    workflow: cell.workflow.name,
    step: trial.where ?? cell.step?.name ?? 'request',
    fault: cell.fault.name,
    point: trial.hold === null && cell.point !== null ? 'wait' : (cell.point ?? 'commit'),
    outcome,
    wrongs: [...(trial.inPlace ? [] : ['it was not in its step when the fault struck']), ...trial.wrongs].map(
      (wrong) => `${describeCell(cell)}: ${wrong}`,
    ),
    operationId,
    decision,
  };
}

/** Rows are steps, columns faults; a cell says how many of its trials went well. */
export function tableOf(trials: readonly ReportedTrial[]): string {
  const faults = [...new Set(trials.map((trial) => trial.fault))];
  const rows = [...new Set(trials.map((trial) => `${trial.workflow} / ${trial.step}`))];
  const cell = (row: string, fault: string): string => {
    const all = trials.filter((trial) => `${trial.workflow} / ${trial.step}` === row && trial.fault === fault);
    if (all.length === 0) return '';
    const failed = all.filter((trial) => trial.wrongs.length > 0).length;
    if (failed > 0) return `FAILED ${failed} of ${all.length}`;
    return all.length === 1 ? 'ok' : `ok ${all.length}`;
  };
  const lines = [
    ['step', ...faults],
    ['---', ...faults.map(() => '---')],
    ...rows.map((row) => [row, ...faults.map((fault) => cell(row, fault))]),
  ];
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) => `| ${line.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`)
    .join('\n');
}

/** The counts in words. */
export function summaryOf({ seed, seconds, counts, invariants, ownerless }: Report): string {
  const s = (milliseconds: number) => `${(milliseconds / 1_000).toFixed(1)} s`;
  return [
    `seed ${seed}, ${seconds} s`,
    `trials ${counts.trials}, failed ${counts.failed}`,
    `leaked locks ${counts.leakedLocks}, orphans ${counts.orphans}, idle runs ${counts.idleRuns}, duplicates ${counts.duplicates}`,
    ...[...invariants.leakedLocks, ...invariants.orphans, ...invariants.idleRuns].map((broken) => `  ${broken}`),
    ownerless.count === 0
      ? 'no run was lost'
      : `from a run's end to a live owner: ${ownerless.count} lost runs, p50 ${s(ownerless.p50)}, p95 ${s(ownerless.p95)}, ` +
        `max ${s(ownerless.max)}, over 60 s: ${ownerless.tooLong}`,
  ].join('\n');
}

/** Puts table and counts into a page, between the marks of that section. @throws Error when the page has no such marks. */
export function publish(file: string, section: 'matrix' | 'random', report: Report): void {
  const page = readFileSync(file, 'utf8');
  const [begin, end] = [`<!-- ${section} -->`, `<!-- /${section} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${file} has no ${begin} … ${end}`);
  const counts = summaryOf(report)
    .split('\n')
    .map((line) => `- ${line}`);
  const found = `${begin}\n\n${counts.join('\n')}\n\n${tableOf(report.trials)}\n\n`;
  writeFileSync(file, page.slice(0, from) + found + page.slice(to));
}
