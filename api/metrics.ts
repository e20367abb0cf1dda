/**
 * The metrics of Holdfast as Prometheus reads them. They hold counts, ages, and the names of backup managers and
 * datacenters: nothing of a tenant.
 * @module
 */
import type { Logger } from 'pino';
import { type DatabaseMetrics, endedOperations, readMetrics } from '../db/metrics.ts';
import { exposition, type Metric, type Sample } from './exposition.ts';
import { checkInvariants, type InvariantReport, type InvariantSources } from './invariants.ts';

/** How long what was read is good for, so that any number of scrapes costs the same. Milliseconds. */
const KEEP_MS = 5_000;
/** The same for what takes longer: the totals, and the list of open runs with the check of the invariants. */
const KEEP_LONG_MS = 15_000;
/** How long a scrape waits for each part; Prometheus itself waits 10 s. Milliseconds. */
const LIMIT_MS = 5_000;

/** Where the metrics come from. */
export interface MetricsSources extends InvariantSources {
  readonly logger: Logger;
}

/**
 * Makes what answers a scrape. It always answers: what cannot be read in time is left out, and `holdfast_up` says of
 * which part.
 * @param keepMs how long what was read is good for; by default 5 s, and 15 s for what takes longer.
 */
export function createMetrics(sources: MetricsSources, keepMs?: number): () => Promise<string> {
  const { db, logger } = sources;
  const told = <T>(what: string, read: () => Promise<T>, usual: number) =>
    kept(read, keepMs ?? usual, (err) => logger.warn({ err }, `${what} could not be read for the metrics`));
  const database = told('the database', () => readMetrics(db), KEEP_MS);
  const totals = told('the totals', () => endedOperations(db), KEEP_LONG_MS);
  const invariants = told('the invariants', () => checkInvariants(sources), KEEP_LONG_MS);

  return async () => {
    const [now, ended, report] = await Promise.all([database(), totals(), invariants()]);
    const metrics: Metric[] = [
      gauge('holdfast_up', 'Whether the part answered when the metrics were read.', [
        { labels: { part: 'database' }, value: now === undefined ? 0 : 1 },
        { labels: { part: 'temporal' }, value: report?.temporalAnswered === true ? 1 : 0 },
      ]),
      ...(report === undefined ? [] : ofInvariants(report)),
      {
        name: 'holdfast_operations_total',
        type: 'counter',
        help: 'Operations that have ended, by kind and outcome.',
        samples: (ended ?? []).map(({ kind, state, count }) => ({ labels: { kind, outcome: state }, value: count })),
      },
      ...(now === undefined ? [] : [...ofOperations(now), ...ofManagers(now.managers)]),
    ];
    return exposition(metrics);
  };
}

function ofInvariants({ findings }: InvariantReport): Metric[] {
  const known = findings.filter(({ broken, unchecked }) => unchecked === undefined || broken.length > 0);
  return [
    gauge(
      'holdfast_invariant_broken',
      'Rows that break an invariant; left out while it cannot be checked. holdfast doctor --invariants names them.',
      known.map(({ invariant, broken }) => ({ labels: { invariant }, value: broken.length })),
    ),
  ];
}

function ofOperations({ open, waiting, locks, residue }: DatabaseMetrics): Metric[] {
  const oldestLock = Math.max(0, ...locks.map((lock) => lock.oldest_seconds ?? 0));
  return [
    gauge(
      'holdfast_open_operations',
      'Operations that have not ended, by kind and state.',
      open.map(({ kind, state, count }) => ({ labels: { kind, state }, value: count })),
    ),
    gauge('holdfast_operations_needing_attention', 'Open operations that ask for a person.', [
      { value: open.reduce((sum, { attention }) => sum + attention, 0) },
    ]),
    gauge('holdfast_operations_waiting_to_start', 'Open operations that no run has taken up yet.', [
      { value: waiting.count },
    ]),
    gauge('holdfast_oldest_operation_waiting_to_start_seconds', 'How long the oldest of them waits.', [
      { value: waiting.oldest_seconds ?? 0 },
    ]),
    gauge(
      'holdfast_locks',
      'Locked virtual machines, by the kind of the operation that holds the lock.',
      locks.map(({ kind, count }) => ({ labels: { kind: kind ?? '' }, value: count })),
    ),
    gauge(
      'holdfast_lock_age_seconds',
      'Age of the oldest lock, by the kind of the operation that holds it.',
      locks.map(({ kind, oldest_seconds: age }) => ({ labels: { kind: kind ?? '' }, value: age ?? 0 })),
    ),
    gauge('holdfast_oldest_lock_age_seconds', 'Age of the oldest lock of all.', [{ value: oldestLock }]),
    gauge(
      'holdfast_residue',
      'Things that operations left behind and nobody has cleared, by system.',
      (['HYPERVISOR', 'BACKUP_SYSTEM'] as const).map((system) => ({
        labels: { system },
        value: residue.find((row) => row.system === system)?.count ?? 0,
      })),
    ),
  ];
}

function ofManagers(managers: DatabaseMetrics['managers']): Metric[] {
  const each = (value: (manager: DatabaseMetrics['managers'][number]) => number | null): Sample[] =>
    managers.flatMap((manager) => {
      const number = value(manager);
      const labels = { datacenter: manager.datacenter, manager: manager.name };
      return number === null ? [] : [{ labels, value: number }];
    });
  return [
    gauge(
      'holdfast_watch_lag_seconds',
      'Time since the backup manager was last looked at, while anything of it wants watching.',
      each((manager) => manager.watch_lag_seconds),
    ),
    gauge(
      'holdfast_sessions_in_flight',
      'Backups and restores that run in the backup system as far as is known.',
      each((manager) => manager.sessions ?? 0),
    ),
    gauge(
      'holdfast_write_queue_depth',
      'Steps that wait for a write slot of the backup manager.',
      each((manager) => manager.writes_waiting ?? 0),
    ),
    gauge(
      'holdfast_write_slots_taken',
      'Steps that have a write slot of the backup manager.',
      each((manager) => manager.writes_granted ?? 0),
    ),
    gauge(
      'holdfast_expiry_lag_seconds',
      'By how much the oldest backup copy is late whose date has passed without a check since; 0 when none is.',
      each((manager) => manager.expiry_lag_seconds ?? 0),
    ),
  ];
}

function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, type: 'gauge', help, samples };
}

/**
 * Reads once for all who ask within `keepMs`, and never twice at the same time: while an old reading still hangs, no
 * new one is added to it. A failure is kept as well.
 * @returns `undefined` when it failed, or is not there in time.
 */
function kept<T>(
  read: () => Promise<T>,
  keepMs: number,
  onFailure: (error: unknown) => void,
): () => Promise<T | undefined> {
  let reading: Promise<T | undefined> | undefined;
  let goodUntil = Number.POSITIVE_INFINITY;
  const begin = async (): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      onFailure(error);
      return undefined;
    } finally {
      goodUntil = performance.now() + keepMs;
    }
  };
  return async () => {
    if (reading === undefined || performance.now() >= goodUntil) {
      goodUntil = Number.POSITIVE_INFINITY;
      reading = begin();
    }
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), LIMIT_MS);
    });
    try {
      return await Promise.race([reading, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
