/**
 * The whole system as `npm start` runs it, on ports and in a folder of its own, spoken to over HTTP alone.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../bin/temporal-server.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A part of the system that a test can kill. */
export type Part = 'worker' | 'api' | 'database' | 'temporal' | 'everything';

/** Where the parts of a system are; the same after it was started again. */
export interface Ports {
  readonly api: number;
  readonly temporal: number;
  readonly ui: number;
  readonly hypervisor: number;
  readonly avamar: number;
  readonly veeam: number;
}

/** Ports that are free now. */
export async function freePorts(): Promise<Ports> {
  const found = new Set<number>();
  while (found.size < 6) found.add(await freePort());
  const [api, temporal, ui, hypervisor, avamar, veeam] = found;
  if (!api || !temporal || !ui || !hypervisor || !avamar || !veeam) throw new Error('no free ports');
  return { api, temporal, ui, hypervisor, avamar, veeam };
}

export class RunningSystem {
  readonly dataDir: string;
  readonly ports: Ports;
  readonly #environment: Record<string, string>;
  #process: ChildProcess | undefined;
  #output = '';

  constructor(dataDir: string, ports: Ports, environment: Record<string, string> = {}) {
    this.dataDir = dataDir;
    this.ports = ports;
    this.#environment = environment;
  }

  get url(): string {
    return `http://127.0.0.1:${this.ports.api}`;
  }

  /** What `npm start` has printed. */
  get output(): string {
    return this.#output;
  }

  /** Starts it and waits until it says how to use it. */
  async start(): Promise<void> {
    const { api, temporal, ui, hypervisor, avamar, veeam } = this.ports;
    this.#output = '';
    const child = spawn(process.execPath, ['bin/holdfast.mjs', 'up'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        HOLDFAST_DATA_DIR: this.dataDir,
        PORT: String(api),
        HOLDFAST_TEMPORAL_PORT: String(temporal),
        HOLDFAST_TEMPORAL_UI_PORT: String(ui),
        HOLDFAST_HYPERVISOR_SIMULATOR_PORT: String(hypervisor),
        HOLDFAST_AVAMAR_SIMULATOR_PORT: String(avamar),
        HOLDFAST_VEEAM_SIMULATOR_PORT: String(veeam),
        ...this.#environment,
      },
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
    const exited = once(child, 'exit').then(() => {
      throw new Error(`npm start ended:\n${this.#output}`);
    });
    await Promise.race([exited, this.#says('Reset ')]);
    exited.catch(() => {});
  }

  async #says(text: string): Promise<void> {
    while (!this.#output.includes(text)) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  /** Ctrl-C, and wait until everything has stopped. */
  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGINT');
    await exit;
  }

  /** `kill -9`; `everything` kills the supervisor and what it runs. */
  async kill(part: Part): Promise<void> {
    const pids = this.pidsOf(part);
    if (pids.length === 0) throw new Error(`${part} does not run`);
    const gone = part === 'everything' && this.#process !== undefined ? once(this.#process, 'exit') : undefined;
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await gone;
  }

  /** The processes of a part that run now, for signals of other kinds. */
  pidsOf(part: Part): number[] {
    const firstNumber = (file: string) => Number(readFileSync(join(this.dataDir, file), 'utf8').split('\n')[0]);
    const ours = descendantsOf(this.#process?.pid ?? -1);
    switch (part) {
      case 'database':
        return [firstNumber('pg/postmaster.pid')];
      case 'everything':
        return [this.#process?.pid ?? -1, ...ours.map((process) => process.pid)];
      case 'temporal':
        return ours.filter((process) => process.command.includes('server start-dev')).map((process) => process.pid);
      default:
        return ours
          .filter((process) => process.command.includes('bin/holdfast.') && process.command.endsWith(` ${part}`))
          .map((process) => process.pid);
    }
  }

  /** Stops it and removes its folder. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

function descendantsOf(root: number): Process[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n');
  const all = lines.map((line): Process => {
    const [, pid, parent, command] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return { pid: Number(pid), parent: Number(parent), command: (command ?? '').trim() };
  });
  const below = (pid: number): Process[] =>
    all.filter((process) => process.parent === pid).flatMap((process) => [process, ...below(process.pid)]);
  return below(root);
}
