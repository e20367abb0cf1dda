/**
 * `npm run demo`: plays the main job against a running Holdfast, over HTTP alone.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import type { Config } from '../../temporal.config.ts';
import { StartError } from '../parts/part.ts';
import { apiFor } from './api-client.ts';
import { avamarConsole } from './avamar-console.ts';
import { OperationSummary } from './documents.ts';
import { serverAt } from './http.ts';
import { hypervisorView } from './hypervisor-view.ts';
import { readInventory } from './inventory.ts';
import { backUp } from './scenes/back-up.ts';
import { checkManager, deployAll } from './scenes/deploy.ts';
import { expire } from './scenes/expire.ts';
import { prepare } from './scenes/prepare.ts';
import { refuseSchedule } from './scenes/refuse-schedule.ts';
import { restore, restoreDeployedAnew } from './scenes/restore.ts';
import { keepLookout, scheduledBackup } from './scenes/scheduled-backup.ts';
import { openScreen } from './screen.ts';
import { type Story, StoryEnds, type Surprise } from './story.ts';
import { timeline } from './timeline.ts';
import { revokeTokens } from './tokens.ts';
import { duration } from './wording.ts';

const INVENTORY = fileURLToPath(new URL('../../docs/examples/inventory.yaml', import.meta.url));
/** How long the cleaning up after Ctrl-C may take. Milliseconds. */
const CLEAN_UP_LIMIT_MS = 10_000;

/**
 * Plays the demo. `process.exitCode` becomes 1 when something was not as expected, 130 after Ctrl-C.
 * @param argv `--inventory <file>`: another inventory than docs/examples/inventory.yaml.
 * @throws StartError when Holdfast does not run, or the inventory cannot be used.
 */
export async function runDemo(argv: string[], config: Config): Promise<void> {
  const { values } = parseArgs({ args: argv, options: { inventory: { type: 'string', default: INVENTORY } } });
  const inventory = readInventory(values.inventory);
  const url = apiUrl(config);
  await requireApi(url);
  const tokens = developmentTokens(config);

  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const begun = Date.now();
  const story = openStory(config, url, tokens, inventory, interrupted.signal);
  const { screen } = story;
  screen.title('Holdfast: virtual machines and their backups, as one');
  screen.line(`the API on ${url}, the Temporal UI on ${config.temporal.uiUrl}`);
  try {
    await play(story);
  } catch (error) {
    if (!interrupted.signal.aborted) story.surprises.push(toSurprise(error, config));
  }
  // From here on a second Ctrl-C ends the demo at once.
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  const cleaning = openStory(config, url, tokens, inventory, AbortSignal.timeout(CLEAN_UP_LIMIT_MS));
  if (interrupted.signal.aborted) screen.line('\ninterrupted');
  else await showTimeline(cleaning, begun);
  await cleanUp(cleaning);
  if (interrupted.signal.aborted) process.exitCode = 130;
  else close(story, begun);
}

/** The scenes, in order. */
async function play(story: Story): Promise<void> {
  await story.avamar.removeFaults();
  await revokeTokens(story.admin, story.inventory.enterprises);
  const cast = await prepare(story);
  await checkManager(story, cast);
  const since = new Date().toISOString();
  await deployAll(story, cast);
  const backups = await backUp(story, cast);
  const lookout = await keepLookout(story, cast);
  try {
    await restore(story, cast, backups);
    await restoreDeployedAnew(story, cast, backups);
    await refuseSchedule(story, cast);
    await scheduledBackup(story, cast, lookout, since);
  } finally {
    await lookout.stop();
  }
  await expire(story, cast, backups);
}

function openStory(
  config: Config,
  url: string,
  tokens: Tokens,
  inventory: Story['inventory'],
  signal: AbortSignal,
): Story {
  const screen = openScreen(process.stdout);
  const { hypervisorPort, avamarPort, backupSeconds } = config.simulators;
  const reach = (called: string, at: string) =>
    serverAt({ called, url: at, signal, onAway: (text) => screen.line(text) });
  const api = reach('The API', url);
  const apiAs = (token: string) => apiFor(api, token);
  return {
    screen,
    inventory,
    admin: apiAs(tokens.CLOUD_ADMIN),
    platform: apiAs(tokens.PLATFORM),
    apiAs,
    avamar: avamarConsole(reach('The Avamar simulator', `http://127.0.0.1:${avamarPort}`)),
    hypervisor: hypervisorView(reach('The hypervisor simulator', `http://127.0.0.1:${hypervisorPort}`)),
    surprises: [],
    signal,
    backupSeconds,
  };
}

/** A wildcard is where the API listens, not where it can be called. */
function apiUrl({ api: { host, port } }: Config): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

async function requireApi(url: string): Promise<void> {
  const alive = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
  if (!alive)
    throw new StartError(
      `Holdfast does not answer on ${url}: run npm start in another terminal, then npm run demo again.`,
    );
}

const DevelopmentTokens = z.array(z.object({ role: z.string(), token: z.string() }));
type Tokens = Readonly<Record<'CLOUD_ADMIN' | 'PLATFORM', string>>;

/** The tokens that `npm start` wrote for development. */
function developmentTokens({ dataDir }: Config): Tokens {
  const file = join(dataDir, 'dev-tokens.json');
  let tokens: z.infer<typeof DevelopmentTokens>;
  try {
    tokens = DevelopmentTokens.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartError(`The development tokens of npm start cannot be read from ${file}: ${why}`);
  }
  const of = (role: string) => {
    const found = tokens.find((token) => token.role === role);
    if (found === undefined) throw new StartError(`${file} has no ${role} token: stop npm start and start it again.`);
    return found.token;
  };
  return { CLOUD_ADMIN: of('CLOUD_ADMIN'), PLATFORM: of('PLATFORM') };
}

function toSurprise(error: unknown, { dataDir }: Config): Surprise {
  const what = error instanceof Error ? error.message : String(error);
  return { what, look: error instanceof StoryEnds ? error.look : join(dataDir, 'logs') };
}

/** Every operation since the demo began, on the machines of the inventory. */
async function showTimeline({ screen, admin, inventory }: Story, begun: number): Promise<void> {
  const names = inventory.virtualMachines.map(({ name }) => name);
  try {
    const page = await admin.get('/v1/operations?limit=200', z.object({ items: z.array(OperationSummary) }));
    const ours = page.items.filter(
      ({ vm, createdAt }) => names.includes(vm.name) && Date.parse(createdAt) >= begun - 1_000,
    );
    if (ours.length === 0) return;
    screen.title('What was done, and the page of each run in the Temporal UI');
    for (const { line, link } of timeline(ours)) {
      screen.line(line);
      screen.aside(`  ${link}`);
    }
  } catch (error) {
    screen.line(`The timeline cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Takes back what the demo changed for itself: faults, the simulator's pace, tokens. */
async function cleanUp({ screen, avamar, admin, inventory, backupSeconds }: Story): Promise<void> {
  try {
    await avamar.removeFaults();
    await avamar.backupsTake(backupSeconds);
    const revoked = await revokeTokens(admin, inventory.enterprises);
    screen.line();
    screen.aside(`${revoked} tokens revoked; the virtual machines stay deployed, the next demo begins anew with them`);
  } catch (error) {
    screen.line(`Not everything could be tidied up: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function close({ screen, surprises }: Story, begun: number): void {
  const took = duration(Date.now() - begun);
  if (surprises.length === 0) {
    screen.title(`Everything was as it should be, in ${took}.`);
    return;
  }
  screen.title(`Not everything was as it should be (${took}):`);
  for (const { what, look } of surprises) {
    screen.line(what);
    screen.aside(`  look at ${look}`);
  }
  process.exitCode = 1;
}
