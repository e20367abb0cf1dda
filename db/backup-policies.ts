/**
 * Backup policies, and which enterprises may use them.
 *
 * Whoever lets a VM choose policies locks them with `lockAllowedPolicies`; whoever changes, deletes or restricts a
 * policy locks it for update first and looks for its use after that. So no VM can choose a policy while it changes.
 * @module
 */
import { type Insertable, type Selectable, sql, type Updateable } from 'kysely';
import type { BackupPolicy } from '../domain/policies.ts';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';
import type { BackupPolicyTable } from './schema.ts';

export type BackupPolicyRow = Selectable<BackupPolicyTable>;

/** Which policies are meant. */
export interface PolicyFilter {
  readonly datacenterId?: string | undefined;
  /** Only those that are allowed to this enterprise; `null`: all. */
  readonly allowedTo: string | null;
}

/**
 * The policy of the datacenter whose code is the same but for its case, as backup systems compare names. Nobody else asks
 * until the transaction ends, so that of two who take the same code one is told of the other.
 */
export async function policyOfCode(
  trx: Queryable,
  datacenterId: string,
  code: string,
): Promise<BackupPolicyRow | undefined> {
  await trx.selectFrom('datacenter').select('id').where('id', '=', datacenterId).forNoKeyUpdate().execute();
  return await trx
    .selectFrom('backup_policy')
    .selectAll()
    .where('datacenter_id', '=', datacenterId)
    .where(sql`lower(code)`, '=', code.toLowerCase())
    .orderBy('created_at')
    .limit(1)
    .executeTakeFirst();
}

/** Inserts a policy; the code is unique within the datacenter. */
export function insertPolicy(db: Queryable, policy: Insertable<BackupPolicyTable>): Promise<BackupPolicyRow> {
  return db.insertInto('backup_policy').values(policy).returningAll().executeTakeFirstOrThrow();
}

/** The policy, when it is allowed to the tenant (`null`: any). */
export function policyById(db: Queryable, allowedTo: string | null, id: string): Promise<BackupPolicyRow | undefined> {
  return visible(db, { allowedTo }).where('policy.id', '=', id).executeTakeFirst();
}

/** The policy, locked until the transaction ends against changes and against being chosen by a VM. */
export function policyForUpdate(trx: Queryable, id: string): Promise<BackupPolicyRow | undefined> {
  return trx.selectFrom('backup_policy').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
}

/** The policies that the filter lets through, newest first. */
export function listPolicies(db: Queryable, filter: PolicyFilter, page: PageRequest): Promise<Page<BackupPolicyRow>> {
  return readPage(visible(db, filter), { at: 'policy.created_at', id: 'policy.id' }, page, (row) => ({
    at: row.created_at,
    id: row.id,
  }));
}

function visible(db: Queryable, { datacenterId, allowedTo }: PolicyFilter) {
  return db
    .selectFrom('backup_policy as policy')
    .selectAll('policy')
    .where((eb) => (datacenterId === undefined ? eb.lit(true) : eb('policy.datacenter_id', '=', datacenterId)))
    .where((eb) =>
      allowedTo === null
        ? eb.lit(true)
        : eb.exists(
            eb
              .selectFrom('allowance')
              .select('allowance.policy_id')
              .whereRef('allowance.policy_id', '=', 'policy.id')
              .where('allowance.enterprise_id', '=', allowedTo),
          ),
    );
}

/** Changes a policy. */
export function updatePolicy(
  trx: Queryable,
  id: string,
  changes: Updateable<BackupPolicyTable>,
): Promise<BackupPolicyRow> {
  return trx
    .updateTable('backup_policy')
    .set({ ...changes, version: sql<number>`version + 1` })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Deletes a policy and its allowances. */
export async function deletePolicy(trx: Queryable, id: string): Promise<void> {
  await trx.deleteFrom('backup_policy').where('id', '=', id).execute();
}

/**
 * Whether a VM uses the policy or is being reconfigured to use it. Call it after the policy (or its allowance) has been
 * locked for update.
 * @param enterpriseId only the VMs of this enterprise; `null`: of any.
 */
export async function policyInUse(trx: Queryable, policyId: string, enterpriseId: string | null): Promise<boolean> {
  const chosen = JSON.stringify([{ policyId }]);
  const wanted = JSON.stringify({ backupPolicies: [{ policyId }] });
  const vm = await trx
    .selectFrom('virtual_machine')
    .select('id')
    .where('deleted_at', 'is', null)
    .where(sql<boolean>`backup_policies @> ${chosen}::jsonb`)
    .where((eb) => (enterpriseId === null ? eb.lit(true) : eb('enterprise_id', '=', enterpriseId)))
    .limit(1)
    .executeTakeFirst();
  if (vm !== undefined) return true;
  const operation = await trx
    .selectFrom('operation')
    .select('id')
    .where('finished_at', 'is', null)
    .where(sql<boolean>`desired @> ${wanted}::jsonb`)
    .where((eb) => (enterpriseId === null ? eb.lit(true) : eb('enterprise_id', '=', enterpriseId)))
    .limit(1)
    .executeTakeFirst();
  return operation !== undefined;
}

/** Allows the policy to the enterprise; false when it was allowed already. */
export async function allowPolicy(trx: Queryable, enterpriseId: string, policyId: string): Promise<boolean> {
  const inserted = await trx
    .insertInto('allowance')
    .values({ enterprise_id: enterpriseId, policy_id: policyId })
    .onConflict((conflict) => conflict.doNothing())
    .returning('policy_id')
    .executeTakeFirst();
  return inserted !== undefined;
}

/** Takes the allowance back; false when there was none. Lock the policy for update before. */
export async function restrictPolicy(trx: Queryable, enterpriseId: string, policyId: string): Promise<boolean> {
  const deleted = await trx
    .deleteFrom('allowance')
    .where('enterprise_id', '=', enterpriseId)
    .where('policy_id', '=', policyId)
    .returning('policy_id')
    .executeTakeFirst();
  return deleted !== undefined;
}

/**
 * The policies of this datacenter that the enterprise may use, of those that are asked for, by id: what
 * `resolveSchedules` takes. They stay as they are until the transaction ends.
 */
export async function lockAllowedPolicies(
  trx: Queryable,
  wanted: {
    readonly enterpriseId: string;
    readonly datacenterId: string;
    readonly policyIds: readonly string[];
  },
): Promise<ReadonlyMap<string, BackupPolicy>> {
  if (wanted.policyIds.length === 0) return new Map();
  const rows = await trx
    .selectFrom('backup_policy as policy')
    .innerJoin('allowance', 'allowance.policy_id', 'policy.id')
    .innerJoin('backup_manager as manager', 'manager.id', 'policy.manager_id')
    .selectAll('policy')
    .select('manager.type as manager_type')
    .where('allowance.enterprise_id', '=', wanted.enterpriseId)
    .where('policy.datacenter_id', '=', wanted.datacenterId)
    .where('policy.id', 'in', wanted.policyIds)
    .orderBy('policy.id')
    .forShare(['policy', 'allowance'])
    .execute();
  return new Map(rows.map((row) => [row.id, toBackupPolicy(row)]));
}

/** The policy as the rules of the domain know it. */
function toBackupPolicy(row: BackupPolicyRow & { readonly manager_type: string }): BackupPolicy {
  return {
    id: row.id,
    managerId: row.manager_id,
    managerType: row.manager_type,
    code: row.code,
    name: row.name,
    replication: row.replication,
    timeZone: row.time_zone,
    retentionDays: row.retention_days,
    configurations: row.configurations,
  };
}
