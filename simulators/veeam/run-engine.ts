/**
 * Runs of jobs: a run makes a task session and a restore point for each machine, and ends with the job's retention.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { type VCenterLink, VCenterRefusal, VCenterUnavailable } from '../hypervisor/vcenter-link.ts';
import { type SimulatedClock, isWaitOver } from '../kit/clock.ts';
import type { Outcomes } from './outcomes.ts';
import { expiredPoints } from './retention.ts';
import type { Settings } from './settings.ts';
import {
  type Configuration,
  type Ending,
  type Include,
  type Job,
  type JobSession,
  type MachineRef,
  type Result,
  type State,
  type TaskSession,
  sameRef,
} from './state.ts';

const GIB = 1024 ** 3;
/** How long a run goes on trying to reach the vCenter before it fails. */
const VCENTER_PATIENCE_MS = 60_000;
const STOP_TAKES_MS = 300;
const STARTING_MS = 1000;

export type RunEngine = ReturnType<typeof createRunEngine>;
type Snapshot = { include: Include; configuration?: Configuration; problem: string };

const worst = (results: readonly Result[]): Result =>
  results.includes('Failed') ? 'Failed' : results.includes('Warning') ? 'Warning' : 'Success';

export function createRunEngine(
  state: State,
  clock: SimulatedClock,
  link: VCenterLink,
  outcomes: Outcomes,
  settings: () => Settings,
) {
  const open = new Set(
    state.jobSessions
      .values()
      .filter(({ ended }) => ended === undefined)
      .map(({ id }) => id),
  );
  const bySession = new Map<string, string[]>();
  const noteTask = ({ id, jobSessionId }: TaskSession): void =>
    void bySession.set(jobSessionId, [...(bySession.get(jobSessionId) ?? []), id]);
  for (const task of state.taskSessions.values()) noteTask(task);
  const tasksOf = (sessionId: string): TaskSession[] =>
    (bySession.get(sessionId) ?? []).map((id) => state.taskSessions.get(id) as TaskSession);
  const openSessions = (): JobSession[] => [...open].map((id) => state.jobSessions.get(id) as JobSession);
  const runningOf = (jobId: string): JobSession | undefined =>
    openSessions().find((session) => session.jobId === jobId);

  const snapshot = async (include: Include): Promise<Snapshot> => {
    const notFound = { include, problem: `Object "${include.name}" was not found.` };
    const machine = include.ref.rootId === state.identity().rootId ? await link.machine(include.ref.moref) : undefined;
    if (machine === undefined) return notFound;
    const contents = await link.contents(machine.moref);
    const disks = machine.disks
      .filter(({ attached }) => attached)
      .map(({ label, sizeGiB }) => ({ label, sizeGiB, content: contents[label] ?? '' }));
    const { name, cpu, memoryMiB, annotation } = machine;
    const configuration = { name, cpu, memoryMiB, disks, ...(annotation === undefined ? {} : { annotation }) };
    return { include, configuration, problem: '' };
  };

  const backupOf = (job: Job, ref: MachineRef, vmName: string) => {
    const known = state.backups.values().find((backup) => backup.jobId === job.id && sameRef(backup.ref, ref));
    if (known !== undefined) return known;
    const id = randomUUID();
    return state.backups.put(id, { id, jobId: job.id, jobName: job.name, vmName, ref, repositoryId: job.repositoryId });
  };

  const addTask = (session: JobSession, job: Job, { include, configuration, problem }: Snapshot): void => {
    const { ref } = include;
    const vmName = configuration?.name ?? include.name;
    const now = clock.now();
    const totalSize = (configuration?.disks ?? []).reduce((sum, { sizeGiB }) => sum + sizeGiB * GIB, 0);
    const outcome = outcomes.take('backup', vmName, job.name);
    let pointId: string | undefined;
    if (configuration !== undefined) {
      const backup = backupOf(job, ref, vmName);
      pointId = randomUUID();
      state.points.put(pointId, {
        id: pointId,
        restorePointId: randomUUID(),
        fileId: randomUUID(),
        backupId: backup.id,
        jobId: job.id,
        jobSessionId: session.id,
        vmName,
        ref,
        createdAt: now,
        isFull: !state.points.values().some((point) => point.backupId === backup.id),
        sizeBytes: totalSize,
        configuration,
      });
    }
    const task: TaskSession = {
      id: randomUUID(),
      jobSessionId: session.id,
      vmName,
      ref,
      createdAt: now,
      totalSize,
      ...(pointId === undefined ? {} : { pointId }),
      ...(outcome === undefined ? {} : { outcome }),
      ...(problem === '' ? {} : { ended: { at: now, result: 'Failed', reason: problem } }),
    };
    state.taskSessions.put(task.id, task);
    noteTask(task);
  };

  const endTask = (task: TaskSession, result: Result, reason: string): TaskSession => {
    const { pointId, ...rest } = task;
    const ended = { at: clock.now(), result, reason };
    const point = state.points.get(pointId ?? '');
    if (point === undefined || result === 'Failed') {
      // What a failed run has written so far is no restore point.
      if (point !== undefined) state.points.delete(point.id);
      return state.taskSessions.put(task.id, { ...rest, ended });
    }
    state.points.put(point.id, { ...point, readyAt: clock.now() + settings().pointReadySeconds * 1000 });
    return state.taskSessions.put(task.id, { ...task, ended });
  };

  const endSession = (session: JobSession, ending: Omit<Ending, 'at'>): void => {
    open.delete(session.id);
    state.jobSessions.put(session.id, { ...session, ended: { at: clock.now(), ...ending } });
  };

  const planRetry = (session: JobSession, job: Job, failed: readonly TaskSession[]): void => {
    const { RetrySpecified, RetryTimes, RetryTimeout } = job.schedule.RetryOptions;
    const isWanted = failed.length > 0 && session.isScheduled && RetrySpecified && session.attempt < RetryTimes;
    if (!isWanted && job.retry === undefined) return;
    const refs = failed.map(({ ref }) => ref);
    const retry = { at: clock.now() + RetryTimeout * 60_000, attempt: session.attempt + 1, refs };
    state.jobs.put(job.id, { ...job, retry: isWanted ? retry : undefined });
  };

  const finish = (session: JobSession): void => {
    const tasks = tasksOf(session.id).map((task) =>
      task.ended === undefined ? endTask(task, task.outcome?.result ?? 'Success', task.outcome?.reason ?? '') : task,
    );
    const failed = tasks.filter(({ ended }) => ended?.result === 'Failed');
    const result = tasks.length === 0 ? 'Failed' : worst(tasks.map(({ ended }) => ended?.result ?? 'Success'));
    const job = state.jobs.get(session.jobId);
    if (job !== undefined) {
      planRetry(session, job, failed);
      const inUse = new Set(
        state.restoreSessions
          .values()
          .filter(({ ended }) => ended === undefined)
          .map(({ pointId }) => pointId),
      );
      for (const { ref } of tasks.filter(({ ended }) => ended?.result !== 'Failed')) {
        const chain = state.points.values().filter((point) => point.jobId === job.id && sameRef(point.ref, ref));
        const expired = new Set(expiredPoints(chain, job.retention, clock.now(), inUse).map(({ id }) => id));
        for (const id of expired) state.points.delete(id);
        // The oldest that is left takes the full backup over.
        const oldest = chain.find(({ id }) => !expired.has(id));
        const current = state.points.get(oldest?.id ?? '');
        if (current !== undefined && !current.isFull) state.points.put(current.id, { ...current, isFull: true });
      }
    }
    endSession(session, { result, reason: tasks.find(({ ended }) => ended?.reason)?.ended?.reason ?? '' });
  };

  const begin = async (session: JobSession): Promise<void> => {
    const job = state.jobs.get(session.jobId);
    if (job === undefined) return endSession(session, { result: 'Failed', reason: 'The job was deleted.' });
    const { refs } = session;
    const chosen = job.includes.filter(({ ref }) => refs === undefined || refs.some((one) => sameRef(one, ref)));
    const snapshots: Snapshot[] = [];
    for (const include of chosen) {
      try {
        snapshots.push(await snapshot(include));
      } catch (error) {
        const isRefusal = error instanceof VCenterRefusal;
        if (!isRefusal && !(error instanceof VCenterUnavailable)) throw error;
        // Asked again at the next beat.
        if (!isRefusal && clock.now() < session.workAt + VCENTER_PATIENCE_MS) return undefined;
        snapshots.push({ include, problem: error.message });
      }
    }
    // Read again: a stop may have arrived while the vCenter was asked. A server that died here has some tasks already.
    const current = state.jobSessions.get(session.id) ?? session;
    const known = tasksOf(session.id);
    for (const one of snapshots) {
      if (!known.some(({ ref }) => sameRef(ref, one.include.ref))) addTask(current, job, one);
    }
    state.jobSessions.put(session.id, { ...current, hasBegun: true });
  };

  const step = async (session: JobSession): Promise<void> => {
    const now = clock.now();
    if (session.stopAskedAt !== undefined) {
      if (!isWaitOver(now, session.stopAskedAt, session.stopAskedAt + STOP_TAKES_MS)) return;
      const reason = 'The operation was canceled by the user.';
      for (const task of tasksOf(session.id)) if (task.ended === undefined) endTask(task, 'Failed', reason);
      endSession(session, { result: 'Failed', reason });
    } else if (!session.hasBegun) {
      if (isWaitOver(now, session.createdAt, session.workAt)) await begin(session);
    } else if (isWaitOver(now, session.createdAt, session.endAt)) finish(session);
  };

  return {
    runningOf,
    tasksOf,
    /** Starts a run; undefined while another run of the job has not ended. */
    start(
      job: Job,
      how: { attempt?: number; isScheduled?: boolean; refs?: MachineRef[] } = {},
    ): JobSession | undefined {
      if (runningOf(job.id) !== undefined) return undefined;
      const now = clock.now();
      const total = settings().backupSeconds * 1000;
      const { attempt = 0, isScheduled = false, refs } = how;
      const session: JobSession = {
        id: randomUUID(),
        jobId: job.id,
        jobName: job.name,
        createdAt: now,
        workAt: now + Math.min(STARTING_MS, total / 10),
        endAt: now + total,
        attempt,
        isScheduled,
        hasBegun: false,
        ...(refs === undefined ? {} : { refs }),
      };
      open.add(session.id);
      return state.jobSessions.put(session.id, session);
    },
    /** False when the run has ended already. */
    stop(session: JobSession): boolean {
      if (session.ended !== undefined) return false;
      if (session.stopAskedAt === undefined) {
        state.jobSessions.put(session.id, { ...session, stopAskedAt: clock.now() });
      }
      return true;
    },
    /** Carries on the runs whose time has come. */
    async advance(): Promise<void> {
      await Promise.all(openSessions().map(step));
    },
  };
}
