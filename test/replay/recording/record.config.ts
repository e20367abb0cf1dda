/**
 * `npm run record-histories`: plays every operation for real and keeps the histories of its runs for the replay tests.
 * @module
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    include: ['test/replay/recording/record.ts'],
    globalSetup: ['test/integration/cluster.ts'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
