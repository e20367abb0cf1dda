/**
 * The session that a start left whose answer was lost.
 *
 * An activity looks like the lost one when its VM, kind, time and (for a restore) its backup are the same. That somebody
 * else has not begun it the audit tells. Where a doubt remains it is not claimed.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import type { FoundSession, LostStart } from '../backup-system.ts';
import type { ActivityList } from './activities.ts';
import type { AvamarSession } from './activity.ts';
import { partsOf } from './backup-id.ts';
import type { AvamarRest } from './rest.ts';
import { type AnsweredStart, answeredStarts } from './rest-audit.ts';

/**
 * - The audit names one activity as the answer to us: that one, or `AMBIGUOUS` while Avamar does not show it.
 * - It names several: `AMBIGUOUS`.
 * - It names none: what it gives to others is not ours, and what it says nothing of is `AMBIGUOUS`; a record that is
 *   written late decides it at a later look.
 * - It may not be read: the only one that was asked for, by our user, for that backup, is ours; anything else is
 *   `AMBIGUOUS`.
 */
export async function findSession(
  rest: AvamarRest,
  activities: ActivityList,
  context: CallContext,
  start: LostStart,
): Promise<FoundSession> {
  const isNew = (id: string): boolean => !start.notThese.includes(id);
  const possible = (await activities.since(context, start.vendorTime)).filter(
    (one) => isNew(one.report.vendorSessionId) && mayBe(one, start),
  );
  const starts = await answeredStarts(rest, context, start.vendorTime);
  if (starts === undefined) return withoutWitness(rest, possible, start);

  const answered = (isOurs: boolean): Set<string> =>
    new Set(starts.filter((one) => one.isOurs === isOurs && isSubject(one, start)).flatMap((one) => one.activityIds));
  const ours: AvamarSession[] = [];
  for (const id of [...answered(true)].filter(isNew)) {
    const session = await activities.session(context, id);
    if (session === undefined) return 'AMBIGUOUS';
    if (mayBe(session, start)) ours.push(session);
  }
  const [only] = ours;
  if (only !== undefined) return ours.length === 1 ? only.report : 'AMBIGUOUS';
  const others = answered(false);
  return possible.every((one) => others.has(one.report.vendorSessionId)) ? 'NONE' : 'AMBIGUOUS';
}

function withoutWitness(rest: AvamarRest, possible: readonly AvamarSession[], start: LostStart): FoundSession {
  const [first] = possible;
  if (first === undefined) return 'NONE';
  return possible.length === 1 && isCertain(rest, first, start) ? first.report : 'AMBIGUOUS';
}

/** The number of the backup that is restored; of which client it is, its id may not say. */
function labelOf({ kind, vendorBackupId, vendorVmRef }: LostStart): string | undefined {
  return kind === 'BACKUP' || vendorBackupId === null ? undefined : partsOf(vendorBackupId, vendorVmRef).labelNumber;
}

/**
 * Whether an answered request may have been for the same. A restore may be of a backup of an older client, whose id is
 * not known here: which VM it restores into, its session tells.
 */
function isSubject(one: AnsweredStart, start: LostStart): boolean {
  if (start.kind === 'BACKUP') return one.labelNumber === undefined && one.cid === start.vendorVmRef;
  return one.labelNumber !== undefined && one.labelNumber === (labelOf(start) ?? one.labelNumber);
}

/** Whether it could be the lost one, as far as it says what it is. */
function mayBe({ report, origin, targetCid }: AvamarSession, start: LostStart): boolean {
  if (report.kind !== start.kind || origin === 'SCHEDULE') return false;
  if (start.kind === 'BACKUP') return report.vendorVmRef === start.vendorVmRef;
  const ofBackup = partsOf(start.vendorBackupId ?? '', start.vendorVmRef).cid;
  const clients = [report.vendorVmRef, targetCid];
  if (!clients.includes(start.vendorVmRef) && !clients.includes(ofBackup)) return false;
  const label = report.vendorBackupId === null ? undefined : partsOf(report.vendorBackupId, '').labelNumber;
  return label === undefined || label === (labelOf(start) ?? label);
}

/** Nothing about it is unclear: that it was asked for, by our user, and for a restore the VM and the backup. */
function isCertain(rest: AvamarRest, { report, origin, user, targetCid }: AvamarSession, start: LostStart): boolean {
  const bare = (name: string | undefined): string | undefined => name?.split('@')[0];
  if (origin !== 'ON_DEMAND' || user === undefined || bare(user) !== bare(rest.manager.credentials?.user)) return false;
  if (start.kind === 'BACKUP') return true;
  const isOfVm = targetCid === undefined || targetCid === start.vendorVmRef || report.vendorVmRef === start.vendorVmRef;
  return isOfVm && report.vendorBackupId !== null && labelOf(start) !== undefined;
}
