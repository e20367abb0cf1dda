/**
 * `npm run test:crash -- [--count N] [--seed N] [--only fault,…] [--workflow name,…] [--random N] [--report FILE] [--keep]`
 * @module
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chanceFrom } from './chance.ts';
import { faultNamed } from './faults.ts';
import { brokenInvariants } from './invariants.ts';
import { cellsOf, roundsOf } from './matrix.ts';
import { isClean, reported, type ReportedTrial, reportOf, summaryOf, tableOf } from './report.ts';
import { playRound } from './round.ts';
import { openStage } from './stage.ts';
import { workflowPlans } from './workflows.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    workflow: { type: 'string', default: '' },
    random: { type: 'string', default: '0' },
    report: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const list = (text: string) => text.split(',').filter((name) => name !== '');
const selection = { faults: list(values.only), workflows: list(values.workflow) };
for (const name of selection.faults) faultNamed(name);
const seed = Number(values.seed);
const startedAt = Date.now();
const tell = (line: string) =>
  console.log(`${String(Math.round((Date.now() - startedAt) / 1_000)).padStart(5)} s  ${line}`);

/** A watch that looks often and sessions of seconds; everything else is what production has. */
const stage = await openStage({ HOLDFAST_WATCH_INTERVAL: '1s', HOLDFAST_RECONCILE_INTERVAL: '15s' });
tell(`the system runs in ${stage.dataDir}`);
const trials: ReportedTrial[] = [];
const ownerless: number[] = [];
let clean = false;
try {
  const plans = workflowPlans(false);
  for (let pass = 1; pass <= Number(values.count); pass += 1) {
    const chance = chanceFrom(seed).of(`pass ${pass}`);
    const rounds = roundsOf(cellsOf(plans, selection, chance));
    for (const [index, cells] of rounds.entries()) {
      const faults = [...new Set(cells.map((cell) => cell.fault.name))].join(', ');
      tell(`pass ${pass}, round ${index + 1} of ${rounds.length}: ${faults}, ${cells.length} trials`);
      const result = await playRound(stage, `c${pass}-${index}`, cells, tell);
      trials.push(...result.trials.map(reported));
      ownerless.push(...result.ownerless);
      for (const trial of result.trials) {
        for (const wrong of reported(trial).wrongs) tell(`  FAILED ${wrong} [${trial.machine.name}]`);
      }
    }
  }
  const report = reportOf({ seed, startedAt, trials, ownerless, invariants: await brokenInvariants(stage) });
  clean = isClean(report);
  if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`\n${tableOf(trials)}\n\n${summaryOf(report)}\n${clean ? 'all well' : 'NOT all well'}`);
} finally {
  await stage.close(values.keep);
}
process.exit(clean ? 0 : 1);
