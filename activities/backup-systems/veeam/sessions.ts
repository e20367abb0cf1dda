/**
 * Looking at sessions. A look asks the query service once for each kind of session, whatever their number, and goes back
 * to the oldest session that is known to be running; the look for new sessions and the look at those in flight, which
 * follow each other, are one.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import type { SessionReport } from '../backup-system.ts';
import { condition, entities, type Query } from './query.ts';
import { readIfThere } from './rest.ts';
import {
  backupReport,
  failedRunReport,
  isVmRestore,
  restoreReport,
  type SessionFacts,
  sessionFacts,
} from './session-reports.ts';
import { isJobName } from './names.ts';
import { guidOf, isOfType, urnKey } from './urn.ts';
import { remember, type Veeam } from './veeam.ts';
import { vmFinder } from './session-vms.ts';

/** A look serves the one that follows it at once. Milliseconds. */
const SHARED_MS = 1_000;
/** How far back a look goes for sessions whose beginning is not remembered, and for the oldest that is. Milliseconds. */
const UNREMEMBERED_MS = 48 * 3_600_000;
const OLDEST_MS = 7 * 24 * 3_600_000;
/** So few sessions are asked for one by one; and so many at most that no list has shown. */
const FEW = 2;
const STRAGGLERS = 20;

type Kind = 'BackupTaskSession' | 'BackupJobSession' | 'RestoreSession';

/** All sessions of all VMs that began at or after that moment of the server's clock. */
export async function sessionsSince(veeam: Veeam, context: CallContext, since: Date): Promise<SessionReport[]> {
  const oldest = veeam.rest.now().getTime() - OLDEST_MS;
  const running = [...veeam.memory.running.values()].map((began) => began.getTime()).filter((began) => began >= oldest);
  const from = new Date(Math.min(since.getTime(), ...running));
  const reports = await look(veeam, context, from, true, true);
  veeam.memory.look = { at: performance.now(), reports: byKey(reports) };
  return reports.filter(({ startedAt }) => startedAt >= since);
}

/** These sessions; one that is not known any more is left out. */
export async function sessions(veeam: Veeam, context: CallContext, ids: readonly string[]): Promise<SessionReport[]> {
  const { memory, rest } = veeam;
  const wanted = new Map(ids.map((id) => [urnKey(id), id]));
  const found = new Map<string, SessionReport>();
  const take = (reports: Iterable<SessionReport>): void => {
    for (const report of reports) {
      const id = wanted.get(urnKey(report.vendorSessionId));
      // By the id that was asked for, whatever its case now.
      if (id !== undefined) found.set(id, { ...report, vendorSessionId: id });
    }
  };
  const missing = (): string[] => ids.filter((id) => !found.has(id));

  const shared = memory.look;
  memory.look = undefined;
  if (shared !== undefined && performance.now() - shared.at <= SHARED_MS) take(shared.reports.values());
  if (missing().length > FEW) {
    const unseen = missing();
    const now = rest.now().getTime();
    const began = unseen.map((id) => memory.running.get(urnKey(id))?.getTime() ?? now - UNREMEMBERED_MS);
    const restores = unseen.filter((id) => isOfType(id, 'RestoreSession')).length;
    take(await look(veeam, context, new Date(Math.min(...began)), restores < unseen.length, restores > 0));
  }
  for (const id of missing().slice(0, STRAGGLERS)) {
    const report = await session(veeam, context, id);
    if (report !== undefined) found.set(id, { ...report, vendorSessionId: id });
  }
  return [...found.values()];
}

const byKey = (reports: readonly SessionReport[]): ReadonlyMap<string, SessionReport> =>
  new Map(reports.map((report) => [urnKey(report.vendorSessionId), report]));

async function look(
  veeam: Veeam,
  context: CallContext,
  from: Date,
  backups: boolean,
  restores: boolean,
): Promise<SessionReport[]> {
  const since = (kind: Kind): Promise<SessionFacts[]> => factsSince(veeam, context, kind, from);
  const [runs, tasks, restoreSessions] = [
    backups ? await since('BackupJobSession') : [],
    backups ? await since('BackupTaskSession') : [],
    restores ? await since('RestoreSession') : [],
  ];
  const now = veeam.rest.now();
  const vms = vmFinder(veeam, context);
  const runByUid = new Map(runs.map((run) => [urnKey(run.uid), run]));
  const withTasks = new Set<string>();
  const reports: SessionReport[] = [];
  for (const task of tasks) {
    const key = urnKey(task.jobSessionUid ?? '');
    withTasks.add(key);
    const run = runByUid.get(key);
    const vmRef = await vms.ofBackup(task, run);
    if (vmRef === undefined) continue;
    reports.push(backupReport(task, run, vmRef, now, veeam.config.restorePointTimeoutSeconds));
  }
  for (const run of runs) {
    const isCandidate = run.isOver && !withTasks.has(urnKey(run.uid)) && isJobName(veeam.config.jobName, run.jobName);
    const vmRef = isCandidate ? await vms.ofBackup(undefined, run) : undefined;
    const report = vmRef === undefined ? undefined : failedRunReport(run, vmRef, now);
    if (report !== undefined) reports.push(report);
  }
  for (const restore of restoreSessions.filter(isVmRestore)) {
    const vmRef = await vms.ofRestore(restore);
    if (vmRef !== undefined) reports.push(restoreReport(restore, vmRef));
  }
  for (const report of reports) note(veeam, report);
  return reports;
}

/** What sessions of that kind say of themselves, since that moment. */
export async function factsSince(veeam: Veeam, context: CallContext, kind: Kind, from: Date): Promise<SessionFacts[]> {
  const query: Query = {
    type: kind,
    filter: condition('CreationTime', '>=', from),
    sortAsc: 'CreationTime',
    purpose: PURPOSES[kind],
  };
  const found: SessionFacts[] = [];
  for await (const entity of entities(veeam.rest, context, query)) {
    const facts = sessionFacts(entity);
    if (facts !== undefined && facts.startedAt >= from) found.push(facts);
  }
  return found;
}

const PURPOSES: Readonly<Record<Kind, string>> = {
  BackupTaskSession: 'list its backups of virtual machines',
  BackupJobSession: 'list the runs of its jobs',
  RestoreSession: 'list its restores',
};

/** Remembers since when a session runs, so that a look goes back to it. */
function note({ memory }: Veeam, { vendorSessionId, state, startedAt }: SessionReport): void {
  const key = urnKey(vendorSessionId);
  if (state === 'RUNNING') remember(memory.running, key, startedAt);
  else memory.running.delete(key);
}

const PATHS: Readonly<Record<Kind, string>> = {
  BackupTaskSession: 'backupTaskSessions',
  BackupJobSession: 'backupSessions',
  RestoreSession: 'restoreSessions',
};

/** What one session says of itself; `undefined` when the server does not know it (any more). */
export async function facts(
  { rest }: Veeam,
  context: CallContext,
  kind: Kind,
  uid: string,
): Promise<SessionFacts | undefined> {
  const path = `/${PATHS[kind]}/${guidOf(uid)}?format=Entity`;
  const answer = await readIfThere(rest, context, path, `look at the session ${uid}`);
  return answer === undefined ? undefined : sessionFacts(answer.body);
}

async function session(veeam: Veeam, context: CallContext, id: string): Promise<SessionReport | undefined> {
  const report = await singleReport(veeam, context, id);
  if (report !== undefined) note(veeam, report);
  return report;
}

/** A session that is asked for by its id is reported also when its VM cannot be told. */
async function singleReport(veeam: Veeam, context: CallContext, id: string): Promise<SessionReport | undefined> {
  const { rest, config } = veeam;
  const vms = vmFinder(veeam, context);
  if (isOfType(id, 'RestoreSession')) {
    const restore = await facts(veeam, context, 'RestoreSession', id);
    return restore && restoreReport(restore, (await vms.ofRestore(restore)) ?? '');
  }
  if (isOfType(id, 'BackupJobSession')) {
    const run = await facts(veeam, context, 'BackupJobSession', id);
    return run && failedRunReport(run, (await vms.ofBackup(undefined, run)) ?? '', rest.now());
  }
  const task = await facts(veeam, context, 'BackupTaskSession', id);
  if (task === undefined) return undefined;
  const run =
    task.jobSessionUid === undefined ? undefined : await facts(veeam, context, 'BackupJobSession', task.jobSessionUid);
  const vmRef = (await vms.ofBackup(task, run)) ?? '';
  return backupReport(task, run, vmRef, rest.now(), config.restorePointTimeoutSeconds);
}
