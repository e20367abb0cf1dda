/**
 * Intents: a write that cannot be named is recorded before it is made, claimed by one attempt, and from then on only
 * searched for. One that can be named is recorded too: it may appear long after its answer was lost.
 * @module
 */
import { type ExpressionBuilder, type Selectable, sql } from 'kysely';
import type { IntentKind, IntentSubject } from './columns.ts';
import { plannedOnce, type Queryable } from './connect.ts';
import type { DB, IntentTable } from './schema.ts';

export type IntentRow = Selectable<IntentTable>;

/** The operation's open intent of that kind; made when there is none. */
export async function openIntent(
  db: Queryable,
  intent: {
    readonly operationId: string;
    readonly vmId: string;
    readonly managerId: string;
    readonly kind: IntentKind;
  },
): Promise<IntentRow> {
  await db
    .insertInto('intent')
    .values({
      operation_id: intent.operationId,
      vm_id: intent.vmId,
      manager_id: intent.managerId,
      kind: intent.kind,
    })
    .onConflict((conflict) =>
      conflict.columns(['operation_id', 'manager_id', 'kind']).where('resolved_at', 'is', null).doNothing(),
    )
    .execute();
  return db
    .selectFrom('intent')
    .selectAll()
    .where('operation_id', '=', intent.operationId)
    .where('kind', '=', intent.kind)
    .where('resolved_at', 'is', null)
    .executeTakeFirstOrThrow();
}

/**
 * Claims the intent for one attempt, which alone may make the write.
 * @param vendorTime the backup system's clock: what the write leaves began at or after it.
 * @returns false when another attempt has claimed it: then only look for what it left.
 */
export async function claimIntent(
  db: Queryable,
  id: string,
  claim: { readonly epoch: number; readonly vendorTime: Date; readonly subject: IntentSubject },
): Promise<boolean> {
  const result = await db
    .updateTable('intent')
    .set({
      claimed_at: sql<Date>`now()`,
      claimed_epoch: claim.epoch,
      vendor_time: claim.vendorTime,
      subject: JSON.stringify(claim.subject),
    })
    .where('id', '=', id)
    .where('claimed_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** Gives a claim back when the write certainly never reached the backup system. */
export async function releaseClaim(db: Queryable, id: string, epoch: number): Promise<void> {
  await db
    .updateTable('intent')
    .set({ claimed_at: null, claimed_epoch: null })
    .where('id', '=', id)
    .where('claimed_epoch', '=', epoch)
    .where('resolved_at', 'is', null)
    .execute();
}

/**
 * Notes a look for what a claimed write has left.
 * @param absent true: the backup system answered and lists nothing; false: it could not be asked.
 * @returns since when it has answered and listed nothing, in milliseconds by the database's clock; 0 when it has not.
 */
export async function noteLook(db: Queryable, id: string, absent: boolean): Promise<number> {
  const row = await db
    .updateTable('intent')
    .set({ absent_since: absent ? sql<Date>`coalesce(absent_since, now())` : null })
    .where('id', '=', id)
    .returning(sql<number>`coalesce(extract(epoch from now() - absent_since) * 1000, 0)::float8`.as('absent_ms'))
    .executeTakeFirstOrThrow();
  return row.absent_ms;
}

/** Closes the intent: the write's effect was found, is certainly absent, or will never be known. */
export async function resolveIntent(
  db: Queryable,
  id: string,
  outcome: 'FOUND' | 'ABSENT' | 'UNKNOWN',
  sessionRef: string | null,
): Promise<void> {
  await db
    .updateTable('intent')
    .set({ resolved_at: sql<Date>`now()`, outcome, session_ref: sessionRef })
    .where('id', '=', id)
    .where('resolved_at', 'is', null)
    .execute();
}

/** VMs of a manager for which a start is claimed and not yet resolved: a new session may be its answer. */
export async function vmsWithOpenIntent(db: Queryable, managerId: string): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('intent as i')
    .innerJoin('operation as o', 'o.id', 'i.operation_id')
    .select('i.vm_id')
    .where('i.manager_id', '=', managerId)
    .where('i.resolved_at', 'is', null)
    .where('i.claimed_at', 'is not', null)
    .where('i.kind', '!=', 'NAMED_WRITE')
    // Once the operation has ended nobody looks for it any more: what turns up is adopted.
    .where('o.finished_at', 'is', null)
    .execute();
  return new Set(rows.map((row) => row.vm_id));
}

/** Closes what the operation left open: never claimed means nothing was sent, claimed means nobody knows. */
export async function closeIntents(db: Queryable, operationId: string): Promise<void> {
  await db
    .updateTable('intent')
    .set({
      resolved_at: sql<Date>`now()`,
      outcome: sql<'ABSENT' | 'UNKNOWN'>`case when claimed_at is null then 'ABSENT' else 'UNKNOWN' end`,
    })
    .where('operation_id', '=', operationId)
    .where('resolved_at', 'is', null)
    .modifyEnd(plannedOnce)
    .execute();
}

/** The intent of the operation whose start was sent, or may have been, while nobody knows yet what became of it. */
export function claimedIntent(db: Queryable, operationId: string): Promise<IntentRow | undefined> {
  return db
    .selectFrom('intent')
    .selectAll()
    .where('operation_id', '=', operationId)
    .where('kind', '!=', 'NAMED_WRITE')
    .where('claimed_at', 'is not', null)
    .where('resolved_at', 'is', null)
    .executeTakeFirst();
}

/** What is written under a name for a VM in one backup system. */
export interface NamedWrite {
  readonly vmId: string;
  readonly managerId: string;
  readonly name: string;
}

/** Notes, before it is sent, that the operation makes something under that name. */
export async function beginNamedWrite(
  db: Queryable,
  { vmId, managerId, name }: NamedWrite,
  by: { readonly operationId: string; readonly epoch: number },
): Promise<void> {
  const claim = { claimed_at: sql<Date>`now()`, claimed_epoch: by.epoch, subject: JSON.stringify({ name }) };
  await db
    .insertInto('intent')
    .values({ operation_id: by.operationId, vm_id: vmId, manager_id: managerId, kind: 'NAMED_WRITE', ...claim })
    .onConflict((conflict) =>
      conflict.columns(['operation_id', 'manager_id', 'kind']).where('resolved_at', 'is', null).doUpdateSet(claim),
    )
    .execute();
}

/** Notes that what became of every write of that name is known, also of those whose operation has ended. */
export async function settleNamedWrite(db: Queryable, write: NamedWrite, outcome: 'FOUND' | 'ABSENT'): Promise<void> {
  await db.updateTable('intent').set({ resolved_at: sql<Date>`now()`, outcome }).where(unsettled(write)).execute();
}

/**
 * How long ago the newest write of that name was begun of which nobody knows what became, by the database's clock.
 * @returns milliseconds; `undefined` when there is none.
 */
export async function unsettledNamedWrite(db: Queryable, write: NamedWrite): Promise<number | undefined> {
  const row = await db
    .selectFrom('intent')
    .select(sql<number | null>`(extract(epoch from now() - max(claimed_at)) * 1000)::float8`.as('age_ms'))
    .where(unsettled(write))
    .executeTakeFirst();
  return row?.age_ms ?? undefined;
}

/** The names that begin so, of writes for the VM that nobody knows the end of. */
export async function unsettledNames(
  db: Queryable,
  of: { readonly vmId: string; readonly managerId: string; readonly prefix: string },
): Promise<string[]> {
  const name = sql<string>`subject ->> 'name'`;
  const rows = await db
    .selectFrom('intent')
    .select(name.as('name'))
    .distinct()
    .where(openWriteOf(of))
    .where(sql<boolean>`starts_with(${name}, ${of.prefix})`)
    .orderBy('name')
    .execute();
  return rows.map((row) => row.name);
}

/** Writes of that name that nobody knows the end of. */
function unsettled(write: NamedWrite) {
  return (eb: ExpressionBuilder<DB, 'intent'>) =>
    eb.and([openWriteOf(write)(eb), eb(sql<string>`subject ->> 'name'`, '=', write.name)]);
}

/** Writes for the VM in that backup system that nobody knows the end of. */
function openWriteOf({ vmId, managerId }: Pick<NamedWrite, 'vmId' | 'managerId'>) {
  return (eb: ExpressionBuilder<DB, 'intent'>) =>
    eb.and([
      eb('vm_id', '=', vmId),
      eb('manager_id', '=', managerId),
      eb('kind', '=', 'NAMED_WRITE'),
      eb.or([eb('resolved_at', 'is', null), eb('outcome', '=', 'UNKNOWN')]),
    ]);
}
