/**
 * The expiry check: which copies past their date are gone, and now and then whether one is gone before its time.
 * Nothing is deleted from the record, and nothing is believed of a backup system that is not the one we knew.
 * @module
 */
import { heartbeat } from '@temporalio/activity';
import { recordEvent } from '../db/events.ts';
import { type CheckedCopy, copiesToCheck, recordCheck } from '../db/result-copies.ts';
import type { CopyState } from '../domain/results.ts';
import type { ExpirySummary, PeriodicActivities } from '../workflows/contract.ts';
import { copyKey } from './backup-systems/backup-system.ts';
import { requireSameSystem } from './backup-systems/identity.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import type { Dependencies } from './dependencies.ts';
import { readOnlyCall } from './watching.ts';

/** Copies per batch that are past their date, and that are looked at although they are not. */
const DUE_PER_BATCH = 200;
const SWEEP_PER_BATCH = 100;
/**
 * A copy is looked at again after this time at the earliest, or after half of the time between two checks where that is
 * shorter: with the next check, not with the next batch of one. So two looks that miss it lie apart, and many that are
 * past their date and still listed do not go round for ever. Milliseconds.
 */
const DUE_AGAIN_MS = 10 * 60_000;
const SWEEP_AGAIN_MS = 24 * 3_600_000;

/** The activity that checks one batch of a manager's copies. */
export function expiryActivities(deps: Dependencies): Pick<PeriodicActivities, 'checkExpired'> {
  return {
    checkExpired: async (managerId): Promise<ExpirySummary> => {
      const { due, sweep } = await copiesToCheck(deps.db, managerId, {
        due: DUE_PER_BATCH,
        sweep: SWEEP_PER_BATCH,
        dueAgainMs: Math.min(DUE_AGAIN_MS, deps.intervals.expiryCheckMs / 2),
        sweepAgainMs: SWEEP_AGAIN_MS,
      });
      const copies = [...due, ...sweep];
      const found = { checked: copies.length, expired: 0, missing: 0, overdue: 0 };
      if (copies.length === 0) return { ...found, more: false };

      const manager = await deps.managers.connect(managerId);
      await requireSameSystem(manager, readOnlyCall());
      const refs = copies.map((copy) => ({
        vendorVmRef: copy.vendor_vm_ref,
        vendorId: copy.vendor_id,
        location: copy.location,
      }));
      const listed = await manager.system.listed(readOnlyCall(), refs);
      for (const [index, copy] of copies.entries()) {
        const ref = refs[index];
        if (ref === undefined) continue;
        const after = await recordCheck(deps.db, copy, listed.has(copyKey(ref)));
        if (after.state === 'EXPIRED') found.expired += 1;
        if (after.state === 'MISSING') found.missing += 1;
        if (after.overdue) found.overdue += 1;
        if (after.state !== 'LISTED') await tell(deps, manager, copy, after.state);
        heartbeat();
      }
      return { ...found, more: due.length === DUE_PER_BATCH };
    },
  };
}

async function tell(
  deps: Dependencies,
  manager: ConnectedManager,
  copy: CheckedCopy,
  state: Exclude<CopyState, 'LISTED'>,
): Promise<void> {
  const expired = state === 'EXPIRED';
  const early = copy.expires_at !== null && copy.expiry_estimated ? 'before its estimated date' : 'before its time';
  await recordEvent(deps.db, {
    entity: 'BACKUP_RESULT',
    action: expired ? 'EXPIRE' : 'MISSING',
    severity: expired ? 'INFO' : 'WARN',
    message: expired
      ? `The backup ${copy.name} of ${copy.vm_name} has expired in ${manager.name}.`
      : `The backup ${copy.name} of ${copy.vm_name} is gone from ${manager.name} ${early}.`,
    enterpriseId: copy.enterprise_id,
    datacenterId: copy.datacenter_id,
    vmId: copy.vm_id,
    entityId: copy.result_id,
    principal: manager.name,
    details: {
      location: copy.location,
      vendorId: copy.vendor_id,
      expiresAt: copy.expires_at?.toISOString() ?? null,
      expiryEstimated: copy.expiry_estimated,
    },
  });
}
