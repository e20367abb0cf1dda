/**
 * One system for all acceptance tests that do not break it.
 * @module
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { freePorts, type Ports, RunningSystem } from './running-system.ts';

declare module 'vitest' {
  interface ProvidedContext {
    system: { readonly url: string; readonly dataDir: string; readonly ports: Ports };
  }
}

/** Backups that take two seconds, and a schedule that is noticed at once. */
export const QUICK = {
  HOLDFAST_SIMULATED_BACKUP_SECONDS: '2',
  HOLDFAST_WATCH_INTERVAL: '1s',
  HOLDFAST_RECONCILE_INTERVAL: '2s',
};

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = mkdtempSync(join(tmpdir(), 'holdfast-acceptance-'));
  const system = new RunningSystem(dataDir, await freePorts(), QUICK);
  await system.start();
  project.provide('system', { url: system.url, dataDir, ports: system.ports });
  return () => system.remove();
}
