/**
 * What `npm start` is made of: a part is brought up, watched, brought up again when it dies, and stopped.
 * @module
 */
import type { Ending } from '../../db/guarded-process.ts';

/** A part that runs. */
export interface RunningPart {
  /** What is said about it: `embedded PostgreSQL 18.4, .data/pg (kept between runs)`. */
  readonly summary: string;
  /** Resolves when it has ended by itself or was stopped; never for what belongs to somebody else. */
  readonly ended: Promise<Ending>;
  /** Stops it in order. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
  /** It belongs to somebody else: stopping leaves it alone, and nothing is said about it. */
  readonly foreign?: true;
}

/** Something that runs elsewhere and that we only use. */
export function foreignPart(summary: string): RunningPart {
  return {
    summary,
    ended: new Promise(() => undefined),
    stop: () => Promise.resolve(),
    kill: () => undefined,
    foreign: true,
  };
}

/** Why `npm start` cannot go on, in a sentence for people; no stack trace helps with it. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
