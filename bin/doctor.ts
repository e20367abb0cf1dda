/**
 * `npm run doctor`: would `npm start` work here, and if not, what is missing.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { findPrograms, postgresAccount } from '../db/embedded-programs.ts';
import { embeddedUrlIfRunning, serverVersion } from '../db/embedded.ts';
import type { Config } from '../temporal.config.ts';
import { clusterDir, reasonOf, withoutPassword } from './parts/database.ts';
import { lockHolder } from './parts/lock.ts';
import { neededPorts, portProblems } from './parts/ports.ts';
import { temporalAddress, temporalProblem } from './parts/temporal.ts';
import { locateTemporal, TEMPORAL_CLI_VERSION, temporalVersion } from './parts/temporal-program.ts';
import { openTerminal, type Terminal } from './parts/terminal.ts';

const NEEDED_BYTES = 1024 ** 3;
const DOWNLOAD_SITE = 'https://temporal.download';

/** What an examination found: a line to show, and what stands in the way of `npm start`. */
interface Finding {
  readonly name: string;
  readonly text: string;
  readonly problem?: string;
}

/**
 * Prints versions, paths, ports, free disk and what can be reached.
 * @returns 0 when `npm start` would work or runs already, else 1 after saying what to do.
 */
export async function doctor(config: Config, output: NodeJS.WriteStream): Promise<number> {
  const terminal = openTerminal(output);
  const runningAs = lockHolder(config.dataDir);
  const findings = [
    ...versions(),
    ...folders(config),
    await database(config),
    await temporal(config, runningAs !== undefined),
    ...(await ports(config, runningAs)),
  ];
  for (const { name, text, problem } of findings) {
    if (problem === undefined) terminal.line(name, text);
    else terminal.warning(name, text);
  }
  return conclude(
    terminal,
    runningAs,
    findings.flatMap(({ problem }) => problem ?? []),
  );
}

function conclude(terminal: Terminal, runningAs: number | undefined, problems: readonly string[]): number {
  terminal.text();
  if (problems.length === 0) {
    terminal.text(runningAs === undefined ? 'npm start will work.' : `Holdfast is running (pid ${runningAs}).`);
    return 0;
  }
  terminal.text(
    runningAs === undefined ? 'npm start will not work yet:' : `Holdfast is running (pid ${runningAs}), but:`,
  );
  for (const problem of problems) terminal.text(`- ${problem}`);
  return 1;
}

function versions(): Finding[] {
  const npm = spawnSync('npm', ['--version'], { encoding: 'utf8' });
  const holdfast = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return [
    { name: 'Holdfast', text: holdfast.version },
    { name: 'Node', text: `${process.versions.node}, ${process.execPath}` },
    { name: 'npm', text: npm.status === 0 ? npm.stdout.trim() : 'not found (only needed to install)' },
  ];
}

function folders({ dataDir, temporal: { cacheDir } }: Config): Finding[] {
  return [
    { name: 'data', ...folder(dataDir, 'HOLDFAST_DATA_DIR') },
    { name: 'cache', ...folder(cacheDir, 'XDG_CACHE_HOME') },
  ];
}

function folder(path: string, variable: string): Omit<Finding, 'name'> {
  let existing = path;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = statfsSync(existing);
  const text = `${path}, ${((bavail * bsize) / 1024 ** 3).toFixed(1)} GB free`;
  try {
    accessSync(existing, constants.W_OK);
  } catch {
    return { text, problem: `${existing} cannot be written to: set ${variable} to another folder.` };
  }
  if (bavail * bsize >= NEEDED_BYTES) return { text };
  return { text, problem: `There is less than 1 GB free for ${path}: make room, or set ${variable} to another disk.` };
}

async function database(config: Config): Promise<Finding> {
  const name = 'PostgreSQL';
  const running = config.databaseUrl ?? embeddedUrlIfRunning(clusterDir(config.dataDir));
  if (running !== undefined) {
    const shown = withoutPassword(running);
    try {
      return { name, text: `${await serverVersion(running)}, reached at ${shown}` };
    } catch (error) {
      const problem = `PostgreSQL at ${shown} cannot be reached: ${reasonOf(error)}. Check DATABASE_URL.`;
      return { name, text: `not reached at ${shown}`, problem };
    }
  }
  try {
    const { postgres } = findPrograms(postgresAccount(clusterDir(config.dataDir)));
    const answer = spawnSync(postgres, ['--version'], { encoding: 'utf8' });
    const version = /\d+\.\d+/.exec(answer.stdout ?? '')?.[0];
    if (version !== undefined) return { name, text: `${version} embedded, ${postgres}` };
    const said = answer.error?.message ?? answer.stderr.trim();
    return {
      name,
      text: 'embedded, does not run',
      problem: `The embedded PostgreSQL does not run here (${said}): set DATABASE_URL to a PostgreSQL of your own.`,
    };
  } catch (error) {
    return { name, text: 'none', problem: reasonOf(error) };
  }
}

async function temporal(config: Config, running: boolean): Promise<Finding> {
  const name = 'Temporal';
  if (config.temporal.address !== undefined || running) {
    const problem = await temporalProblem(config.temporal);
    const address = temporalAddress(config.temporal);
    return problem === undefined
      ? { name, text: `reached at ${address}, namespace ${config.temporal.namespace}` }
      : { name, text: `not reached at ${address}`, problem };
  }
  try {
    const program = locateTemporal(config.temporal);
    if (program !== undefined) {
      return { name, text: `CLI ${temporalVersion(program.path)}, from ${program.source}: ${program.path}` };
    }
  } catch (error) {
    return { name, text: 'TEMPORAL_CLI_PATH cannot be used', problem: reasonOf(error) };
  }
  return { name, ...(await howToGetTemporal()) };
}

async function howToGetTemporal(): Promise<Omit<Finding, 'name'>> {
  const go = spawnSync('go', ['version'], { encoding: 'utf8' });
  if (go.status === 0) {
    const text = `none yet: npm start downloads CLI ${TEMPORAL_CLI_VERSION}, or builds it (about 3 minutes) with ${go.stdout.trim()}`;
    return { text };
  }
  try {
    await fetch(DOWNLOAD_SITE, { method: 'HEAD', signal: AbortSignal.timeout(5_000) });
    return { text: `none yet: npm start downloads CLI ${TEMPORAL_CLI_VERSION}` };
  } catch {
    return {
      text: 'none',
      problem:
        `There is no Temporal CLI, no Go to build one, and ${DOWNLOAD_SITE} cannot be reached: install the CLI ` +
        '(https://docs.temporal.io/cli) or Go (https://go.dev/dl), or set TEMPORAL_ADDRESS to a server of your own.',
    };
  }
}

async function ports(config: Config, runningAs: number | undefined): Promise<Finding[]> {
  const findings: Finding[] = [];
  const problems = runningAs === undefined ? await portProblems(neededPorts(config)) : new Map<string, string>();
  for (const needed of neededPorts(config)) {
    const problem = problems.get(needed.variable);
    const taken = runningAs === undefined ? 'cannot be had' : 'in use by Holdfast';
    const state = problem === undefined && runningAs === undefined ? 'free' : taken;
    const text = `${state}: ${needed.purpose} (${needed.variable})`;
    findings.push({ name: `port ${needed.port}`, text, ...(problem === undefined ? {} : { problem }) });
  }
  return findings;
}
