/**
 * Scenes 2 and 3: the backup manager is checked, and the virtual machines are deployed together with their schedules.
 * @module
 */
import { ManagerCheck } from '../documents.ts';
import { readVm, succeeded } from '../operations.ts';
import { actors, type Cast, expect, type Story } from '../story.ts';
import { saveDraft } from './prepare.ts';

/** Scene 2. */
export async function checkManager(story: Story, { managerId }: Cast): Promise<void> {
  const { screen, admin } = story;
  screen.scene(2, 'Can the backup system be used?', 'A check asks it and changes nothing in it.');
  const look = `GET /v1/backup-managers/${managerId}`;
  const check = await admin.post(`/v1/backup-managers/${managerId}/check`, undefined, ManagerCheck);
  screen.table([
    ['reachable', check.reachable ? 'yes' : 'no'],
    ['version', check.version ?? 'unknown'],
    ['calls itself', check.identity ?? 'unknown'],
    ['its clock', check.clockSkewSeconds === null ? 'unknown' : `${check.clockSkewSeconds} s from ours`],
    ...check.policies.map(({ code, ok, message }) => [
      `policy ${code}`,
      ok ? 'can be served' : (message ?? 'cannot be served'),
    ]),
  ]);
  for (const { code, message } of check.problems) screen.line(`${code}: ${message}`);
  expect(
    story,
    check.reachable && check.problems.every(({ code }) => code === 'SAME_BACKUP_SYSTEM'),
    'the backup system can be used',
    look,
  );
}

/** Scene 3. @returns the time at which the backup system shall back the fourth VM up by itself, in its policy's zone. */
export async function deployAll(story: Story, cast: Cast): Promise<string | undefined> {
  const { screen, platform, avamar } = story;
  screen.scene(3, 'Deploy', 'The platform deploys four virtual machines side by side, each with its backup schedule.');
  const { scheduled } = cast;
  const time = await saveDraft(scheduled);
  screen.aside(
    `${scheduled.name} chose its own time, ${time} in ${scheduled.policy.timeZone}: it will be backed up shortly`,
  );

  const begun = actors(cast).map(({ id }) => platform.begin(`/v1/virtual-machines/${id}/deploy`));
  await succeeded(story, await Promise.all(begun));

  screen.line();
  screen.aside('What the administrator of the backup system sees now:');
  const rows: string[][] = [];
  let complete = true;
  for (const actor of actors(cast)) {
    const { state, hypervisorRef } = await readVm(story, actor);
    const schedules = await avamar.schedulesOf(actor.id);
    complete &&= state === 'ON' && schedules.length === 1 && schedules[0]?.members === 1;
    for (const { when, nextRun } of schedules) {
      rows.push([actor.name, hypervisorRef ?? '', when, `next ${nextRun}`]);
    }
  }
  screen.table(rows);
  expect(story, complete, 'each virtual machine is on and has one schedule with itself as the one member', avamar.url);
  return time;
}
