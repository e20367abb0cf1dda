/**
 * Scene 7: the backup system refuses a schedule, and the whole deploy is undone.
 * @module
 */
import { REFUSAL } from '../avamar-console.ts';
import { ended, readVm, succeeded } from '../operations.ts';
import { type Cast, expect, type Story } from '../story.ts';

/** Scene 7. */
export async function refuseSchedule(story: Story, { refused: actor }: Cast): Promise<void> {
  const { screen, platform, avamar, hypervisor } = story;
  screen.scene(
    7,
    'No machine without its backup',
    'The backup system refuses the schedule: the deploy is undone, step by step.',
  );
  const path = `/v1/virtual-machines/${actor.id}`;
  await succeeded(story, [await platform.begin(`${path}/undeploy`)]);
  await avamar.refuseNextSchedule();
  screen.aside(`the backup system will refuse the next schedule: "${REFUSAL}"`);

  const [operation] = await ended(story, [await platform.begin(`${path}/deploy`)]);
  if (operation === undefined) return;
  screen.table([
    ['step', 'forward', 'undone'],
    ...operation.steps.map(({ name, state, compensation }) => [name, state, compensation?.state ?? '']),
  ]);
  const { state, error, residue, links } = operation;
  screen.line(`${error?.code ?? 'no error'}: ${error?.message ?? ''}`);
  const told = `${error?.message} ${error?.vendorMessage}`.includes(REFUSAL);
  expect(
    story,
    state === 'ROLLED_BACK' && residue.length === 0,
    `the deploy ended ${state} and left nothing behind`,
    links.temporalUi,
  );
  expect(story, told, "its error has the backup system's own words", links.temporalUi);
  const vm = await readVm(story, actor);
  expect(story, vm.state === 'NOT_ALLOCATED', `${actor.name} is ${vm.state}`, path);
  const machines = await hypervisor.machinesOf(actor);
  const schedules = await avamar.schedulesOf(actor.id);
  const gone = machines.length === 0 && schedules.length === 0;
  expect(
    story,
    gone,
    `machines in the hypervisor: ${machines.length}; schedules in the backup system: ${schedules.length}`,
    avamar.endpoint,
  );

  screen.line();
  await avamar.removeFaults();
  screen.aside('the backup system takes schedules again');
  await succeeded(story, [await platform.begin(`${path}/deploy`)]);
}
