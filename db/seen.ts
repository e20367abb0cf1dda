/**
 * What the hypervisor showed of a VM whose operation could go neither on nor back: the end of the operation takes it
 * over, so that nothing is claimed of the VM that nobody has seen.
 * @module
 */
import type { SeenVm } from './columns.ts';
import type { Queryable } from './connect.ts';
import { heldBy } from './operations.ts';

/**
 * Keeps what was seen, for the run that holds the operation; a later look replaces it.
 * @returns false when the operation has ended, or is another run's.
 */
export async function keepSeen(db: Queryable, operationId: string, runId: string, seen: SeenVm): Promise<boolean> {
  const result = await db
    .updateTable('operation as o')
    .set({ seen: JSON.stringify(seen) })
    .where('o.id', '=', operationId)
    .where(heldBy(runId))
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}
