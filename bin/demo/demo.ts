/**
 * `npm run demo`: plays the main job against a running Holdfast, over HTTP alone.
 * @module
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import type { Config } from '../../temporal.config.ts';
import { ApiProblem } from './api-client.ts';
import { type Address, apiUrl, type Connections, connect, developmentTokens, requireApi } from './connect.ts';
import { OperationSummary } from './documents.ts';
import { type Inventory, readInventory } from './inventory.ts';
import { backUp } from './scenes/back-up.ts';
import { checkManagers, deployAll } from './scenes/deploy.ts';
import { bringForward, expire, turnClockBack } from './scenes/expire.ts';
import { prepare } from './scenes/prepare.ts';
import { refuseSchedule } from './scenes/refuse-schedule.ts';
import { restoreAsNew } from './scenes/restore-as-new.ts';
import { restore, restoreDeployedAnew } from './scenes/restore.ts';
import { keepLookout, scheduledBackups, SEEN_BACKUP_SECONDS } from './scenes/scheduled-backup.ts';
import { openScreen } from './screen.ts';
import { type Findings, type Story, StoryEnds, type Surprise } from './story.ts';
import { timeline } from './timeline.ts';
import { revokeTokens } from './tokens.ts';
import { duration } from './wording.ts';

const INVENTORY = fileURLToPath(new URL('../../docs/examples/inventory.yaml', import.meta.url));
/** How long the ending may take, and how long after Ctrl-C. Milliseconds. */
const ENDING_LIMIT_MS = 120_000;
const INTERRUPTED_LIMIT_MS = 10_000;

/**
 * Plays the demo. `process.exitCode` becomes 1 when something was not as expected, 130 after Ctrl-C.
 * @param argv `--inventory <file>`: another inventory than docs/examples/inventory.yaml.
 * @throws StartError when Holdfast does not run, or the inventory cannot be used.
 */
export async function runDemo(argv: string[], config: Config): Promise<void> {
  const { values } = parseArgs({ args: argv, options: { inventory: { type: 'string', default: INVENTORY } } });
  const inventory = readInventory(values.inventory);
  await requireApi(apiUrl(config));
  const screen = openScreen(process.stdout);
  const address: Address = { config, tokens: developmentTokens(config), screen };

  const interruption = new AbortController();
  const { signal } = interruption;
  const interrupt = () => interruption.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const begun = Date.now();
  const findings: Findings = { looked: 0, surprises: [] };
  screen.title('Holdfast: virtual machines together with their backups');
  screen.line(`the API on ${apiUrl(config)}, the Temporal UI on ${config.temporal.uiUrl}`);
  try {
    await play({ screen, inventory, findings, ...connect(address, signal) });
  } catch (error) {
    if (!signal.aborted) findings.surprises.push(toSurprise(error, config));
  }
  // A second Ctrl-C ends the demo at once.
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);

  // What was interrupted can no longer be used for the ending.
  const ending = connect(address, AbortSignal.timeout(signal.aborted ? INTERRUPTED_LIMIT_MS : ENDING_LIMIT_MS));
  if (!signal.aborted) await showTimeline(address, ending, inventory, begun);
  await tidyUp(address, ending, inventory);
  if (signal.aborted) {
    screen.title('Interrupted. Operations that had begun go on; the next demo waits for them.');
    process.exitCode = 130;
  } else close(address, findings, Date.now() - begun);
}

/** The scenes, in order. */
async function play(story: Story): Promise<void> {
  await story.avamar.removeFaults();
  await story.veeam.putClockRight();
  await revokeTokens(story.admin, story.inventory.enterprises);
  const cast = await prepare(story);
  await checkManagers(story, cast);
  await story.veeam.runsTake(SEEN_BACKUP_SECONDS);
  await turnClockBack(story, cast);
  const deployedAt = await deployAll(story, cast);
  const backups = await backUp(story, cast);
  const lookout = await keepLookout(story, cast);
  try {
    await restore(story, cast, backups);
    await restoreDeployedAnew(story, cast, backups);
    await refuseSchedule(story, cast);
    const byVeeam = await scheduledBackups(story, cast, lookout, deployedAt);
    const onAvamar = { actor: cast.expiring, result: backups.expiring };
    const at = await bringForward(story, onAvamar);
    await restoreAsNew(story, cast, byVeeam.restored, backups.marker);
    await expire(story, { ...onAvamar, at }, { actor: cast.onVeeam.expiring, result: byVeeam.expiring });
  } finally {
    await lookout.stop();
  }
}

function toSurprise(error: unknown, { dataDir }: Config): Surprise {
  const what = error instanceof Error ? error.message : String(error);
  if (error instanceof StoryEnds) return { what, look: error.look };
  if (error instanceof ApiProblem && error.status === 401) {
    return { what, look: `${join(dataDir, 'dev-tokens.json')}: are its tokens those of the npm start that runs?` };
  }
  return { what, look: join(dataDir, 'logs') };
}

/** Every operation since the demo began, on the machines of the inventory. */
async function showTimeline({ screen }: Address, { admin }: Connections, inventory: Inventory, begun: number) {
  const names = inventory.datacenters.flatMap(({ virtualMachines }) => virtualMachines.map(({ name }) => name));
  try {
    const page = await admin.get('/v1/operations?limit=200', z.object({ items: z.array(OperationSummary) }));
    const ours = page.items.filter(({ vm, createdAt }) => names.includes(vm.name) && Date.parse(createdAt) >= begun);
    if (ours.length === 0) return;
    screen.title('What was done: when it began, how it ended, how long it took, and its page in the Temporal UI');
    for (const { line, link } of timeline(ours)) {
      screen.line(line);
      screen.aside(`  ${link}`);
    }
  } catch (error) {
    screen.line(`The timeline cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Takes back what the demo changed for itself: faults, the simulators' pace, Veeam's clock, tokens. */
async function tidyUp({ screen, config }: Address, { admin, avamar, veeam }: Connections, inventory: Inventory) {
  screen.line();
  try {
    await avamar.removeFaults();
    const { backupSeconds } = config.simulators;
    await avamar.backupsTake(backupSeconds);
    await veeam.runsTake(backupSeconds);
    await veeam.restoresTake(backupSeconds);
    await veeam.putClockRight();
    const revoked = await revokeTokens(admin, inventory.enterprises);
    screen.aside(
      `The demo's ${revoked} tokens are revoked. The virtual machines stay; the next demo begins anew with them.`,
    );
  } catch (error) {
    screen.line(`Not everything could be tidied up: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function close({ screen, config }: Address, { looked, surprises }: Findings, milliseconds: number): void {
  const took = duration(milliseconds);
  if (surprises.length === 0) {
    screen.title(`All ${looked} facts were as they should be, in ${took}.`);
    screen.line(`Every operation can be read step by step on ${config.temporal.uiUrl}`);
    screen.line(`The API that the demo used is described at ${apiUrl(config)}/openapi.json`);
    return;
  }
  screen.title(`Not everything was as it should be (${looked} facts in ${took}):`);
  for (const { what, look } of surprises) {
    screen.line(what);
    screen.aside(`  look at ${look}`);
  }
  process.exitCode = 1;
}
