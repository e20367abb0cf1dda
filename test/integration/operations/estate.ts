/**
 * What a world has on record before anything happens in it: a tenant, a datacenter, its managers, policies and VMs.
 * @module
 */
import { randomUUID } from 'node:crypto';
import type { Database } from '../../../db/connect.ts';
import type { Sealing } from '../../../db/sealing.ts';
import type { PolicyConfiguration } from '../../../domain/policies.ts';
import type { Principal } from '../../../domain/privileges.ts';
import { insertManager, insertPlace, insertVm } from '../rows.ts';

export const AVAMAR_PASSWORD = 'avamar-simulator';

export const DAILY: PolicyConfiguration = {
  type: 'COMPLETE',
  subtype: 'DAILY',
  time: { mode: 'fixed', value: '03:30' },
  days: { mode: 'dont_apply' },
  disks: { mode: 'dont_apply' },
};

const DISKS = [
  { label: 'system', sizeGiB: 20 },
  { label: 'data', sizeGiB: 50 },
];

/**
 * @param hypervisorUrl of the datacenter.
 * @param taskQueue of its worker.
 * @param avamarUrl of its first backup system.
 */
export async function openEstate(
  db: Database,
  sealing: Sealing,
  { hypervisorUrl, taskQueue, avamarUrl }: { hypervisorUrl: string; taskQueue: string; avamarUrl: string },
) {
  const place = await insertPlace(db, {
    name: 'dc-madrid',
    time_zone: 'Europe/Madrid',
    hypervisor_endpoint: hypervisorUrl,
    task_queue: taskQueue,
  });
  const newManager = async (
    manager: { readonly name: string; readonly type: string; readonly endpoint: string },
    credentials = { user: 'MCUser', password: AVAMAR_PASSWORD },
  ): Promise<string> => {
    const id = await insertManager(db, place, manager);
    await db
      .updateTable('backup_manager')
      .set({ credentials_sealed: sealing.seal(JSON.stringify(credentials), `backup_manager/${id}`) })
      .where('id', '=', id)
      .execute();
    return id;
  };
  const newAvamarManager = (name: string, url: string): Promise<string> =>
    newManager({ name, type: 'avamar', endpoint: `${url}/api/v1` });
  const managerId = await newAvamarManager('avamar-1', avamarUrl);
  const token = await db
    .insertInto('token')
    .values({ role: 'PLATFORM', name: 'platform', hash: Buffer.from(randomUUID()) })
    .returning('id')
    .executeTakeFirstOrThrow();
  const principal: Principal = { tokenId: token.id, name: 'platform', role: 'PLATFORM', enterpriseId: null };

  return {
    ...place,
    managerId,
    principal,
    newManager,
    newAvamarManager,
    /** A policy that the tenant may use. @returns its id. */
    async newPolicy(
      code: string,
      configurations: readonly PolicyConfiguration[] = [DAILY],
      ofManager: string = managerId,
    ): Promise<string> {
      const policy = await db
        .insertInto('backup_policy')
        .values({
          datacenter_id: place.datacenterId,
          manager_id: ofManager,
          code,
          name: code,
          time_zone: 'Europe/Madrid',
          retention_days: 7,
          configurations: JSON.stringify(configurations),
        })
        .returning('id')
        .executeTakeFirstOrThrow();
      await db.insertInto('allowance').values({ enterprise_id: place.enterpriseId, policy_id: policy.id }).execute();
      return policy.id;
    },
    /** A draft that has chosen these policies. @returns its id. */
    newVm: (name: string, policyIds: readonly string[]): Promise<string> =>
      insertVm(db, place, name, {
        cpu: 2,
        memory_mib: 2048,
        disks: JSON.stringify(DISKS),
        backup_policies: JSON.stringify(policyIds.map((policyId) => ({ policyId, configurations: [] }))),
      }),
  };
}
