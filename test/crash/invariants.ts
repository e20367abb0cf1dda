/**
 * The invariants of the whole system once everything has settled: the product's own check, on every row however young.
 * @module
 */
import { checkInvariants } from '../../api/invariants.ts';
import { connect } from '../../db/connect.ts';
import type { Invariant } from '../../db/invariants.ts';
import type { Stage } from './stage.ts';

/** What is broken. */
export interface Invariants {
  /** Locks that no open operation holds, and open operations without their lock. */
  readonly leakedLocks: readonly string[];
  /** Open operations without a run that is open. */
  readonly orphans: readonly string[];
  /** Open runs whose operation has ended. */
  readonly idleRuns: readonly string[];
}

const KEPT_AS: Readonly<Record<Invariant, keyof Invariants>> = {
  lock_without_operation: 'leakedLocks',
  operation_without_lock: 'leakedLocks',
  operation_without_run: 'orphans',
  run_without_operation: 'idleRuns',
};

/** @throws Error when an invariant could not be checked. */
export async function brokenInvariants(stage: Stage): Promise<Invariants> {
  const db = connect({ url: stage.databaseUrl, poolSize: 2, application: 'holdfast-test' });
  try {
    const { findings } = await checkInvariants({ db, temporal: stage.temporal }, 0);
    const broken: Record<keyof Invariants, string[]> = { leakedLocks: [], orphans: [], idleRuns: [] };
    for (const { invariant, rule, broken: rows, unchecked } of findings) {
      if (unchecked !== undefined) throw new Error(`"${rule}" was not checked: ${unchecked}`);
      broken[KEPT_AS[invariant]].push(...rows.map((row) => `${row.vmName}: ${row.what}`));
    }
    return broken;
  } finally {
    await db.destroy();
  }
}
