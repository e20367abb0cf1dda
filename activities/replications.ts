/**
 * Replications: copying backups to another system. They touch no VM, so an operation begins one and does not wait for
 * it; what it leaves is seen by the watch over the backup system, like one that the backup system begins itself.
 * @module
 */
import { recordSessionEvent } from '../db/events.ts';
import { recordSession, replicationOfOperation, type SessionRow, sessionOfOperation } from '../db/sessions.ts';
import { certainSchedules } from '../db/vm-schedules.ts';
import { REPLICATION_ACTIONS } from '../domain/events.ts';
import { HoldfastError } from '../domain/errors.ts';
import { sessionSucceeded } from '../domain/results.ts';
import type { StepActivities } from '../workflows/contract.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import type { CallContext } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { forward, type StepAttempt, type StepOutcome } from './recorded-step.ts';
import { recordListedBackups } from './records.ts';
import { protectedVm } from './schedules.ts';

/** The activity of REPLICATE. */
export function replicationActivities(deps: Dependencies): Pick<StepActivities, 'replicateBackup'> {
  return {
    replicateBackup: (input) => forward(deps, 'REPLICATE', input, (attempt) => beginReplication(deps, attempt)),
  };
}

async function beginReplication(deps: Dependencies, attempt: StepAttempt): Promise<StepOutcome> {
  const { operation, vm } = attempt;
  const begunBefore = await replicationOfOperation(deps.db, operation.id);
  if (begunBefore !== undefined) return { made: { sessionId: begunBefore.id } };
  const backup = await sessionOfOperation(deps.db, operation.id);
  if (backup === undefined || backup.vendor_backup_id === null) {
    throw new HoldfastError('BACKUP_REPLICATION_NOT_STARTED', 'the backup system does not say which backup was made');
  }
  const manager = await deps.managers.connect(backup.manager_id);
  const now = await manager.system.serverTime(attempt.call);
  // Kept by the first attempt: what that one has begun is no older.
  const { vendorTime } = await attempt.keepForUndo({ vendorTime: now.toISOString() });
  const since = new Date(vendorTime ?? now);
  const begun = await manager.system.startReplication(attempt.call, await protectedVm(deps, attempt, manager.id), {
    vendorVmRef: backup.vendor_vm_ref,
    vendorBackupId: backup.vendor_backup_id,
    since,
  });
  const session = await attempt.record((trx) =>
    recordSession(trx, {
      managerId: manager.id,
      vm: { id: vm.id, name: vm.name, enterpriseId: operation.enterprise_id },
      vendorSessionId: begun.vendorSessionId,
      vendorVmRef: begun.vendorVmRef,
      kind: 'REPLICATION',
      operationId: operation.id,
      origin: 'ON_DEMAND',
      policyId: operation.request.policyId ?? null,
      replication: true,
      resultId: backup.result_id,
      state: 'RUNNING',
      startedAt: since,
    }),
  );
  return { made: { sessionId: session.id }, reason: 'the copy appears in the backup result when the replication ends' };
}

/**
 * What a replication that has ended leaves: the VM's backups are listed afresh, with the copies that it made, and an
 * event tells how it ended. Done again it writes the same copies and tells it once more. One that failed is only told:
 * where the other system is dead many fail at once, and what each has copied all the same follows with the sync.
 */
export async function settleReplication(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  session: SessionRow & { readonly vm_name: string; readonly enterprise_id: string; readonly datacenter_id: string },
): Promise<void> {
  const succeeded = sessionSucceeded(session.state);
  if (succeeded) {
    // It has ended whether or not the backups can be listed now; the periodic sync completes their record.
    await recordCopies(deps, manager, call, session).catch((error: unknown) =>
      deps.logger.warn({ err: error, sessionId: session.id }, 'the copies of a replication could not be listed'),
    );
  }
  const why = session.message === null ? '' : `: ${session.message}`;
  await recordSessionEvent(deps.db, manager.name, session, {
    action: REPLICATION_ACTIONS.end,
    severity: succeeded ? 'INFO' : 'ERROR',
    message: `A replication of the backups of ${session.vm_name} by ${manager.name} ended ${session.state}${why}.`,
    operationId: session.operation_id,
    details: { session: session.vendor_session_id, result: session.result_id, vendorMessage: session.message },
  });
}

async function recordCopies(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  session: SessionRow & { readonly enterprise_id: string },
): Promise<void> {
  const schedules = await certainSchedules(deps.db, manager.id, [session.vm_id]);
  const listed = { vendorVmRef: session.vendor_vm_ref, schedule: schedules.get(session.vm_id) ?? null };
  const owner = { vmId: session.vm_id, enterpriseId: session.enterprise_id };
  await recordListedBackups(deps, manager, call, [listed], new Map([[session.vendor_vm_ref, owner]]));
}
