/**
 * Scene 9: Veeam restores a virtual machine as a new machine, and there is one machine afterwards, with its schedule.
 * @module
 */
import type { BackupResult, Operation } from '../documents.ts';
import { readVm, succeeded } from '../operations.ts';
import { type Actor, type Cast, expect, type Story } from '../story.ts';
import { markerDisk } from './back-up.ts';
import { restoreInto } from './restore.ts';

/** Scene 9. @param marker what was on the disk when it was backed up. */
export async function restoreAsNew(
  story: Story,
  { onVeeam: { restored: actor } }: Cast,
  result: BackupResult,
  marker: string,
): Promise<void> {
  const { screen, hypervisor, platform, veeam } = story;
  screen.scene(
    9,
    'Restore, where the backup system makes a new machine',
    'Veeam restores no machine in place: what it makes becomes the virtual machine, and the old one goes.',
  );
  await veeam.restoresTake(RESTORE_SECONDS);
  await hypervisor.writeDisk(actor.id, markerDisk(actor), 'deleted by somebody who was tired');
  screen.line(`${actor.name} reads: ${await hypervisor.readDisk(actor.id, markerDisk(actor))}`);
  const before = (await readVm(story, actor)).hypervisorRef;
  showSteps(story, await restoreInto(story, actor, result, marker));
  await oneIsLeft(story, actor, before);

  screen.line();
  screen.aside('The machine is undeployed and deployed anew: Veeam restores the old one beside it.');
  const path = `/v1/virtual-machines/${actor.id}`;
  await succeeded(story, [await platform.begin(`${path}/undeploy`)]);
  await succeeded(story, [await platform.begin(`${path}/deploy`)]);
  const anew = (await readVm(story, actor)).hypervisorRef;
  showSteps(story, await restoreInto(story, actor, result, marker));
  await oneIsLeft(story, actor, anew);
}

const RESTORE_SECONDS = 8;

function showSteps({ screen }: Story, { steps }: Operation): void {
  screen.table(steps.map(({ name, state, reason }) => [name, state, reason ?? '']));
}

async function oneIsLeft(story: Story, actor: Actor, before: string | null): Promise<void> {
  const { hypervisor, veeam } = story;
  const { hypervisorRef: now } = await readVm(story, actor);
  const machines = await hypervisor.machinesOf(actor);
  const [machine] = machines;
  expect(
    story,
    machines.length === 1 && machine?.moref === now && now !== before,
    `it was ${before} and is ${now}; of its machines the hypervisor has ${machines.map(({ moref }) => moref).join(', ')} alone`,
    `${hypervisor.url}/vms`,
  );
  const jobs = await veeam.jobsOf(actor.id);
  const members = jobs.flatMap((job) => job.members);
  expect(
    story,
    jobs.length === 1 && jobs[0]?.enabled === true && members.length === 1 && members[0] === now,
    `its job in Veeam is enabled and holds ${members.join(', ')}`,
    veeam.endpoint,
  );
}
