/**
 * One look at a backup system, for all of its virtual machines at once: what became of the sessions in flight, which
 * have begun, and now and then which backups there are. The set in flight lives in the database; nothing of it passes
 * through a workflow.
 * @module
 */
import { Context, heartbeat } from '@temporalio/activity';
import { vmsByVendorRef } from '../db/operation-context.ts';
import { setProgress } from '../db/operations.ts';
import { type SessionInFlight, sessionsInFlight, updateSession } from '../db/sessions.ts';
import { certainSchedules } from '../db/vm-schedules.ts';
import { beginTick, endTick, type TickEnd, type WatchRow, watchedVendorRefs, watchIsNeeded } from '../db/watches.ts';
import type { PeriodicActivities, TickSummary, WatchInput } from '../workflows/contract.ts';
import { adoptSessions, handleEndedSessions, recordNewSessions } from './adoption.ts';
import type { ListedVm, SessionReport } from './backup-systems/backup-system.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import { learnIdentity, requireSameSystem } from './backup-systems/identity.ts';
import { type CallContext, ExternalSystemError } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { FIRST_LOOK_MS, SESSION_OVERLAP_MS } from './observations.ts';
import { describeError } from './recorded-step.ts';
import { recordListedBackups } from './records.ts';
import { refreshSchedules } from './schedule-refresh.ts';

/** A session that is not listed for this long has a state that nobody knows. Milliseconds. */
const UNLISTED_MS = 60_000;
/** Virtual machines whose backups are listed with one look. */
const SYNC_PER_LOOK = 50;
/** So long a look may list one by one: a VM that gets no answer costs as much as a call may last. Milliseconds. */
const SYNC_ALONE_MS = 60_000;

/** A context for calls that only read. */
export function readOnlyCall(): CallContext {
  return {
    signal: Context.current().cancellationSignal,
    beforeWrite: () => Promise.reject(new Error('a look at a backup system writes nothing')),
    progress: (note) => heartbeat(note),
  };
}

/** The activity that looks once at a backup system. A look that fails says so and changes nothing. */
export function watchActivities(deps: Dependencies): Pick<PeriodicActivities, 'tickManager'> {
  return {
    tickManager: async (input) => {
      const beat = setInterval(() => heartbeat(), 10_000);
      try {
        return await tick(deps, input);
      } finally {
        clearInterval(beat);
      }
    },
  };
}

async function tick(deps: Dependencies, input: WatchInput): Promise<TickSummary> {
  const watch = await beginTick(deps.db, input.managerId);
  let adopted = 0;
  let ended = 0;
  let refreshed = 0;
  let error: string | null = null;
  if (!(await isDue(deps, input, watch))) return summary(deps, input, { adopted, ended, refreshed, error });
  try {
    const call = readOnlyCall();
    const connected = await deps.managers.connect(input.managerId);
    const now = await connected.system.serverTime(call);
    const manager = await learnIdentity(deps.db, connected, call);
    await look(deps, manager, call, watch, now);
    adopted = await adoptSessions(deps, manager);
    ended = await handleEndedSessions(deps, manager, call);
    refreshed = await refreshSchedules(deps, manager, now);
    const synced = await syncSome(deps, manager, call, input, watch);
    await endTick(deps.db, input.managerId, watch.tick, { sessionsWatermark: now, ...synced, error: null });
  } catch (failure) {
    const told = describeError(failure);
    error = told.code;
    deps.logger.warn({ err: failure, managerId: input.managerId }, 'a look at a backup system failed');
    await endTick(deps.db, input.managerId, watch.tick, { error: told });
  }
  return summary(deps, input, { adopted, ended, refreshed, error });
}

/** Whether the backup system is asked now: with sessions in flight each time, else only now and then. */
async function isDue(deps: Dependencies, input: WatchInput, watch: WatchRow): Promise<boolean> {
  if (watch.looked_ms_ago === null || watch.looked_ms_ago >= input.idleMs) return true;
  return (await sessionsInFlight(deps.db, input.managerId)).length > 0;
}

async function summary(
  deps: Dependencies,
  { managerId, managerName }: WatchInput,
  seen: Pick<TickSummary, 'adopted' | 'ended' | 'refreshed' | 'error'>,
): Promise<TickSummary> {
  const inFlight = (await sessionsInFlight(deps.db, managerId)).length;
  return { ...seen, inFlight, needed: await watchIsNeeded(deps.db, managerId, managerName) };
}

/** Asks about every session in flight and for those that have begun, and writes down what is new. */
async function look(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  watch: WatchRow,
  now: Date,
): Promise<void> {
  const since = watch.sessions_watermark?.getTime() ?? now.getTime() - FIRST_LOOK_MS + SESSION_OVERLAP_MS;
  const begun = await manager.system.sessionsSince(call, new Date(since - SESSION_OVERLAP_MS));
  await recordNewSessions(deps.db, manager.id, begun);

  const inFlight = await sessionsInFlight(deps.db, manager.id);
  if (inFlight.length === 0) return;
  const reports = new Map(begun.map((report) => [report.vendorSessionId, report]));
  const unseen = inFlight.filter((session) => !reports.has(session.vendor_session_id));
  if (unseen.length > 0) {
    const ids = [...new Set(unseen.map((session) => session.vendor_session_id))];
    for (const report of await manager.system.sessions(call, ids)) reports.set(report.vendorSessionId, report);
  }
  for (const session of inFlight) {
    await recordNews(deps, session, reports.get(session.vendor_session_id), watch.tick);
  }
}

async function recordNews(
  deps: Dependencies,
  session: SessionInFlight,
  report: SessionReport | undefined,
  tickNumber: number,
): Promise<void> {
  if (report === undefined) {
    if (session.seen_ms_ago < UNLISTED_MS || session.state === 'UNKNOWN') return;
    await updateSession(deps.db, session, tickNumber, {
      state: 'UNKNOWN',
      progress: session.progress,
      message: 'the backup system no longer lists the session',
      endedAt: null,
      vendorBackupId: null,
      restoredVmRef: null,
      sizeBytes: null,
    });
    return;
  }
  await deps.db.transaction().execute((trx) => updateSession(trx, session, tickNumber, report));
  if (session.operation_id !== null) await setProgress(deps.db, session.operation_id, report.progress);
}

/**
 * Writes down the backups that the backup system lists, a few virtual machines with each look: what a look costs does
 * not grow with their number.
 */
async function syncSome(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  input: WatchInput,
  watch: WatchRow,
): Promise<Pick<TickEnd, 'resultsCursor'>> {
  const due = watch.synced_ms_ago === null || watch.synced_ms_ago >= input.resultsSyncMs;
  if (watch.results_cursor === null && !due) return {};
  if (watch.results_cursor === null) await requireSameSystem(manager, call);
  const refs = await watchedVendorRefs(deps.db, manager.id, watch.results_cursor ?? '', SYNC_PER_LOOK);
  const vms = await vmsByVendorRef(deps.db, manager.id, refs);
  const schedules = await certainSchedules(deps.db, manager.id, [...new Set([...vms.values()].map((vm) => vm.vmId))]);
  const listed = refs.flatMap((vendorVmRef) => {
    const vm = vms.get(vendorVmRef);
    return vm === undefined ? [] : [{ vendorVmRef, schedule: schedules.get(vm.vmId) ?? null }];
  });
  try {
    await recordListedBackups(deps, manager, call, listed, vms);
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    // One that cannot be read must not keep the others from being read.
    const begun = performance.now();
    for (const one of listed) {
      await recordListedAlone(deps, manager, call, one, vms);
      if (performance.now() - begun > SYNC_ALONE_MS) return { resultsCursor: one.vendorVmRef };
    }
  }
  return { resultsCursor: refs.length < SYNC_PER_LOOK ? null : (refs.at(-1) ?? null) };
}

type KnownVms = Awaited<ReturnType<typeof vmsByVendorRef>>;

async function recordListedAlone(
  deps: Dependencies,
  manager: ConnectedManager,
  call: CallContext,
  one: ListedVm,
  vms: KnownVms,
): Promise<void> {
  try {
    await recordListedBackups(deps, manager, call, [one], vms);
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    // No answer to this may be one about this VM alone; a backup system that is away does not tell its time either.
    if (error.kind === 'UNREACHABLE') await manager.system.serverTime(call);
    const vmId = vms.get(one.vendorVmRef)?.vmId;
    deps.logger.warn({ err: error, vmId }, 'the backups of a virtual machine could not be listed');
  }
}
