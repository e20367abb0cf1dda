/**
 * Proof that what was measured is the whole product: read from the database after the clock has stopped.
 * @module
 */
import { sql } from 'kysely';
import type { Database } from '../../db/connect.ts';

/**
 * Checks every deploy of that datacenter.
 * @returns a sentence that says what was found.
 * @throws when one of them has not ended well, or lacks a lock, a step, a permission or an event.
 */
export async function verifyDeploys(db: Database, datacenterId: string): Promise<string> {
  const { rows } = await sql<{ deploys: number; whole: number }>`
    select count(*)::int as deploys, count(*) filter (
      where o.state = 'SUCCEEDED' and o.fence = 1
      and (select l.fence = 1 and l.operation_id is null from vm_lock l where l.vm_id = o.vm_id)
      and (select count(*) = 4 from step s
           where s.operation_id = o.id and s.state = 'DONE' and s.epoch >= 1 and s.write_permitted_at is not null)
      and (select count(*) = 2 from event e where e.operation_id = o.id)
    )::int as whole
    from operation o where o.datacenter_id = ${datacenterId}
  `.execute(db);
  const { deploys, whole } = rows[0] ?? { deploys: 0, whole: 0 };
  if (deploys === 0 || whole < deploys)
    throw new Error(`only ${whole} of ${deploys} deploys are complete in the database`);
  return `All ${deploys} deploys: succeeded, lock freed, four steps recorded and permitted, two events.`;
}
