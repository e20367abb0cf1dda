/**
 * Virtual machines that exist only here so far: made, edited and deleted without an operation. The rows of all others
 * change when an operation ends. Read a draft with `lockVm` before it is changed: no operation can begin on it then.
 * @module
 */
import { type Insertable, sql, type Updateable } from 'kysely';
import type { Queryable } from './connect.ts';
import type { VirtualMachineTable } from './schema.ts';

/** Inserts a virtual machine; the name is unique within the enterprise. @returns its id. */
export async function insertVm(trx: Queryable, vm: Insertable<VirtualMachineTable>): Promise<string> {
  const { id } = await trx.insertInto('virtual_machine').values(vm).returning('id').executeTakeFirstOrThrow();
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
