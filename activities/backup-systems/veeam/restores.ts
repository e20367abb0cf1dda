/**
 * Starting a restore, finding one whose answer was lost, and stopping a session.
 * @module
 */
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { CopyRef, FoundSession, LostStart, ProtectedVm } from '../backup-system.ts';
import { lookAfter } from '../look-after.ts';
import { jobById } from './jobs.ts';
import { linkedId } from './links.ts';
import { failure, isAbsent, refused } from './refusal.ts';
import { readIfThere } from './rest.ts';
import { isVmRestore, restoreReport, type SessionFacts } from './session-reports.ts';
import { facts, factsSince } from './sessions.ts';
import { change } from './tasks.ts';
import { guidOf, isOfType, sameUrn, urnKey, veeamUrn } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { attribute, element, textOf } from './xml.ts';

/** The server's clock is known to the second. */
const CLOCK_GRAIN_MS = 1_000;
/** A session bears the time of its backup server, which may be behind the Enterprise Manager's. Milliseconds. */
const SERVERS_APART_MS = 60_000;

export interface Started {
  readonly vendorSessionId: string;
  readonly vendorVmRef: string;
}

/**
 * Starts a restore of that point. Veeam asks for no target: the machine of the point is replaced, or registered anew
 * where it is gone. It is not switched on; that is Holdfast's to decide.
 */
export async function startRestore(
  veeam: Veeam,
  context: CallContext,
  vm: ProtectedVm,
  copy: CopyRef,
): Promise<Started> {
  const { rest, config } = veeam;
  const called = `the backup system ${rest.manager.name}`;
  const point = guidOf(copy.vendorId);
  const purpose = `restore ${vm.name} from the restore point ${copy.vendorId}`;
  if (point === undefined) throw refused(`${copy.vendorId} is no restore point of ${called}`);
  const path = `/vmRestorePoints/${point}`;
  if ((await readIfThere(rest, context, `${path}?format=Entity`, purpose)) === undefined) {
    throw refused(`${called} no longer has the restore point ${copy.vendorId} of ${vm.name}`);
  }
  const since = new Date(rest.now().getTime() - CLOCK_GRAIN_MS);
  const spec = element('VmRestoreSpec', [element('PowerOnAfterRestore', 'false'), element('QuickRollback', 'false')]);
  const write = {
    method: 'POST',
    path: `${path}?action=restore`,
    body: element('RestoreSpec', [spec]),
    purpose,
  } as const;
  const started = (id: string): Started => ({
    vendorSessionId: veeamUrn('RestoreSession', id),
    vendorVmRef: copy.vendorVmRef,
  });
  try {
    const end = await change(rest, context, config.taskTimeoutSeconds, write);
    const id = end.known && end.task !== undefined ? linkedId(end.task, 'RestoreSession', 'Related') : undefined;
    if (id !== undefined) return started(id);
    throw end.known ? failure('NO_ANSWER', `${called} does not tell the session that it began to ${purpose}`) : end.why;
  } catch (error) {
    const isFailedTask = error instanceof ExternalSystemError && error.kind === 'FAILED' && error.status === undefined;
    if (!isFailedTask) throw error;
    // A task that failed has been seen to have its effect all the same; without one nothing was begun.
    const sessions = await lookAfter(error, () => factsSince(veeam, context, 'RestoreSession', since));
    const begun = sessions.filter((one) => isOf(one, copy.vendorId));
    if (begun.length > 0) throw failure('NO_ANSWER', error.message, error.vendorMessage);
    throw refused(error.message);
  }
}

const isOf = (session: SessionFacts, pointUid: string): boolean =>
  isVmRestore(session) && sameUrn(session.pointUid, veeamUrn('VmRestorePoint', guidOf(pointUid) ?? ''));

/**
 * The restore that a lost start left: the one of that restore point since then. Several of it, or one that may be of the
 * VM and does not tell its point, cannot be told from somebody else's. A backup is never started by Holdfast.
 */
export async function findSession(veeam: Veeam, context: CallContext, start: LostStart): Promise<FoundSession> {
  const pointUid = start.vendorBackupId;
  if (start.kind === 'BACKUP' || pointUid === null) return 'NONE';
  const others = new Set(start.notThese.map(urnKey));
  const from = new Date(start.vendorTime.getTime() - SERVERS_APART_MS);
  const since = (await factsSince(veeam, context, 'RestoreSession', from)).filter(
    (session) => isVmRestore(session) && !others.has(urnKey(session.uid)),
  );
  const certain = since.filter((session) => isOf(session, pointUid));
  const doubtful = await ofVm(
    veeam,
    context,
    since.filter((session) => session.pointUid === undefined),
    pointUid,
  );
  const [found, ...more] = certain;
  if (found === undefined) return doubtful.length === 0 ? 'NONE' : 'AMBIGUOUS';
  if (more.length > 0 || doubtful.length > 0) return 'AMBIGUOUS';
  return restoreReport(found, start.vendorVmRef);
}

/** Of sessions that do not tell their point those that can be of the point's VM, by its name. */
async function ofVm(
  { rest }: Veeam,
  context: CallContext,
  candidates: readonly SessionFacts[],
  pointUid: string,
): Promise<readonly SessionFacts[]> {
  if (candidates.length === 0) return [];
  const path = `/vmRestorePoints/${guidOf(pointUid)}?format=Entity`;
  const point = (await readIfThere(rest, context, path, 'look whose restore point it is'))?.body;
  const name = attribute(point, 'VmDisplayName') ?? textOf(point, 'VmName');
  return candidates.filter(({ vmName }) => name === undefined || vmName === undefined || vmName === name);
}

/**
 * Stops the run of a job that backs up one VM alone.
 * @throws ExternalSystemError `REFUSED` for a restore, which Veeam cannot stop, and for a run that backs up other VMs too.
 */
export async function cancel(veeam: Veeam, context: CallContext, vendorSessionId: string): Promise<void> {
  const { rest, config, memory } = veeam;
  const at = `the backup system ${rest.manager.name}`;
  if (isOfType(vendorSessionId, 'RestoreSession')) throw refused(`${at} cannot stop a restore`);
  const isRun = isOfType(vendorSessionId, 'BackupJobSession');
  const task = isRun ? undefined : await facts(veeam, context, 'BackupTaskSession', vendorSessionId);
  const runUid = isRun ? vendorSessionId : task?.jobSessionUid;
  const run = runUid === undefined ? undefined : await facts(veeam, context, 'BackupJobSession', runUid);
  if (run === undefined || task?.isOver === true || run.isOver) return;
  const job = await jobById(veeam, context, guidOf(run.jobUid) ?? '');
  if (!/\[holdfast vm=/i.test(job?.description ?? '')) {
    throw refused(`${at}: the job ${run.jobName ?? ''} is not Holdfast's and may back up other virtual machines too`);
  }
  memory.look = undefined;
  const path = `/backupSessions/${guidOf(run.uid)}?action=stop`;
  try {
    const purpose = `stop the backup of the job ${run.jobName ?? ''}`;
    const end = await change(rest, context, config.taskTimeoutSeconds, { method: 'POST', path, purpose });
    if (!end.known) throw end.why;
  } catch (error) {
    // A run that has ended meanwhile cannot be stopped, and says so when it is looked at.
    const look = () => facts(veeam, context, 'BackupJobSession', run.uid);
    const now = error instanceof ExternalSystemError ? await lookAfter(error, look) : run;
    if (isAbsent(error) ? now !== undefined && !now.isOver : now?.isOver !== true) throw error;
  }
}
