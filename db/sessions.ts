/**
 * Sessions: the runs inside the backup systems, and the results that they leave.
 * @module
 */
import { type Selectable, sql } from 'kysely';
import { resultStatus, type SessionKind, type SessionState } from '../domain/results.ts';
import type { Queryable } from './connect.ts';
import type { SessionTable } from './schema.ts';

export type SessionRow = Selectable<SessionTable>;

/** A session that has not ended, and how long ago the backup system listed it last, by the database's clock. */
export type SessionInFlight = SessionRow & { readonly seen_ms_ago: number };

/** A session that has just become known. */
export interface NewSession {
  readonly managerId: string;
  readonly vm: { readonly id: string; readonly name: string; readonly enterpriseId: string };
  readonly vendorSessionId: string;
  readonly vendorVmRef: string;
  readonly kind: SessionKind;
  /** The operation that began it; `null`: it began in the backup system. */
  readonly operationId: string | null;
  readonly origin: 'ON_DEMAND' | 'SCHEDULED' | 'DISCOVERED';
  readonly policyId: string | null;
  /** Backups: whether it is to be copied to another system. */
  readonly replication: boolean;
  /** Restores and replications: the result that is restored or copied, where it is one and known. */
  readonly resultId: string | null;
  readonly state: SessionState;
  readonly startedAt: Date;
}

/**
 * Records a session together with its result, which is `IN_PROGRESS` from this moment on. Recording it again changes
 * nothing, but gives it to the operation if it had none.
 * @returns the session's row.
 */
export async function recordSession(trx: Queryable, session: NewSession): Promise<SessionRow> {
  const known = await trx
    .selectFrom('session')
    .selectAll()
    .where('manager_id', '=', session.managerId)
    .where('vm_id', '=', session.vm.id)
    .where('vendor_session_id', '=', session.vendorSessionId)
    .forUpdate()
    .executeTakeFirst();
  if (known !== undefined) return known.operation_id === null ? giveToOperation(trx, known, session) : known;

  const result = session.kind === 'BACKUP' ? await insertBackupResult(trx, session) : undefined;
  const restore = session.kind === 'RESTORE' ? await insertRestoreResult(trx, session) : undefined;
  return trx
    .insertInto('session')
    .values({
      manager_id: session.managerId,
      vm_id: session.vm.id,
      vendor_session_id: session.vendorSessionId,
      vendor_vm_ref: session.vendorVmRef,
      kind: session.kind,
      operation_id: session.operationId,
      result_id: result?.id ?? session.resultId,
      restore_id: restore?.id ?? null,
      // Even one that has ended is first seen running, so that its end is handled in one place.
      state: 'RUNNING',
      started_at: session.startedAt,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

async function giveToOperation(trx: Queryable, known: SessionRow, session: NewSession): Promise<SessionRow> {
  if (session.operationId === null) return known;
  if (known.result_id !== null && session.kind === 'BACKUP') {
    await trx
      .updateTable('backup_result')
      .set({
        operation_id: session.operationId,
        origin: session.origin,
        policy_id: session.policyId,
        replication: session.replication,
      })
      .where('id', '=', known.result_id)
      .execute();
  }
  if (known.restore_id !== null) {
    await trx
      .updateTable('restore_result')
      .set({ operation_id: session.operationId, result_id: session.resultId })
      .where('id', '=', known.restore_id)
      .execute();
  }
  // Nobody waits for a replication: whoever has settled its end need not do it again.
  const news = session.kind === 'REPLICATION' ? { result_id: session.resultId } : { notified_at: null };
  return trx
    .updateTable('session')
    .set({ operation_id: session.operationId, ...news })
    .where('id', '=', known.id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

function insertBackupResult(trx: Queryable, session: NewSession) {
  return trx
    .insertInto('backup_result')
    .values({
      vm_id: session.vm.id,
      enterprise_id: session.vm.enterpriseId,
      manager_id: session.managerId,
      policy_id: session.policyId,
      replication: session.replication,
      operation_id: session.operationId,
      origin: session.origin,
      name: `${session.vm.name} ${session.startedAt.toISOString()}`,
      status: 'IN_PROGRESS',
      started_at: session.startedAt,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
}

function insertRestoreResult(trx: Queryable, session: NewSession) {
  return trx
    .insertInto('restore_result')
    .values({
      result_id: session.resultId,
      vm_id: session.vm.id,
      enterprise_id: session.vm.enterpriseId,
      manager_id: session.managerId,
      operation_id: session.operationId,
      status: 'IN_PROGRESS',
      started_at: session.startedAt,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
}

/** Gives a session, and what it leaves, to the operation that has adopted it. */
export async function giveSession(trx: Queryable, sessionId: string, operationId: string): Promise<void> {
  const session = await trx
    .updateTable('session')
    .set({ operation_id: operationId, notified_at: null })
    .where('id', '=', sessionId)
    .returning(['result_id', 'restore_id', 'kind'])
    .executeTakeFirstOrThrow();
  if (session.kind === 'BACKUP' && session.result_id !== null) {
    await trx
      .updateTable('backup_result')
      .set({ operation_id: operationId })
      .where('id', '=', session.result_id)
      .execute();
  }
  if (session.restore_id !== null) {
    await trx
      .updateTable('restore_result')
      .set({ operation_id: operationId })
      .where('id', '=', session.restore_id)
      .execute();
  }
}

/** The backup or restore of an operation, if it has one: the newest. */
export function sessionOfOperation(db: Queryable, operationId: string): Promise<SessionRow | undefined> {
  return db
    .selectFrom('session')
    .selectAll()
    .where('operation_id', '=', operationId)
    .where('kind', '<>', 'REPLICATION')
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The replication that an operation has begun, if it has. */
export function replicationOfOperation(db: Queryable, operationId: string): Promise<SessionRow | undefined> {
  return db
    .selectFrom('session')
    .selectAll()
    .where('operation_id', '=', operationId)
    .where('kind', '=', 'REPLICATION')
    .executeTakeFirst();
}

/** The session, or `undefined`. */
export function sessionById(db: Queryable, id: string): Promise<SessionRow | undefined> {
  return db.selectFrom('session').selectAll().where('id', '=', id).executeTakeFirst();
}

/**
 * Sessions of a manager that have not ended as far as is known. A replication that the backup system does not list any
 * more is looked for a day longer: nobody waits for it, and nobody could settle it.
 */
export function sessionsInFlight(db: Queryable, managerId: string): Promise<SessionInFlight[]> {
  return db
    .selectFrom('session')
    .selectAll()
    .select(sql<number>`(extract(epoch from now() - last_seen_at) * 1000)::float8`.as('seen_ms_ago'))
    .where('manager_id', '=', managerId)
    .where('state', 'in', ['RUNNING', 'UNKNOWN'])
    .where((eb) =>
      eb.or([
        eb('state', '=', 'RUNNING'),
        eb('kind', '<>', 'REPLICATION'),
        eb('last_seen_at', '>', sql<Date>`now() - interval '1 day'`),
      ]),
    )
    .orderBy('started_at')
    .execute();
}

/** What a look at the backup system says of a session. */
export interface SessionNews {
  readonly state: SessionState;
  readonly progress: number;
  readonly message: string | null;
  readonly endedAt: Date | null;
  readonly vendorBackupId: string | null;
  /** Restores: what the hypervisor calls the machine that was restored, where that is told. */
  readonly restoredVmRef: string | null;
  readonly sizeBytes: number | null;
}

/**
 * Writes what a tick saw of a session, and with a session's end the status of its result. An older tick writes nothing,
 * and an end is never overwritten by a running state.
 * @returns whether the session ended with this write.
 */
export async function updateSession(
  trx: Queryable,
  session: Pick<SessionRow, 'id' | 'result_id' | 'restore_id' | 'kind'>,
  tick: number,
  news: SessionNews,
): Promise<boolean> {
  const ended = news.state !== 'RUNNING' && news.state !== 'UNKNOWN';
  const result = await trx
    .updateTable('session')
    .set({
      state: news.state,
      progress: Math.min(100, Math.max(0, Math.round(news.progress))),
      message: news.message,
      ended_at: news.endedAt,
      tick,
      last_seen_at: sql<Date>`now()`,
      ...(news.vendorBackupId === null ? {} : { vendor_backup_id: news.vendorBackupId }),
      ...(news.restoredVmRef === null ? {} : { restored_vm_ref: news.restoredVmRef }),
      ...(news.sizeBytes === null ? {} : { size_bytes: news.sizeBytes }),
    })
    .where('id', '=', session.id)
    .where('tick', '<=', tick)
    .where('state', 'in', ['RUNNING', 'UNKNOWN'])
    .executeTakeFirst();
  if (result.numUpdatedRows !== 1n) return false;
  const status = { status: resultStatus(news.state), message: news.message, ended_at: news.endedAt };
  if (session.kind === 'BACKUP' && session.result_id !== null) {
    await trx
      .updateTable('backup_result')
      .set({ ...status, ...(news.sizeBytes === null ? {} : { size_bytes: news.sizeBytes }) })
      .where('id', '=', session.result_id)
      .where('status', 'in', ['IN_PROGRESS', 'UNKNOWN'])
      .execute();
  }
  if (session.restore_id !== null) {
    await trx
      .updateTable('restore_result as restore')
      .set((eb) => ({
        ...status,
        // One that was begun elsewhere becomes known with the backup that the backup system names.
        result_id: eb.fn.coalesce(
          'restore.result_id',
          eb
            .selectFrom('backup_result as backup')
            .select('backup.id')
            .whereRef('backup.vm_id', '=', 'restore.vm_id')
            .whereRef('backup.manager_id', '=', 'restore.manager_id')
            .where('backup.vendor_backup_id', '=', news.vendorBackupId)
            .limit(1),
        ),
      }))
      .where('id', '=', session.restore_id)
      .where('status', 'in', ['IN_PROGRESS', 'UNKNOWN'])
      .execute();
  }
  return ended;
}

/** Which of these vendor sessions are known already, for any VM. */
export async function knownSessions(db: Queryable, managerId: string, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const rows = await db
    .selectFrom('session')
    .select('vendor_session_id')
    .where('manager_id', '=', managerId)
    .where('vendor_session_id', 'in', ids)
    .execute();
  return new Set(rows.map((row) => row.vendor_session_id));
}

/**
 * Sessions that want an operation of their own: those without an open one that are still running, and restores at the
 * console that have ended already, since somebody has to look at what they made of the VM.
 */
export function sessionsToAdopt(db: Queryable, managerId: string) {
  return db
    .selectFrom('session as s')
    .innerJoin('virtual_machine as vm', 'vm.id', 's.vm_id')
    .leftJoin('operation as o', (join) => join.onRef('o.id', '=', 's.operation_id').on('o.finished_at', 'is', null))
    .selectAll('s')
    .select(['vm.name as vm_name', 'vm.enterprise_id', 'vm.datacenter_id'])
    .where('s.manager_id', '=', managerId)
    .where('s.kind', '<>', 'REPLICATION')
    .where('o.id', 'is', null)
    .where((eb) =>
      eb.or([
        eb('s.state', '=', 'RUNNING'),
        eb.and([
          eb('s.kind', '=', 'RESTORE'),
          eb('s.state', '<>', 'UNKNOWN'),
          eb('s.operation_id', 'is', null),
          eb('s.notified_at', 'is', null),
        ]),
      ]),
    )
    .orderBy('s.started_at')
    .limit(200)
    .execute();
}

/** Sessions that have ended and whose end nobody has acted upon yet. */
export function sessionsToNotify(db: Queryable, managerId: string) {
  return (
    db
      .selectFrom('session as s')
      .innerJoin('virtual_machine as vm', 'vm.id', 's.vm_id')
      .leftJoin('operation as o', (join) => join.onRef('o.id', '=', 's.operation_id').on('o.finished_at', 'is', null))
      .selectAll('s')
      .select(['vm.name as vm_name', 'vm.enterprise_id', 'vm.datacenter_id'])
      .select(['o.workflow_id', 'o.run_id'])
      .where('s.manager_id', '=', managerId)
      .where('s.state', 'not in', ['RUNNING', 'UNKNOWN'])
      .where('s.notified_at', 'is', null)
      // Operations that wait come first.
      .orderBy(sql`o.id is null`)
      .orderBy('s.ended_at')
      .limit(200)
      .execute()
  );
}

/** Notes that a session's end has been acted upon. */
export async function markNotified(db: Queryable, sessionId: string): Promise<void> {
  await db.updateTable('session').set({ notified_at: sql<Date>`now()` }).where('id', '=', sessionId).execute();
}

/** Ids of sessions of a manager that are known to belong to something else than this operation. */
export async function otherSessions(db: Queryable, managerId: string, vmId: string, operationId: string) {
  const rows = await db
    .selectFrom('session')
    .select('vendor_session_id')
    .where('manager_id', '=', managerId)
    .where('vm_id', '=', vmId)
    .where((eb) => eb.or([eb('operation_id', '<>', operationId), eb('operation_id', 'is', null)]))
    .execute();
  return rows.map((row) => row.vendor_session_id);
}

/** The vendor's id of a session of the manager that is working on the VM as far as is known. */
export async function runningSessionOf(db: Queryable, managerId: string, vmId: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('session')
    .select('vendor_session_id')
    .where('manager_id', '=', managerId)
    .where('vm_id', '=', vmId)
    .where('state', '=', 'RUNNING')
    .where('kind', '<>', 'REPLICATION')
    .executeTakeFirst();
  return row?.vendor_session_id;
}
