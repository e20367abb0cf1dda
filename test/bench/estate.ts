/**
 * What the deploys need to be there: an enterprise, for each queue a datacenter with backup managers and policies, and
 * virtual machines that nobody has deployed yet.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Database } from '../../db/connect.ts';
import type { Principal } from '../../domain/privileges.ts';

/** Backup managers of a datacenter; the VMs are spread over them. */
const MANAGERS = 8;
/** By default 2. Waiting for a slot is waiting for the vendor, so nobody shall wait here. */
const WRITES_AT_ONCE = 64;

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
  const places = new Map<string, { readonly datacenterId: string; readonly policyIds: readonly string[] }>();
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
          backup_policies: JSON.stringify([{ policyId: place.policyIds[made % MANAGERS], configurations: [] }]),
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
  const managers = await db
    .insertInto('backup_manager')
    .values(
      Array.from({ length: MANAGERS }, (_, n) => ({
        datacenter_id: datacenterId,
        type: 'avamar',
        name: `avamar-${n + 1}`,
        endpoint: `https://avamar-${n + 1}.example.com/api/v1`,
        max_concurrent_writes: WRITES_AT_ONCE,
      })),
    )
    .returning(['id', 'name'])
    .execute();
  const daily = { type: 'COMPLETE', subtype: 'DAILY', time: { mode: 'fixed', value: '03:30' } };
  const policies = await db
    .insertInto('backup_policy')
    .values(
      managers.map(({ id, name }) => ({
        datacenter_id: datacenterId,
        manager_id: id,
        code: `GOLD-${name}`,
        name: `GOLD on ${name}`,
        time_zone: 'Europe/Madrid',
        retention_days: 7,
        configurations: JSON.stringify([{ ...daily, days: { mode: 'dont_apply' }, disks: { mode: 'dont_apply' } }]),
      })),
    )
    .returning('id')
    .execute();
  const policyIds = policies.map(({ id }) => id);
  await db
    .insertInto('allowance')
    .values(policyIds.map((policyId) => ({ enterprise_id: enterpriseId, policy_id: policyId })))
    .execute();
  return { datacenterId, policyIds };
}
