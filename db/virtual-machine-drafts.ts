/**
 * Virtual machines that exist only here so far: made, edited and deleted without an operation. The rows of all others
 * change when an operation ends. Read a draft with `lockVm` before it is changed: no operation can begin on it then.
 * @module
 */
import { type Insertable, sql, type Updateable } from 'kysely';
import type { Queryable } from './connect.ts';
import { newId } from './ids.ts';
import type { VirtualMachineTable } from './schema.ts';

/** Inserts a virtual machine; the name is unique within the enterprise. @returns its id. */
export async function insertVm(trx: Queryable, vm: Insertable<VirtualMachineTable>): Promise<string> {
  const id = await newId(trx, 'virtual_machine');
  await trx
    .insertInto('virtual_machine')
    .values({ ...vm, id })
    .execute();
  return id;
}

/** Changes a draft. */
export async function updateDraft(trx: Queryable, id: string, changes: Updateable<VirtualMachineTable>): Promise<void> {
  await trx
    .updateTable('virtual_machine')
    .set({ ...changes, version: sql<number>`version + 1`, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
}

/** Marks a draft as deleted: its name is free again, its events and results stay. */
export async function deleteDraft(trx: Queryable, id: string): Promise<void> {
  await trx.updateTable('virtual_machine').set({ deleted_at: sql<Date>`now()` }).where('id', '=', id).execute();
}

/**
 * Whether a machine of the hypervisor is a VM already, or is being registered as one. Two requests for the same machine
 * are put in order: the second waits for the first.
 */
export async function hypervisorRefTaken(trx: Queryable, datacenterId: string, ref: string): Promise<boolean> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`${datacenterId} ${ref}`}, 0))`.execute(trx);
  const registered = trx
    .selectFrom('vm_reference as r')
    .innerJoin('virtual_machine as vm', 'vm.id', 'r.vm_id')
    .select('vm.id')
    .where('r.system', '=', 'HYPERVISOR')
    .where('r.system_id', '=', datacenterId)
    .where('r.ref', '=', ref)
    .where('r.valid_to', 'is', null)
    .where('vm.deleted_at', 'is', null);
  const registering = trx
    .selectFrom('operation as o')
    .select('o.vm_id as id')
    .where('o.kind', '=', 'REGISTER')
    .where('o.datacenter_id', '=', datacenterId)
    .where('o.finished_at', 'is', null)
    .where(sql`o.request ->> 'hypervisorRef'`, '=', ref);
  return (await registered.unionAll(registering).executeTakeFirst()) !== undefined;
}
