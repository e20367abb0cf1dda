/**
 * Rows that others refer to, as the API would have made them.
 * @module
 */
import type { Insertable } from 'kysely';
import type { Database, Queryable } from '../../db/connect.ts';
import { requestOperation } from '../../db/operations.ts';
import type { BackupManagerTable, DatacenterTable, VirtualMachineTable } from '../../db/schema.ts';

/** Whose a virtual machine is, and where. */
export interface Place {
  readonly enterpriseId: string;
  readonly datacenterId: string;
}

/** An enterprise, and a datacenter whose hypervisor is nowhere unless it is told where. */
export async function insertPlace(
  db: Queryable,
  datacenter: Partial<Insertable<DatacenterTable>> = {},
): Promise<Place> {
  const enterprise = await db
    .insertInto('enterprise')
    .values({ name: 'acme' })
    .returning('id')
    .executeTakeFirstOrThrow();
  const { id: datacenterId } = await db
    .insertInto('datacenter')
    .values({
      name: 'dc',
      time_zone: 'UTC',
      hypervisor_type: 'simulated',
      hypervisor_endpoint: 'http://127.0.0.1:1',
      ...datacenter,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return { enterpriseId: enterprise.id, datacenterId };
}

/** @returns the id of a manager in that datacenter. */
export async function insertManager(
  db: Queryable,
  { datacenterId }: Pick<Place, 'datacenterId'>,
  manager: Omit<Insertable<BackupManagerTable>, 'datacenter_id'>,
): Promise<string> {
  const { id } = await db
    .insertInto('backup_manager')
    .values({ datacenter_id: datacenterId, ...manager })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** @returns the id of a draft of a virtual machine, small and without disks unless it is told more. */
export async function insertVm(
  db: Queryable,
  { enterpriseId, datacenterId }: Place,
  name: string,
  more: Partial<Insertable<VirtualMachineTable>> = {},
): Promise<string> {
  const { id } = await db
    .insertInto('virtual_machine')
    .values({
      enterprise_id: enterpriseId,
      datacenter_id: datacenterId,
      name,
      cpu: 1,
      memory_mib: 512,
      disks: '[]',
      ...more,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** A deploy that was asked for and has not begun. */
export function requestedDeploy(
  db: Database,
  place: Place,
  vm: { readonly id: string; readonly name: string },
  steps: Parameters<typeof requestOperation>[1]['steps'],
) {
  return db.transaction().execute((trx) =>
    requestOperation(trx, {
      vm: { ...vm, ...place },
      kind: 'DEPLOY',
      origin: 'HOLDFAST',
      request: {},
      desired: {},
      steps,
      requestedBy: 'tester',
    }),
  );
}
