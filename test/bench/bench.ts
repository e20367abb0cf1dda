/**
 * Benchmarks: ratios against a bare baseline in the same run, never timed tests.
 *
 * ```
 * npm run bench -- lifecycle                deploys against a no-op workflow of the same shape
 * npm run bench -- lifecycle --parts        and what each part of a deploy costs
 * npm run bench -- lifecycle --rounds 3     shorter, less certain
 * ```
 * @module
 */
import { parseArgs } from 'node:util';
import { benchLifecycle } from './lifecycle.ts';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '9' }, parts: { type: 'boolean', default: false } },
});
const rounds = Number(values.rounds);
if (positionals[0] !== 'lifecycle' || positionals.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
  console.error('Usage: npm run bench -- lifecycle [--rounds 9] [--parts]');
  process.exit(2);
}
await benchLifecycle({ rounds, parts: values.parts, print: (line) => console.log(line) });
