/**
 * VMs that a simulated Veeam protects, their runs and their restore points.
 * @module
 */
import { expect } from 'vitest';
import type {
  BackupSystem,
  ProtectedVm,
  ResultReport,
  SessionReport,
} from '../../../activities/backup-systems/backup-system.ts';
import type { ScheduleRef } from '../../../db/columns.ts';
import { daily, ended, openContext, type SeenJob, scheduleOf, until, type VeeamWorld } from './veeam-world.ts';

const context = openContext();
export const NIGHTLY = scheduleOf([daily('03:30')]);

export interface Protected {
  readonly vm: ProtectedVm;
  readonly ref: ScheduleRef;
  readonly job: SeenJob;
}

export async function protect(world: VeeamWorld, name: string): Promise<Protected> {
  const vm = await world.deploy(name);
  const ref = await world.connect().applySchedule(context, vm, NIGHTLY, undefined);
  return { vm: { ...vm, vendorRefs: [ref.vmRef] }, ref, job: (await world.job(vm)) as SeenJob };
}

/** The newest session of the VM; `undefined` while there is none. */
async function newest(world: VeeamWorld, veeam: BackupSystem, { ref }: Protected): Promise<SessionReport | undefined> {
  const reports = await veeam.sessionsSince(context, new Date((await world.now()).getTime() - 60_000));
  return reports.findLast(({ vendorVmRef }) => vendorVmRef === ref.vmRef);
}

/** Begins a run of the job as its schedule would, and waits until its session is there. */
export async function begin(world: VeeamWorld, one: Protected, veeam: BackupSystem): Promise<SessionReport> {
  const before = (await newest(world, veeam, one))?.vendorSessionId;
  await world.startJob(one.job.id);
  return (await until(
    () => newest(world, veeam, one),
    (report) => report !== undefined && report.vendorSessionId !== before,
  )) as SessionReport;
}

/** Runs the job as its schedule would, and waits for the end of its session. */
export async function run(world: VeeamWorld, one: Protected, veeam: BackupSystem): Promise<SessionReport> {
  return ended(veeam, context, (await begin(world, one, veeam)).vendorSessionId);
}

export async function results(veeam: BackupSystem, vmRef: string, since = new Date(0)): Promise<ResultReport[]> {
  const found: ResultReport[] = [];
  for await (const result of veeam.listResults(context, [{ vendorVmRef: vmRef, schedule: NIGHTLY }], since)) {
    found.push(result);
  }
  return found;
}

export const copyOf = (ref: ScheduleRef, vendorId: string) => ({ vendorVmRef: ref.vmRef, vendorId, location: 'Local' });

/** The one job that has the VM in it, with nothing of anybody else. */
export async function onlyJob(world: VeeamWorld, vm: { readonly id: string }, reference: string): Promise<SeenJob> {
  const jobs = (await world.jobs()).filter(
    ({ name, includes }) => name.includes(vm.id) || includes.some(({ ref }) => ref === reference),
  );
  expect(jobs).toHaveLength(1);
  const [job] = jobs as [SeenJob];
  expect(job).toMatchObject({ scheduleEnabled: true, scheduleConfigured: true, includes: [{ ref: reference }] });
  expect(job.includes).toHaveLength(1);
  expect(job.schedule['OptionsDaily']).toMatchObject({ Enabled: true, Kind: 'Everyday' });
  return job;
}
