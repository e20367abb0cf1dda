/**
 * Whether Veeam holds exactly what the database says.
 * @module
 */
import type { Records } from './records.ts';
import type { VeeamState } from './simulator-state.ts';

/** Each line says where they differ; none: they agree. */
export function disagreementsInVeeam(records: Records, veeam: VeeamState): string[] {
  return [...jobsIn(records, veeam), ...sessionsIn(records, veeam), ...pointsIn(records, veeam)];
}

/** The restores of the VM that were begun. */
export const restoresIn = (records: Records, veeam: VeeamState): number => ofVm(records, veeam.restoreSessions).length;

/** Those of the VM, also of its earlier lives. */
function ofVm<T extends { readonly ref: { readonly moref: string } }>({ references }: Records, all: readonly T[]): T[] {
  const morefs = new Set(references.filter((one) => one.system === 'HYPERVISOR').map((one) => one.ref));
  return all.filter(({ ref }) => morefs.has(ref.moref));
}

function jobsIn({ vm, schedules, references }: Records, { jobs }: VeeamState): string[] {
  const own = jobs.filter((job) => job.name.includes(vm.id) || job.description.includes(vm.id));
  const here = schedules.map(({ ref }) => String(ref['jobUid']).split(':').at(-1));
  const moref = references.find((one) => one.system === 'HYPERVISOR' && one.valid_to === null)?.ref;
  const problems = [
    ...own
      .filter(({ id }) => !here.includes(id))
      .map(({ name, id }) => `Veeam has the job ${name} (${id}), unknown here`),
    ...here.filter((id) => !own.some((job) => job.id === id)).map((id) => `Veeam lacks the job ${id}`),
  ];
  for (const { name, description, scheduleEnabled, includes } of own) {
    if (!scheduleEnabled) problems.push(`the job ${name} is switched off`);
    if (!description.includes(`[holdfast vm=${vm.id}]`)) problems.push(`the job ${name} does not bear the mark`);
    const members = includes.map(({ ref }) => ref.moref).join();
    if (members !== moref) problems.push(`the job ${name} backs up ${members}, not ${moref}`);
  }
  for (const { schedule, refresh_at: refreshAt } of schedules) {
    if (refreshAt !== null && refreshAt.getTime() < Date.now()) problems.push('the refresh of a schedule is due');
    for (const policy of schedule.policies) {
      for (const { schedule: options, retention } of own) {
        const { Enabled, Time } = options.OptionsDaily;
        const at = policy.backups[0]?.time ?? '';
        if (!Enabled || !Time.startsWith(at)) problems.push(`${policy.code} at ${at}, there at ${Time}`);
        const kept = `${retention.RetainDaysToKeep} ${retention.RetainLimitType}`;
        if (kept !== `${policy.retentionDays} Days`) problems.push(`${policy.code} is kept for ${kept}`);
      }
    }
  }
  return problems;
}

const SESSION_STATES = { Success: 'SUCCEEDED', Warning: 'WARNING', Failed: 'FAILED' } as const;

function sessionsIn(records: Records, { taskSessions, restoreSessions }: VeeamState): string[] {
  const problems: string[] = [];
  const there = [
    ...ofVm(records, taskSessions).map(({ id, ended }) => ({ id: `urn:veeam:BackupTaskSession:${id}`, ended })),
    ...ofVm(records, restoreSessions).map(({ id, ended }) => ({ id: `urn:veeam:RestoreSession:${id}`, ended })),
  ];
  for (const { id, ended } of there) {
    const sessions = records.sessions.filter((session) => session.vendor_session_id === id);
    const state = ended === undefined ? 'RUNNING' : SESSION_STATES[ended.result];
    if (sessions.length !== 1) problems.push(`${id} (${state}) has ${sessions.length} sessions here`);
    else if (sessions[0]?.state !== state) problems.push(`session ${id} is ${sessions[0]?.state}, there ${state}`);
  }
  for (const session of records.sessions) {
    const isThere = there.some(({ id }) => id === session.vendor_session_id);
    if (!isThere) problems.push(`session ${session.vendor_session_id} is not in the backup system`);
  }
  const counts = [
    ['backup', records.results.length, ofVm(records, taskSessions).length],
    ['restore', records.restores.length, ofVm(records, restoreSessions).length],
  ] as const;
  for (const [what, here, count] of counts) {
    if (here !== count) problems.push(`${here} ${what} results of ${count} ${what}s`);
  }
  return problems;
}

function pointsIn(records: Records, { points }: VeeamState): string[] {
  const there = ofVm(records, points)
    .filter(({ readyAt }) => readyAt !== undefined)
    .map(({ id }) => `urn:veeam:VmRestorePoint:${id}`);
  const here = records.copies.filter((copy) => copy.state === 'LISTED').map((copy) => copy.vendor_id);
  return [
    ...there.filter((id) => !here.includes(id)).map((id) => `the backup ${id} is not listed here`),
    ...here.filter((id) => !there.includes(id)).map((id) => `the backup ${id} is listed here and not there`),
  ];
}
