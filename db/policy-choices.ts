/**
 * The policies that an enterprise may use in a datacenter.
 * @module
 */
import type { BackupPolicy } from '../domain/schedules.ts';
import type { Queryable } from './connect.ts';

/** The allowed policies by id, as the rules of the domain take them. */
export async function allowedPolicies(
  db: Queryable,
  enterpriseId: string,
  datacenterId: string,
): Promise<ReadonlyMap<string, BackupPolicy>> {
  const rows = await db
    .selectFrom('backup_policy as p')
    .innerJoin('allowance as a', 'a.policy_id', 'p.id')
    .selectAll('p')
    .where('a.enterprise_id', '=', enterpriseId)
    .where('p.datacenter_id', '=', datacenterId)
    .execute();
  return new Map(
    rows.map((row) => [
      row.id,
      {
        id: row.id,
        managerId: row.manager_id,
        code: row.code,
        name: row.name,
        replication: row.replication,
        timeZone: row.time_zone,
        retentionDays: row.retention_days,
        configurations: row.configurations,
      },
    ]),
  );
}
