/**
 * Scenes 2 and 3: the backup managers are checked, and the virtual machines are deployed together with their schedules.
 * @module
 */
import { type Manager, ManagerCheck } from '../documents.ts';
import { readVm, succeeded } from '../operations.ts';
import { type Actor, actors, type Cast, expect, type Story } from '../story.ts';
import { saveDraft } from './prepare.ts';

/** Scene 2. */
export async function checkManagers(story: Story, { managers }: Cast): Promise<void> {
  story.screen.scene(2, 'Can the backup systems be used?', 'A check asks them and changes nothing in them.');
  for (const manager of managers) await checkManager(story, manager);
}

async function checkManager(story: Story, { id, name }: Manager): Promise<void> {
  const { screen, admin } = story;
  const check = await admin.post(`/v1/backup-managers/${id}/check`, undefined, ManagerCheck);
  screen.table([
    [name, check.reachable ? 'can be reached' : 'cannot be reached'],
    ['version', check.version ?? 'unknown'],
    ['calls itself', check.identity ?? 'unknown'],
    ['its clock', check.clockSkewSeconds === null ? 'unknown' : `${check.clockSkewSeconds} s from ours`],
    ...check.policies.map(({ code, ok, message }) => [
      `policy ${code}`,
      ok ? 'can be served' : (message ?? 'cannot be served'),
    ]),
  ]);
  for (const { code, message } of check.problems) screen.line(`${code}: ${message}`);
  const usable =
    check.reachable &&
    check.policies.length > 0 &&
    check.policies.every(({ ok }) => ok) &&
    check.problems.every(({ code }) => code === 'SAME_BACKUP_SYSTEM');
  expect(story, usable, `${name} can be used, and its policies can be served`, `GET /v1/backup-managers/${id}`);
}

/** When the virtual machines were deployed, by the clock of each backup system. */
export interface DeployedAt {
  readonly avamar: Date;
  readonly veeam: Date;
}

/** Scene 3. */
export async function deployAll(story: Story, cast: Cast): Promise<DeployedAt> {
  const { screen, platform, veeam } = story;
  screen.scene(3, 'Deploy', 'The platform deploys six virtual machines side by side, each with its backup schedule.');
  const { scheduled, onVeeam } = cast;
  const deployedAt = { avamar: new Date(), veeam: await veeam.now() };
  const times = [await chooseTime(scheduled, deployedAt.avamar)];
  for (const actor of [onVeeam.restored, onVeeam.expiring]) times.push(await chooseTime(actor, deployedAt.veeam));
  screen.aside(`${times.join(', ')}: they will be backed up shortly`);

  const begun = actors(cast).map(({ id }) => platform.begin(`/v1/virtual-machines/${id}/deploy`));
  await succeeded(story, await Promise.all(begun));

  await showAvamar(story, cast);
  await showVeeam(story, cast, deployedAt.veeam);
  return deployedAt;
}

async function chooseTime(actor: Actor, now: Date): Promise<string> {
  return `${actor.name} chose ${await saveDraft(actor, now)} in ${actor.policy.timeZone}`;
}

async function showAvamar(story: Story, { restored, expiring, refused, scheduled }: Cast): Promise<void> {
  const { screen, avamar } = story;
  screen.line();
  screen.aside('What the administrator of Avamar sees now:');
  const rows: string[][] = [];
  let complete = true;
  for (const actor of [restored, expiring, refused, scheduled]) {
    const { state, hypervisorRef } = await readVm(story, actor);
    const schedules = await avamar.schedulesOf(actor.id);
    complete &&= state === 'ON' && schedules.length === 1 && schedules[0]?.members === 1;
    for (const { when, nextRun } of schedules) {
      rows.push([actor.name, hypervisorRef ?? '', when, `next ${nextRun}`]);
    }
  }
  screen.table(rows);
  const look = avamar.endpoint;
  expect(story, complete, 'each virtual machine is on and has one schedule with itself as the one member', look);
}

async function showVeeam(story: Story, { onVeeam }: Cast, now: Date): Promise<void> {
  const { screen, veeam } = story;
  screen.line();
  screen.aside('What the administrator of Veeam sees now:');
  const rows: string[][] = [];
  let complete = true;
  for (const actor of [onVeeam.restored, onVeeam.expiring]) {
    const { state, hypervisorRef, backupPolicies } = await readVm(story, actor);
    const jobs = await veeam.jobsOf(actor.id);
    const [job] = jobs;
    const time = backupPolicies[0]?.configurations[0]?.time;
    const isNext = job?.nextRun !== null && inZone(job?.nextRun, actor) === time;
    const holdsIt = jobs.length === 1 && job?.members.length === 1 && job.members[0] === hypervisorRef;
    complete &&= state === 'ON' && holdsIt && job.enabled && isNext && (job.nextRun ?? now) > now;
    for (const { name, enabled, members, when, nextRun } of jobs) {
      const next = nextRun === null ? 'never' : `${inZone(nextRun, actor)} in ${actor.policy.timeZone}`;
      rows.push([name, enabled ? 'enabled' : 'disabled', `holds ${members.join(', ')}`, when, `next ${next}`]);
    }
  }
  screen.table(rows);
  screen.aside(`The code of the policy, ${onVeeam.restored.policy.code}, names the job that they were cloned from.`);
  const what = 'each virtual machine has a job of its own, enabled: it holds that machine alone and runs at its time';
  expect(story, complete, what, veeam.endpoint);
}

/** `14:07` where the policy of the virtual machine is at home. */
function inZone(at: Date | null | undefined, { policy }: Actor): string {
  if (at === null || at === undefined) return '';
  return at.toLocaleTimeString('en-GB', { timeZone: policy.timeZone, hour: '2-digit', minute: '2-digit' });
}
