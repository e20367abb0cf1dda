/**
 * Looks after the parts: brings them up in order, up again when they die, and down in reverse order.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningPart, StartError } from './part.ts';
import type { Terminal } from './terminal.ts';

const DEATHS_LIMIT = 5;
const DEATHS_WINDOW_MS = 60_000;
const LONGEST_PAUSE_MS = 8_000;
/** A part that was killed is gone within moments; nobody who pressed Ctrl-C twice waits longer. */
const KILL_LIMIT_MS = 3_000;

/** How a part is brought up, the first time and every time after. */
export interface PartPlan {
  readonly name: string;
  readonly logFile?: string;
  /** @param signal aborted when everything is being stopped; the start should give up then. */
  start(signal: AbortSignal): Promise<RunningPart>;
}

interface WatchedPart {
  readonly plan: PartPlan;
  running: RunningPart | undefined;
}

/** Holds the running parts. One for each `npm start`. */
export class Supervisor {
  readonly #terminal: Terminal;
  readonly #firstPauseMs: number;
  readonly #stopping = new AbortController();
  readonly #parts: WatchedPart[] = [];
  readonly #watches: Promise<void>[] = [];
  readonly #failure = Promise.withResolvers<StartError>();

  /** @param firstPauseMs the pause before the first restart; it doubles with each death within a minute. */
  constructor(terminal: Terminal, firstPauseMs = 500) {
    this.#terminal = terminal;
    this.#firstPauseMs = firstPauseMs;
  }

  /** Aborted when the parts are being stopped. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Resolves with the reason when a part has died too often. */
  get failed(): Promise<StartError> {
    return this.#failure.promise;
  }

  /**
   * Brings a part up, says so, and watches it from then on.
   * @throws what its start throws.
   */
  async bring(plan: PartPlan): Promise<void> {
    this.signal.throwIfAborted();
    const started = performance.now();
    const part: WatchedPart = { plan, running: undefined };
    this.#parts.push(part);
    const running = await plan.start(this.signal);
    part.running = running;
    this.signal.throwIfAborted();
    this.#terminal.line(plan.name, running.summary, performance.now() - started);
    if (running.foreign !== true) this.#watches.push(this.#watch(part, running));
  }

  /** From now on nothing is started; what is starting gives up. */
  abort(): void {
    this.#stopping.abort();
  }

  /** Stops all parts, the last one first, with a line for each. Also after a start that failed half way. */
  async stop(): Promise<void> {
    this.abort();
    await Promise.all(this.#watches);
    for (const { plan, running } of this.#parts.toReversed()) {
      if (running === undefined || running.foreign === true) continue;
      const started = performance.now();
      await running.stop();
      this.#terminal.line(plan.name, 'stopped', performance.now() - started);
    }
  }

  /** Ends all parts at once. */
  async kill(): Promise<void> {
    this.abort();
    const running = this.#parts.flatMap((part) => part.running ?? []).filter((part) => part.foreign !== true);
    for (const part of running) part.kill();
    await Promise.race([Promise.all(running.map((part) => part.ended)), sleep(KILL_LIMIT_MS)]);
  }

  async #watch(part: WatchedPart, running: RunningPart): Promise<void> {
    const { name, logFile } = part.plan;
    const stopped = new Promise<string>((resolve) => {
      this.signal.addEventListener('abort', () => resolve('everything is being stopped'), { once: true });
    });
    const log = logFile === undefined ? '' : ` (log: ${logFile})`;
    let deaths: number[] = [];
    let reason = await Promise.race([running.ended, stopped]);
    while (!this.signal.aborted) {
      part.running = undefined;
      deaths = [...deaths, Date.now()].filter((at) => at > Date.now() - DEATHS_WINDOW_MS);
      if (deaths.length >= DEATHS_LIMIT) {
        this.#failure.resolve(
          new StartError(`The part "${name}" died ${DEATHS_LIMIT} times within a minute (${reason})${log}.`),
        );
        return;
      }
      const pause = Math.min(this.#firstPauseMs * 2 ** (deaths.length - 1), LONGEST_PAUSE_MS);
      this.#terminal.warning(name, `died (${reason}), starting it again in ${pause / 1_000} s${log}`);
      await Promise.race([sleep(pause), stopped]);
      if (this.signal.aborted) return;
      try {
        const started = performance.now();
        part.running = await part.plan.start(this.signal);
        this.#terminal.line(name, `${part.running.summary}, again`, performance.now() - started);
        reason = await Promise.race([part.running.ended, stopped]);
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
    }
  }
}
