import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.ts';

/** Where CI wants the counts. */
const report = process.env['HOLDFAST_TEST_REPORT'];

/**
 * The tiers: `unit` needs nothing, `replay` a workflow bundle, `integration` a PostgreSQL cluster of its own,
 * `conformance` the simulators in its own process, `acceptance` and `crash` the whole system as `npm start` runs it. Whatever a tier needs, it brings.
 */
export default defineConfig({
  test: {
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    pool: 'forks',
    // Most tests wait for other processes, some for half a minute until a lost write can have no effect any more: more
    // files at a time than there are cores.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { extends: true, test: { name: 'replay', include: ['test/replay/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/integration/cluster.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          // What runs at once is what has got a world. A story's time begins before its turn, and others may use the machine.
          maxConcurrency: 1_000,
          testTimeout: 1_800_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'acceptance',
          include: ['test/acceptance/**/*.test.ts'],
          globalSetup: ['test/acceptance/system.ts'],
          testTimeout: 180_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'crash',
          include: ['test/crash/**/*.test.ts'],
          // Alone, and last: many operations at once have to be where a fault shall strike them.
          sequence: { groupOrder: 1 },
          fileParallelism: false,
        },
      },
    ],
  },
});
