/**
 * `holdfast doctor --invariants`: whether locks, operations and runs of a running Holdfast agree.
 * @module
 */
import { checkInvariants, type InvariantFinding } from '../api/invariants.ts';
import { openTemporal } from '../api/temporal-client.ts';
import { connect } from '../db/connect.ts';
import { INVARIANT_AGE_MS } from '../db/invariants.ts';
import type { Config } from '../temporal.config.ts';
import { findDatabase, reasonOf } from './parts/database.ts';
import { temporalAddress } from './parts/temporal.ts';
import { openTerminal } from './parts/terminal.ts';

/** The exit codes: every invariant holds, one is broken, or none was seen broken and not all could be checked. */
export const INVARIANT_CODES = { hold: 0, broken: 1, unchecked: 2 } as const;

/**
 * Checks the invariants and prints each with `ok`, the rows that break it, or why it could not be checked.
 * @returns one of `INVARIANT_CODES`.
 */
export async function doctorInvariants(config: Config, output: NodeJS.WriteStream): Promise<number> {
  const terminal = openTerminal(output);
  let findings: readonly InvariantFinding[];
  try {
    findings = await check(config);
  } catch (error) {
    terminal.text(`The invariants could not be checked: ${reasonOf(error)}`);
    return INVARIANT_CODES.unchecked;
  }
  for (const { rule, broken, unchecked } of findings) {
    if (broken.length > 0) terminal.warning('broken', `${rule}:`);
    else if (unchecked === undefined) terminal.line('ok', rule);
    for (const { vmName, operationId, what } of broken) {
      terminal.text(`    ${vmName ?? 'no virtual machine'}, operation ${operationId ?? 'unknown'}: ${what}`);
    }
    if (unchecked !== undefined) terminal.warning('not checked', `${rule}: ${unchecked}`);
  }
  terminal.text();
  const age = `on what is older than ${INVARIANT_AGE_MS / 1_000} s`;
  const rows = findings.reduce((sum, { broken }) => sum + broken.length, 0);
  if (rows > 0) {
    terminal.text(`Invariants are broken (${rows} ${rows === 1 ? 'row' : 'rows'}, ${age}).`);
    terminal.text('What each means and what to do: docs/guides/production.md.');
    return INVARIANT_CODES.broken;
  }
  if (findings.some(({ unchecked }) => unchecked !== undefined)) {
    terminal.text('Not every invariant could be checked.');
    return INVARIANT_CODES.unchecked;
  }
  terminal.text(`Every invariant holds ${age}.`);
  return INVARIANT_CODES.hold;
}

async function check(config: Config): Promise<readonly InvariantFinding[]> {
  const db = connect({ url: findDatabase(config), poolSize: 1, application: 'holdfast-doctor' });
  try {
    const temporal = await openTemporal({ ...config.temporal, address: temporalAddress(config.temporal) });
    try {
      return (await checkInvariants({ db, temporal: temporal.client })).findings;
    } finally {
      await temporal.close();
    }
  } finally {
    await db.destroy();
  }
}
