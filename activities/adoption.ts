/**
 * Sessions that nobody asked us for: a backup by the backup system's own schedule, a restore at its console. While one
 * runs it locks its VM like any operation of ours; a backup that has ended already leaves a result and an event, a
 * restore that has ended already makes its VM be looked at all the same.
 * @module
 */
import type { Database } from '../db/connect.ts';
import { recordSessionEvent } from '../db/events.ts';
import { vmsWithOpenIntent } from '../db/intents.ts';
import { vmsByVendorRef } from '../db/operation-context.ts';
import { startableOperation } from '../db/operation-starts.ts';
import { requestOperation } from '../db/operations.ts';
import { resultOfBackup } from '../db/results.ts';
import {
  giveSession,
  knownSessions,
  markNotified,
  recordSession,
  type SessionRow,
  sessionsToAdopt,
  sessionsToNotify,
} from '../db/sessions.ts';
import { schedulingPolicies } from '../db/vm-schedules.ts';
import { HoldfastError } from '../domain/errors.ts';
import { planSteps } from '../domain/plan.ts';
import { sessionSucceeded } from '../domain/results.ts';
import { SESSION_CHANGED } from '../workflows/contract.ts';
import { startOperation } from '../workflows/start.ts';
import type { SessionReport } from './backup-systems/backup-system.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import type { CallContext } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { recordBackupOf } from './records.ts';
import { settleReplication } from './replications.ts';

/**
 * Records sessions of our VMs that are not known yet. While a start of ours on that VM is unresolved, a new session is
 * left to be recognised as its answer first.
 */
export async function recordNewSessions(
  db: Database,
  managerId: string,
  reports: readonly SessionReport[],
): Promise<void> {
  const known = await knownSessions(
    db,
    managerId,
    reports.map((report) => report.vendorSessionId),
  );
  const unknown = reports.filter((report) => !known.has(report.vendorSessionId));
  if (unknown.length === 0) return;
  const vms = await vmsByVendorRef(db, managerId, [...new Set(unknown.map((report) => report.vendorVmRef))]);
  const expecting = await vmsWithOpenIntent(db, managerId);
  const schedulers = await schedulingPolicies(db, managerId, [...new Set([...vms.values()].map(({ vmId }) => vmId))]);
  for (const report of unknown) {
    const vm = vms.get(report.vendorVmRef);
    if (vm === undefined) continue;
    // A replication is the answer to no start.
    if (expecting.has(vm.vmId) && report.kind !== 'REPLICATION') continue;
    const policy = report.scheduledBy === null ? undefined : schedulers.get(vm.vmId)?.get(report.scheduledBy);
    const { vendorVmRef, vendorBackupId } = report;
    const isOfOne = report.kind === 'REPLICATION' && vendorBackupId !== null;
    const owner = { vmId: vm.vmId, managerId };
    const resultId = isOfOne ? await resultOfBackup(db, owner, { vendorVmRef, vendorBackupId }) : null;
    await db.transaction().execute((trx) =>
      recordSession(trx, {
        managerId,
        vm: { id: vm.vmId, name: vm.vmName, enterpriseId: vm.enterpriseId },
        vendorSessionId: report.vendorSessionId,
        vendorVmRef,
        kind: report.kind,
        operationId: null,
        origin: report.scheduled ? 'SCHEDULED' : 'DISCOVERED',
        policyId: policy?.policyId ?? null,
        replication: policy?.replication === true,
        resultId,
        state: report.state,
        startedAt: report.startedAt,
      }),
    );
  }
}

/**
 * Gives sessions that want one an operation of their own, which locks the VM. A VM that is busy keeps its
 * session waiting for the next look.
 * @returns how many were adopted.
 */
export async function adoptSessions(deps: Dependencies, manager: ConnectedManager): Promise<number> {
  let adopted = 0;
  for (const session of await sessionsToAdopt(deps.db, manager.id)) {
    const vm = {
      id: session.vm_id,
      name: session.vm_name,
      enterpriseId: session.enterprise_id,
      datacenterId: session.datacenter_id,
    };
    const kind = session.kind === 'BACKUP' ? 'SCHEDULED_BACKUP' : 'RESTORE';
    try {
      const operation = await deps.db.transaction().execute(async (trx) => {
        const requested = await requestOperation(trx, {
          vm,
          kind,
          origin: 'BACKUP_SYSTEM',
          request: { sessionId: session.id, managerId: manager.id },
          desired: {},
          steps: planSteps({
            kind,
            origin: 'BACKUP_SYSTEM',
            currentSchedules: [],
            desiredSchedules: [],
            managerId: manager.id,
          }),
          requestedBy: manager.name,
        });
        await giveSession(trx, session.id, requested.id);
        return requested;
      });
      adopted += 1;
      // The reconciler starts it where this does not reach Temporal.
      await startOperation(deps.client, await startableOperation(deps.db, operation.id), deps.limits).catch((error) =>
        deps.logger.warn({ err: error, operationId: operation.id }, 'the operation will be started by the reconciler'),
      );
    } catch (error) {
      if (!(error instanceof HoldfastError && error.code === 'VM_LOCKED')) throw error;
    }
  }
  return adopted;
}

/**
 * Acts upon sessions that have ended: tells the workflow that waits for one, or settles one that no operation waits
 * for. Done at least once; nothing is lost when this dies in the middle.
 * @returns how many ends were acted upon.
 */
export async function handleEndedSessions(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
): Promise<number> {
  const ended = await sessionsToNotify(deps.db, manager.id);
  let handled = 0;
  for (const session of ended) {
    const isReplication = session.kind === 'REPLICATION';
    // Its operation has not begun yet and will read the session's row when it does.
    if (!isReplication && session.workflow_id !== null && session.run_id === null) continue;
    // It waits for its VM to be free: nobody but an operation of its own may take over what it made.
    if (session.kind === 'RESTORE' && session.operation_id === null) continue;
    try {
      if (isReplication) {
        // No operation waits for one.
        await settleReplication(deps, manager, call, session);
      } else if (session.workflow_id !== null && session.run_id !== null) {
        await notify(deps, session.workflow_id, session.run_id);
      } else {
        await settleUnobserved(deps, manager, call, session);
      }
      await markNotified(deps.db, session.id);
      handled += 1;
    } catch (error) {
      // One end that cannot be acted upon must not keep the others waiting; the next look tries it again.
      deps.logger.warn({ err: error, sessionId: session.id }, 'the end of a session could not be acted upon');
    }
  }
  return handled;
}

async function notify(deps: Dependencies, workflowId: string, runId: string): Promise<void> {
  try {
    await deps.client.workflow.getHandle(workflowId, runId).signal(SESSION_CHANGED);
  } catch (error) {
    // A run that has ended needs no notice; whoever carries its operation on reads the row.
    if (!(error instanceof Error && error.name === 'WorkflowNotFoundError')) throw error;
  }
}

/** A session that began and ended between two looks, or while its VM was busy: a result and an event, no lock. */
async function settleUnobserved(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  session: SessionRow & { readonly vm_name: string; readonly enterprise_id: string; readonly datacenter_id: string },
): Promise<void> {
  const succeeded = sessionSucceeded(session.state);
  if (session.kind === 'BACKUP' && succeeded) {
    // The backup is there whether or not it can be looked at now; the periodic sync completes its record.
    await recordBackupOf(deps, call, session, session.enterprise_id).catch((error: unknown) =>
      deps.logger.warn({ err: error, sessionId: session.id }, 'a backup could not be looked at'),
    );
  }
  const what = session.kind === 'BACKUP' ? 'A backup' : 'A restore';
  await recordSessionEvent(deps.db, manager.name, session, {
    action: session.kind === 'BACKUP' ? 'SCHEDULED_BACKUP' : 'RESTORE_FINISH',
    severity: succeeded ? 'INFO' : 'ERROR',
    message: `${what} of ${session.vm_name} that began in ${manager.name} ended ${session.state}.`,
    details: {
      session: session.vendor_session_id,
      backup: session.vendor_backup_id,
      sizeBytes: session.size_bytes,
      vendorMessage: session.message,
    },
  });
}
