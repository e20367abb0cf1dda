/**
 * The check of the invariants: the queries of `db/invariants.ts` together with what Temporal says of the runs.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { Database } from '../db/connect.ts';
import {
  type BrokenRow,
  INVARIANT_AGE_MS,
  INVARIANTS,
  type Invariant,
  locksWithoutOperation,
  type OpenRun,
  operationsNotTakenUp,
  operationsWithoutLock,
  operationsWithoutRun,
  runsWithoutOperation,
  type SuspectRow,
} from '../db/invariants.ts';

/** How long Temporal may take for the list of runs, and for each description. Milliseconds. */
const CALL_LIMIT_MS = 3_000;
/** Suspects that are described at the same time, and in one check at most: a check must not be a load of its own. */
const DESCRIBED_AT_ONCE = 10;
const DESCRIBED_AT_MOST = 200;

/** What a check found of one invariant. */
export interface InvariantFinding {
  readonly invariant: Invariant;
  readonly rule: string;
  readonly broken: readonly BrokenRow[];
  /** Why it was not, or not wholly, checked; `undefined` when it was. */
  readonly unchecked: string | undefined;
}

/** What a check found, an entry for each invariant. */
export interface InvariantReport {
  readonly findings: readonly InvariantFinding[];
  /** Whether Temporal gave its list of open runs. */
  readonly temporalAnswered: boolean;
}

/** What the check is made with. */
export interface InvariantSources {
  readonly db: Database;
  readonly temporal: Pick<Client, 'connection' | 'workflow'>;
}

/**
 * Checks every invariant on rows older than `ageMs`. One whose source cannot be reached is reported as unchecked, and
 * the others are checked all the same.
 * @param ageMs milliseconds.
 */
export async function checkInvariants(
  { db, temporal }: InvariantSources,
  ageMs: number = INVARIANT_AGE_MS,
): Promise<InvariantReport> {
  // The list first: whatever it says of an operation that changes after it is put right when the run is described.
  const runs = await attempt('Temporal', () => openRuns(temporal));
  const needRuns = async (find: (runs: readonly OpenRun[]) => Promise<Checked>): Promise<Checked> =>
    runs.problem === undefined ? find(runs.value) : { broken: [], unchecked: runs.problem };

  // One after the other: the connections belong to the requests of clients.
  const locks = await checked(() => locksWithoutOperation(db, ageMs));
  const unlocked = await checked(() => operationsWithoutLock(db, ageMs));
  const waiting = await checked(() => operationsNotTakenUp(db, ageMs));
  const lost = await needRuns((open) => lostOperations(db, temporal, open, ageMs));
  const orphans = await needRuns((open) => orphanedRuns(db, temporal, open, ageMs));
  return {
    findings: [
      finding('lock_without_operation', locks),
      finding('operation_without_lock', unlocked),
      finding('operation_without_run', waiting, lost),
      finding('run_without_operation', orphans),
    ],
    temporalAnswered: runs.problem === undefined,
  };
}

/** Every run of an operation that Temporal lists as open: one query for all of them. */
export async function openRuns({ connection, workflow }: InvariantSources['temporal']): Promise<OpenRun[]> {
  const query = "ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH 'vm/'";
  return connection.withDeadline(Date.now() + CALL_LIMIT_MS, async () => {
    const runs: OpenRun[] = [];
    for await (const { workflowId, runId, startTime } of workflow.list({ query, pageSize: 1_000 })) {
      runs.push({ workflowId, runId, startTime });
    }
    return runs;
  });
}

interface Checked {
  readonly broken: readonly BrokenRow[];
  readonly unchecked: string | undefined;
}

/** Open operations whose run has been closed, or unknown to Temporal, for longer than it takes to recover them. */
function lostOperations(
  db: Database,
  temporal: InvariantSources['temporal'],
  open: readonly OpenRun[],
  ageMs: number,
): Promise<Checked> {
  return confirmed(
    temporal,
    () => operationsWithoutRun(db, open, ageMs),
    ({ status, closedAt }) => {
      if (status === 'RUNNING') return undefined;
      if (closedAt === undefined) return `is ${status}`;
      return Date.now() - closedAt.getTime() > ageMs ? `is ${status} since ${closedAt.toISOString()}` : undefined;
    },
  );
}

/** Runs that are open in fact although nothing is left for them to do. */
function orphanedRuns(
  db: Database,
  temporal: InvariantSources['temporal'],
  open: readonly OpenRun[],
  ageMs: number,
): Promise<Checked> {
  return confirmed(
    temporal,
    () => runsWithoutOperation(db, open, ageMs),
    ({ status }) => (status === 'RUNNING' ? '' : undefined),
  );
}

/**
 * Looks at the run of each suspect once, and then asks the database again: an operation that ended meanwhile is none.
 * @param verdict what is broken, to be added to the sentence; `undefined` when nothing is.
 */
async function confirmed(
  temporal: InvariantSources['temporal'],
  suspects: () => Promise<SuspectRow[]>,
  verdict: (run: SeenRun) => string | undefined,
): Promise<Checked> {
  const found = await attempt('the database', suspects);
  if (found.problem !== undefined) return { broken: [], unchecked: found.problem };
  const broken: SuspectRow[] = [];
  const looked = found.value.slice(0, DESCRIBED_AT_MOST);
  const left = found.value.length - looked.length;
  let unchecked =
    left === 0 ? undefined : `there are ${found.value.length} suspects; ${left} of them were not looked at`;
  for (let from = 0; from < looked.length; from += DESCRIBED_AT_ONCE) {
    const some = looked.slice(from, from + DESCRIBED_AT_ONCE);
    const seen = await attempt('Temporal', () => Promise.all(some.map((suspect) => describe(temporal, suspect))));
    if (seen.problem !== undefined) {
      unchecked = seen.problem;
      break;
    }
    for (const [index, suspect] of some.entries()) {
      const run = seen.value[index];
      const wrong = run === undefined ? undefined : verdict(run);
      if (wrong !== undefined)
        broken.push(wrong === '' ? suspect : { ...suspect, what: `${suspect.what}: it ${wrong}` });
    }
  }
  if (broken.length === 0) return { broken, unchecked };
  const again = await attempt('the database', suspects);
  if (again.problem !== undefined) return { broken: [], unchecked: again.problem };
  const stillThere = new Set(again.value.map(nameOf));
  return { broken: broken.filter((row) => stillThere.has(nameOf(row))), unchecked };
}

function nameOf({ operationId, runId }: SuspectRow): string {
  return `${operationId} ${runId}`;
}

interface SeenRun {
  /** Temporal's word; `unknown to Temporal` when the run is gone. */
  readonly status: string;
  readonly closedAt: Date | undefined;
}

async function describe(
  { connection, workflow }: InvariantSources['temporal'],
  { workflowId, runId }: SuspectRow,
): Promise<SeenRun> {
  try {
    const handle = workflow.getHandle(workflowId, runId);
    const run = await connection.withDeadline(Date.now() + CALL_LIMIT_MS, () => handle.describe());
    return { status: run.status.name, closedAt: run.closeTime };
  } catch (error) {
    if (error instanceof Error && error.name === 'WorkflowNotFoundError') {
      return { status: 'unknown to Temporal', closedAt: undefined };
    }
    throw error;
  }
}

function finding(invariant: Invariant, ...parts: readonly Checked[]): InvariantFinding {
  return {
    invariant,
    rule: INVARIANTS[invariant],
    broken: parts.flatMap((part) => part.broken),
    unchecked: parts.find((part) => part.unchecked !== undefined)?.unchecked,
  };
}

async function checked(find: () => Promise<BrokenRow[]>): Promise<Checked> {
  const found = await attempt('the database', find);
  return found.problem === undefined
    ? { broken: found.value, unchecked: undefined }
    : { broken: [], unchecked: found.problem };
}

type Attempt<T> = { readonly value: T; readonly problem?: undefined } | { readonly problem: string };

async function attempt<T>(source: string, ask: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    return { problem: `${source} could not be asked: ${reasonOf(error)}` };
  }
}

/** The client wraps what gRPC says, and Node what each address of a name said. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
