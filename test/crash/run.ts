/**
 * `npm run test:crash -- [--count N] [--seed N] [--only fault,…] [--workflow name,…] [--random N] [--report FILE]
 * [--publish docs/reliability.md] [--keep]`
 * @module
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { faultNamed } from './faults.ts';
import { brokenInvariants } from './invariants.ts';
import { playMatrix } from './matrix.ts';
import { playRandom } from './random.ts';
import { isClean, publish, reportOf, summaryOf, tableOf } from './report.ts';
import { openStage } from './stage.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    workflow: { type: 'string', default: '' },
    random: { type: 'string', default: '0' },
    report: { type: 'string' },
    publish: { type: 'string' },
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
const stage = await openStage({
  HOLDFAST_WATCH_INTERVAL: '500ms',
  HOLDFAST_RESULTS_SYNC_INTERVAL: '5s',
  HOLDFAST_RECONCILE_INTERVAL: '15s',
});
tell(`the system runs in ${stage.dataDir}`);
let clean = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    void stage.close(values.keep).finally(() => process.exit(130));
  });
}
try {
  const random = Number(values.random);
  const { trials, ownerless } =
    random > 0
      ? await playRandom(stage, { trials: random, seed, tell })
      : await playMatrix(stage, { selection, passes: Number(values.count), seed, tell });
  const report = reportOf({ seed, startedAt, trials, ownerless, invariants: await brokenInvariants(stage) });
  clean = isClean(report);
  if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify(report, null, 2)}\n`);
  if (values.publish !== undefined) publish(values.publish, random > 0 ? 'random' : 'matrix', report);
  console.log(`\n${tableOf(trials)}\n\n${summaryOf(report)}\n${clean ? 'all well' : 'NOT all well'}`);
} finally {
  await stage.close(values.keep);
}
process.exit(clean ? 0 : 1);
