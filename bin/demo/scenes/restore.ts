/**
 * Scenes 5 and 6: data are lost and come back, into the same virtual machine and into one that was deployed anew.
 * @module
 */
import type { BackupResult, Operation } from '../documents.ts';
import { readVm, succeeded } from '../operations.ts';
import { type Actor, type Cast, expect, type Story } from '../story.ts';
import { type Backups, markerDisk } from './back-up.ts';

/** Scene 5. */
export async function restore(story: Story, { restored: actor }: Cast, { marker, restored }: Backups): Promise<void> {
  const { screen, hypervisor } = story;
  screen.scene(
    5,
    'Restore',
    'The data are destroyed and restored. Avamar restores into a machine that is switched off.',
  );
  await hypervisor.writeDisk(actor.id, markerDisk(actor), 'encrypted by somebody who wants money');
  screen.line(`${actor.name} reads: ${await hypervisor.readDisk(actor.id, markerDisk(actor))}`);
  await restoreInto(story, actor, restored, marker);
}

/** Scene 6. */
export async function restoreDeployedAnew(story: Story, { restored: actor }: Cast, backups: Backups): Promise<void> {
  const { screen, platform, avamar } = story;
  screen.scene(
    6,
    'Deploy anew, and restore the old backup',
    'An undeployed machine is gone from the hypervisor; its backups stay, and belong to the new one too.',
  );
  const before = (await readVm(story, actor)).hypervisorRef;
  await succeeded(story, [await platform.begin(`/v1/virtual-machines/${actor.id}/undeploy`)]);
  await succeeded(story, [await platform.begin(`/v1/virtual-machines/${actor.id}/deploy`)]);
  const after = (await readVm(story, actor)).hypervisorRef;
  expect(
    story,
    before !== after,
    `the hypervisor called it ${before}, and the new one ${after}`,
    `GET /v1/virtual-machines/${actor.id}`,
  );
  await restoreInto(story, actor, backups.restored, backups.marker);

  const machines = await story.hypervisor.machinesOf(actor);
  const only = machines.length === 1 && machines[0]?.moref === after;
  expect(
    story,
    only,
    `the hypervisor has one machine named ${actor.name}: ${machines.map(({ moref }) => moref).join(', ')}`,
    `${story.hypervisor.url}/vms`,
  );
  const schedules = await avamar.schedulesOf(actor.id);
  expect(
    story,
    schedules.length === 1,
    `the backup system has one schedule for it: ${schedules.map(({ when }) => when).join('; ')}`,
    avamar.endpoint,
  );
}

/** Switches the virtual machine off, restores the backup as a user, switches it on and reads. @returns the restore. */
export async function restoreInto(
  story: Story,
  actor: Actor,
  result: BackupResult,
  marker: string,
): Promise<Operation> {
  const { screen, hypervisor, platform } = story;
  const path = `/v1/virtual-machines/${actor.id}`;
  await succeeded(story, [await platform.begin(`${path}/power-off`)]);
  const begun = await actor.tenant.user.begin(`/v1/backup-results/${result.id}/restores`);
  screen.aside(`a user of ${actor.tenant.name} restores the backup ${result.name}`);
  const [restore = begun] = await succeeded(story, [begun]);
  await succeeded(story, [await platform.begin(`${path}/power-on`)]);
  const read = await hypervisor.readDisk(actor.id, markerDisk(actor));
  expect(story, read === marker, `${actor.name} reads: ${read}`, begun.links.temporalUi);
  return restore;
}
