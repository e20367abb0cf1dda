/**
 * Calls to the port as the suite makes them, and the schedules that it asks for.
 * @module
 */
import {
  type BackupSystem,
  type CopyRef,
  type ListedVm,
  type ProtectedVm,
  type ResultReport,
  type SessionReport,
} from '../../activities/backup-systems/backup-system.ts';
import { rememberedWrites } from '../named-writes.ts';
import type { NamingContext } from '../../activities/calls.ts';
import type { BackupPluginType } from '../../domain/plugin-types.ts';
import type { BackupSchedule, ScheduledBackup, ScheduledPolicy } from '../../domain/schedules.ts';
import type { PluginUnderTest } from './plugin-under-test.ts';

export const BEGINNING = new Date(0);

/** A context that permits everything; `writes` counts the permissions that were asked for. */
export function openContext(): NamingContext & { writes: number } {
  return {
    signal: new AbortController().signal,
    progress: () => {},
    writes: 0,
    namedWrites: rememberedWrites,
    async beforeWrite() {
      this.writes += 1;
    },
  };
}

/** A context whose permissions end: the write of that number is not permitted any more. */
export function fencedContext(write: number): NamingContext {
  let asked = 0;
  return {
    ...openContext(),
    async beforeWrite() {
      asked += 1;
      if (asked >= write) throw new Error('FENCED');
    },
  };
}

export function backupOf(subtype: ScheduledBackup['subtype'], more: Partial<ScheduledBackup> = {}): ScheduledBackup {
  return { type: 'COMPLETE', subtype, time: null, days: null, disks: null, ...more };
}

export function scheduleOf(
  code: string,
  backups: readonly ScheduledBackup[],
  more: Partial<ScheduledPolicy> = {},
): BackupSchedule {
  const policy = { policyId: 'p1', code, name: code, replication: false, timeZone: 'Europe/Madrid', retentionDays: 7 };
  return { managerId: 'm1', policies: [{ ...policy, backups, ...more }] };
}

/** A schedule with as much in it as the plugin can do, and another for the same VM with everything different. */
export function twoSchedules(type: BackupPluginType, code: string): readonly [BackupSchedule, BackupSchedule] {
  const { maxBackupsPerPolicy, diskSelection } = type.constraints;
  const more = maxBackupsPerPolicy === 1 ? [] : [backupOf('MONTHLY', { time: '04:00' })];
  const disks = diskSelection ? ['Hard disk 2'] : null;
  return [
    scheduleOf(code, [backupOf('DAILY', { time: '23:00' }), ...more]),
    scheduleOf(code, [backupOf('WEEKLY_PLANNED', { time: '01:30', days: ['MONDAY', 'FRIDAY'], disks })], {
      retentionDays: 30,
      timeZone: 'America/New_York',
    }),
  ];
}

/** Asks until the answer is as hoped for, letting the backup system's time pass where that can be done. */
export async function until<T>(
  world: Pick<PluginUnderTest, 'patienceMs' | 'advance'>,
  ask: () => Promise<T>,
  isSo: (answer: T) => boolean,
): Promise<T> {
  const deadline = performance.now() + world.patienceMs;
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    if (performance.now() > deadline) {
      throw new Error(`Still ${JSON.stringify(answer)} after ${world.patienceMs / 1_000} s`);
    }
    await world.advance?.(1);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The session once it has ended. */
export async function ended(world: PluginUnderTest, system: BackupSystem, id: string): Promise<SessionReport> {
  const look = async () => (await system.sessions(openContext(), [id]))[0];
  return (await until(world, look, (report) => report !== undefined && report.endedAt !== null)) as SessionReport;
}

/** Everything that the plugin lists for the VM. */
export async function resultsOf(
  system: BackupSystem,
  vms: readonly ListedVm[],
  since: Date = BEGINNING,
): Promise<ResultReport[]> {
  const found: ResultReport[] = [];
  for await (const one of system.listResults(openContext(), vms, since)) found.push(one);
  return found;
}

export function copyOf(result: ResultReport): CopyRef {
  const [copy] = result.copies;
  if (copy === undefined) throw new Error(`${result.name} has no copy`);
  return { vendorVmRef: result.vendorVmRef, vendorId: copy.vendorId, location: copy.location };
}

/** For how many days the first copy is kept; `null`: nobody knows. */
export function keptDays(result: Pick<ResultReport, 'createdAt' | 'copies'> | undefined): number | null {
  const expiresAt = result?.copies[0]?.expiresAt;
  if (result === undefined || !expiresAt) return null;
  return Math.round((expiresAt.getTime() - result.createdAt.getTime()) / 86_400_000);
}

/** A VM with its schedule, and what the backup system calls it. */
export interface Scheduled {
  readonly vm: ProtectedVm;
  readonly schedule: BackupSchedule;
  readonly ref: Awaited<ReturnType<BackupSystem['applySchedule']>>;
}

/** A VM that was deployed with the first of the two schedules. */
export async function scheduled(world: PluginUnderTest, type: BackupPluginType, name: string): Promise<Scheduled> {
  const vm = await world.machines.deploy(name);
  const [schedule] = twoSchedules(type, world.policyCode);
  const ref = await world.connect().applySchedule(openContext(), vm, schedule, undefined);
  return { vm: { ...vm, vendorRefs: [ref.vmRef] }, schedule, ref };
}

/** The newest backup of a VM, begun by hand and waited for. */
export async function backedUp(world: PluginUnderTest, { vm, schedule, ref }: Scheduled): Promise<ResultReport> {
  const system = world.connect();
  const listed = [{ vendorVmRef: ref.vmRef, schedule }];
  const before = (await resultsOf(system, listed)).map(({ vendorBackupId }) => vendorBackupId);
  await world.console.startBackup(vm);
  const isNew = ({ vendorBackupId }: ResultReport) => !before.includes(vendorBackupId);
  const found = await until(
    world,
    async () => (await resultsOf(system, listed)).find(isNew),
    (one) => one !== undefined,
  );
  return found as ResultReport;
}
