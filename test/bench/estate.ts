/**
 * What the deploys need to be there: an enterprise, a datacenter with a backup manager and a policy for each queue, and
 * virtual machines that nobody has deployed yet.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Database } from '../../db/connect.ts';
import type { Principal } from '../../domain/privileges.ts';

export interface Estate {
  readonly principal: Principal;
  /** The datacenter of that queue. */
  datacenterOf(queue: string): string;
  /** Adds VMs to the datacenter of that queue. */
  newVms(queue: string, count: number): Promise<{ readonly id: string; readonly name: string }[]>;
}

/** Fills an empty database. */
export async function fillEstate(db: Database, queues: readonly string[]): Promise<Estate> {
  const enterprise = await db
    .insertInto('enterprise')
    .values({ name: 'acme' })
    .returning('id')
    .executeTakeFirstOrThrow();
  const token = await db
    .insertInto('token')
    .values({ role: 'PLATFORM', name: 'platform', hash: randomBytes(32) })
    .returning('id')
    .executeTakeFirstOrThrow();
  const places = new Map<string, { readonly datacenterId: string; readonly policyId: string }>();
  for (const queue of queues) places.set(queue, await newPlace(db, enterprise.id, queue));
  const placeOf = (queue: string) => {
    const place = places.get(queue);
    if (place === undefined) throw new Error(`there is no datacenter for the queue ${queue}`);
    return place;
  };
  let made = 0;
  return {
    datacenterOf: (queue) => placeOf(queue).datacenterId,
    principal: { tokenId: token.id, name: 'platform', role: 'PLATFORM', enterpriseId: null },
    async newVms(queue, count) {
      const place = placeOf(queue);
      const disks = [
        { label: 'system', sizeGiB: 20 },
        { label: 'data', sizeGiB: 50 },
      ];
      const vms = Array.from({ length: count }, () => {
        made += 1;
        return {
          enterprise_id: enterprise.id,
          datacenter_id: place.datacenterId,
          name: `web-${made}`,
          cpu: 2,
          memory_mib: 2048,
          disks: JSON.stringify(disks),
          backup_policies: JSON.stringify([{ policyId: place.policyId, configurations: [] }]),
        };
      });
      return db.insertInto('virtual_machine').values(vms).returning(['id', 'name']).execute();
    },
  };
}

async function newPlace(db: Database, enterpriseId: string, queue: string) {
  const { id: datacenterId } = await db
    .insertInto('datacenter')
    .values({
      name: `dc-${queue}`,
      time_zone: 'Europe/Madrid',
      hypervisor_type: 'simulated',
      hypervisor_endpoint: 'http://hypervisor.example.com',
      task_queue: queue,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const { id: managerId } = await db
    .insertInto('backup_manager')
    .values({
      datacenter_id: datacenterId,
      type: 'avamar',
      name: 'avamar-1',
      endpoint: 'https://avamar.example.com/api/v1',
      // By default two writes at once: what the vendor can take would be measured, not the product.
      max_concurrent_writes: 64,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  const daily = { type: 'COMPLETE', subtype: 'DAILY', time: { mode: 'fixed', value: '03:30' } };
  const { id: policyId } = await db
    .insertInto('backup_policy')
    .values({
      datacenter_id: datacenterId,
      manager_id: managerId,
      code: 'GOLD',
      name: 'GOLD',
      time_zone: 'Europe/Madrid',
      retention_days: 7,
      configurations: JSON.stringify([{ ...daily, days: { mode: 'dont_apply' }, disks: { mode: 'dont_apply' } }]),
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await db.insertInto('allowance').values({ enterprise_id: enterpriseId, policy_id: policyId }).execute();
  return { datacenterId, policyId };
}
