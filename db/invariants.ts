/**
 * What must be true of locks, operations and runs, as queries that name every row for which it is not. They look only
 * at rows older than a given age: what is younger may still be on its way.
 *
 * The runs that are open are handed in. Temporal lists them a little late, so whatever is found by comparing with that
 * list is a suspicion until the run itself was looked at.
 * @module
 */
import { sql } from 'kysely';
import { kindSlug, type OperationKind } from '../domain/operations.ts';
import type { Queryable } from './connect.ts';
import { waitingSince } from './operation-starts.ts';

/** Each invariant with the rule that it states. */
export const INVARIANTS = {
  lock_without_operation: 'no lock without an open operation',
  operation_without_lock: 'no open operation without its lock',
  operation_without_run: 'no open operation without a run',
  run_without_operation: 'no run whose operation is closed',
} as const;
export type Invariant = keyof typeof INVARIANTS;

/** How old a row is when it has to be right. Milliseconds. */
export const INVARIANT_AGE_MS = 60_000;

/** How many rows of one kind are named at most. */
const LIMIT = 1_000;

/** A run of an operation that Temporal lists as open. */
export interface OpenRun {
  readonly workflowId: string;
  readonly runId: string;
  readonly startTime: Date;
}

/** A row that breaks an invariant. */
export interface BrokenRow {
  readonly invariant: Invariant;
  /** `null` when the run belongs to no operation of this database. */
  readonly vmName: string | null;
  readonly operationId: string | null;
  /** What is wrong with it, as a sentence. */
  readonly what: string;
}

/** A row that breaks an invariant if the list of open runs is right about this run. */
export interface SuspectRow extends BrokenRow {
  readonly workflowId: string;
  readonly runId: string;
}

/** Locks whose operation has ended, or whose fence is not that of their operation. */
export async function locksWithoutOperation(db: Queryable, ageMs: number): Promise<BrokenRow[]> {
  const rows = await db
    .selectFrom('vm_lock as l')
    .innerJoin('virtual_machine as vm', 'vm.id', 'l.vm_id')
    .innerJoin('operation as o', 'o.id', 'l.operation_id')
    .select(['vm.name as vm_name', 'l.since', 'l.fence as lock_fence', 'l.vm_id'])
    .select(['o.id', 'o.kind', 'o.state', 'o.finished_at', 'o.fence', 'o.vm_id as operation_vm_id'])
    .where('l.since', '<', before(ageMs))
    .where((eb) =>
      eb.or([
        eb('o.finished_at', 'is not', null),
        eb('o.fence', '<>', eb.ref('l.fence')),
        eb('o.vm_id', '<>', eb.ref('l.vm_id')),
      ]),
    )
    .orderBy('l.since')
    .limit(LIMIT)
    .execute();
  return rows.map((row) => {
    const lock = `the lock${row.since === null ? '' : ` taken at ${row.since.toISOString()}`} is held by the ${kindSlug(row.kind)}`;
    const what =
      row.finished_at !== null
        ? `${lock}, which ended ${row.state} at ${row.finished_at.toISOString()}`
        : row.operation_vm_id === row.vm_id
          ? `${lock} with fence ${row.fence}, and its own fence is ${row.lock_fence}`
          : `${lock}, which is an operation of another virtual machine`;
    return { invariant: 'lock_without_operation', vmName: row.vm_name, operationId: row.id, what };
  });
}

/** Open operations that do not hold the lock of their virtual machine. */
export async function operationsWithoutLock(db: Queryable, ageMs: number): Promise<BrokenRow[]> {
  const rows = await db
    .selectFrom('operation as o')
    .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
    .leftJoin('vm_lock as l', 'l.vm_id', 'o.vm_id')
    .select(['o.id', 'o.kind', 'o.created_at', 'vm.name as vm_name', 'l.operation_id as holder'])
    .where('o.finished_at', 'is', null)
    .where('o.created_at', '<', before(ageMs))
    .where((eb) => eb('l.operation_id', 'is distinct from', eb.ref('o.id')))
    .orderBy('o.created_at')
    .limit(LIMIT)
    .execute();
  return rows.map((row) => ({
    invariant: 'operation_without_lock',
    vmName: row.vm_name,
    operationId: row.id,
    what:
      `the ${kindSlug(row.kind)} requested at ${row.created_at.toISOString()} is open, and ` +
      (row.holder === null ? 'the virtual machine is not locked' : `operation ${row.holder} holds the lock`),
  }));
}

/** Open operations that no run has taken up, since they were requested or handed over to a recovery. */
export async function operationsNotTakenUp(db: Queryable, ageMs: number): Promise<BrokenRow[]> {
  const rows = await db
    .selectFrom('operation as o')
    .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
    .select(['o.id', 'o.kind', 'o.workflow_id', 'o.handed_over_at', 'vm.name as vm_name'])
    .select(waitingSince.as('waiting_since'))
    .where('o.finished_at', 'is', null)
    .where('o.run_id', 'is', null)
    .where(waitingSince, '<', before(ageMs))
    .orderBy(waitingSince)
    .limit(LIMIT)
    .execute();
  return rows.map((row) => ({
    invariant: 'operation_without_run',
    vmName: row.vm_name,
    operationId: row.id,
    what:
      `the ${kindSlug(row.kind)} waits since ${row.waiting_since.toISOString()} to be taken up by ` +
      `${row.handed_over_at === null ? 'its run' : 'its recovery'} ${row.workflow_id}`,
  }));
}

/** Open operations whose run is not among the open ones. */
export async function operationsWithoutRun(
  db: Queryable,
  openRuns: readonly OpenRun[],
  ageMs: number,
): Promise<SuspectRow[]> {
  const rows = await db
    .selectFrom('operation as o')
    .innerJoin('virtual_machine as vm', 'vm.id', 'o.vm_id')
    .select(['o.id', 'o.kind', 'o.workflow_id', 'o.run_id', 'vm.name as vm_name'])
    .where('o.finished_at', 'is', null)
    .where('o.bound_at', '<', before(ageMs))
    .where(sql<boolean>`o.run_id <> all(${openRuns.map((run) => run.runId)}::text[])`)
    .orderBy('o.created_at')
    .limit(LIMIT)
    .execute();
  return rows.map((row) => ({
    invariant: 'operation_without_run',
    vmName: row.vm_name,
    operationId: row.id,
    workflowId: row.workflow_id,
    runId: row.run_id ?? '',
    what: `the ${kindSlug(row.kind)} is open, and its run ${row.workflow_id} is not`,
  }));
}

interface RunRow {
  readonly workflow_id: string;
  readonly run_id: string;
  readonly vm_name: string | null;
  readonly operation_id: string | null;
  readonly kind: OperationKind | null;
  readonly state: string | null;
  readonly finished_at: Date | null;
}

/**
 * Open runs whose operation has ended, has been given to another run, or does not exist. A run that has not begun yet
 * is that of the operation that waits for it.
 */
export async function runsWithoutOperation(
  db: Queryable,
  openRuns: readonly OpenRun[],
  ageMs: number,
): Promise<SuspectRow[]> {
  if (openRuns.length === 0) return [];
  // The tail of the operation's id stands in the id of each of its runs, also of its recoveries.
  const { rows } = await sql<RunRow>`
    select r.workflow_id, r.run_id, vm.name as vm_name, o.id as operation_id, o.kind, o.state, o.finished_at
    from unnest(
      ${openRuns.map((run) => run.workflowId)}::text[],
      ${openRuns.map((run) => run.runId)}::text[],
      ${openRuns.map((run) => run.startTime.toISOString())}::timestamptz[]
    ) as r (workflow_id, run_id, started_at)
    left join operation o
      on right(o.id::text, 8) = substring(r.workflow_id from '~([0-9a-f]{8})(?:/recovery-[0-9]+)?$')
    left join virtual_machine vm on vm.id = o.vm_id
    where r.started_at < ${before(ageMs)}
      and (
        o.id is null
        or o.finished_at < ${before(ageMs)}
        or o.finished_at is null
          and coalesce(o.run_id <> r.run_id, o.workflow_id <> r.workflow_id)
          and greatest(o.bound_at, o.handed_over_at) < ${before(ageMs)}
      )
    order by r.started_at
    limit ${LIMIT}`.execute(db);
  return rows.map((row) => {
    const its = row.kind === null ? 'its operation' : `its operation, a ${kindSlug(row.kind)},`;
    const what =
      row.operation_id === null
        ? 'there is no such operation in this database'
        : row.finished_at === null
          ? `${its} belongs to another run`
          : `${its} ended ${row.state} at ${row.finished_at.toISOString()}`;
    return {
      invariant: 'run_without_operation',
      vmName: row.vm_name,
      operationId: row.operation_id,
      workflowId: row.workflow_id,
      runId: row.run_id,
      what: `the run ${row.workflow_id} (${row.run_id}) is open, and ${what}`,
    };
  });
}

function before(ageMs: number) {
  return sql<Date>`now() - ${ageMs} * interval '1 millisecond'`;
}
