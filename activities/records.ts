/**
 * What comes after a session: write down what it left.
 * @module
 */
import { listBegins, noteUnseen } from '../db/result-copies.ts';
import { recordListedBackup } from '../db/results.ts';
import { type SessionRow, sessionOfOperation } from '../db/sessions.ts';
import { certainSchedules } from '../db/vm-schedules.ts';
import { sessionSucceeded } from '../domain/results.ts';
import type { StepActivities } from '../workflows/contract.ts';
import type { ListedVm } from './backup-systems/backup-system.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import type { CallContext } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { forward } from './recorded-step.ts';

/** The activity of RECORD. */
export function recordActivities(deps: Dependencies): Pick<StepActivities, 'recordResult'> {
  return {
    recordResult: (input) =>
      forward(deps, 'RECORD', input, async (attempt) => {
        const session = await sessionOfOperation(deps.db, attempt.operation.id);
        if (session === undefined) return { skipped: 'there was no session' };
        if (session.kind === 'RESTORE' || !sessionSucceeded(session.state)) return { made: { sessionId: session.id } };
        const complete = await recordBackupOf(deps, attempt.call, session, attempt.operation.enterprise_id).catch(
          (error: unknown) => {
            // The backup is there whether or not it can be looked at now; the periodic sync completes its record.
            deps.logger.warn({ err: error, operationId: attempt.operation.id }, 'the backup could not be looked at');
            return false;
          },
        );
        const made = { sessionId: session.id };
        return complete ? { made } : { made, reason: 'size, expiry and copies follow with the next sync of results' };
      }),
  };
}

/**
 * Looks at the backup that a session made and writes down its copies.
 * @returns false when the backup system does not list it (yet).
 */
export async function recordBackupOf(
  deps: Dependencies,
  call: CallContext,
  session: SessionRow,
  enterpriseId: string,
): Promise<boolean> {
  if (session.vendor_backup_id === null) return false;
  const manager = await deps.managers.connect(session.manager_id);
  const schedule = (await certainSchedules(deps.db, session.manager_id, [session.vm_id])).get(session.vm_id) ?? null;
  const vm = { vendorVmRef: session.vendor_vm_ref, schedule };
  const listed = await manager.system.result(call, vm, session.vendor_backup_id);
  if (listed === undefined) return false;
  await deps.db
    .transaction()
    .execute((trx) =>
      recordListedBackup(
        trx,
        { vmId: session.vm_id, enterpriseId, managerId: session.manager_id },
        listed,
        session.result_id,
      ),
    );
  return true;
}

/**
 * Writes down all backups that the backup system lists of these VMs, and notes those that it does not list any more.
 * @param vms whose they are, by vendor reference.
 */
export async function recordListedBackups(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  listed: readonly ListedVm[],
  vms: ReadonlyMap<string, { readonly vmId: string; readonly enterpriseId: string }>,
): Promise<void> {
  const begun = await listBegins(deps.db);
  for await (const backup of manager.system.listResults(call, listed, new Date(0))) {
    const vm = vms.get(backup.vendorVmRef);
    if (vm === undefined) continue;
    const owner = { vmId: vm.vmId, enterpriseId: vm.enterpriseId, managerId: manager.id };
    await deps.db.transaction().execute((trx) => recordListedBackup(trx, owner, backup, null));
  }
  const refs = listed.map(({ vendorVmRef }) => vendorVmRef);
  await noteUnseen(deps.db, manager.id, refs, begun);
}
