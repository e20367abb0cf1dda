/**
 * Replays histories with the workflow code of today, without a server.
 * @module
 */
import { fileURLToPath } from 'node:url';
import {
  bundleWorkflowCode,
  DefaultLogger,
  type InjectedSinks,
  type ReplayHistoriesIterable,
  Runtime,
  Worker,
} from '@temporalio/worker';
import { afterAll, beforeAll, expect } from 'vitest';
import type { History } from './history.ts';
import type { Command, TranscriptSinks } from './transcript.ts';

/** What a replay showed. */
export interface Replayed {
  /** What the workflow asked for, in order. */
  readonly commands: readonly Command[];
  /** Why the code does not follow the history; `undefined` when it does. */
  readonly error: Error | undefined;
}

export interface Replay {
  readonly replay: (history: History) => Promise<Replayed>;
  /** Fails unless the workflow does what the history tells, in its order and with its inputs. */
  readonly follows: (history: History) => Promise<void>;
  /** Why the code cannot carry on a recorded run; `undefined` when it can. */
  readonly replayRecorded: (history: unknown) => Promise<Error | undefined>;
}

type Replayable = ReplayHistoriesIterable extends Iterable<infer T> | AsyncIterable<infer T> ? T : never;

/**
 * A replay worker for all tests of a file: making one takes about a second, a replay a few milliseconds.
 * @param workflowsPath other workflows than those of today.
 */
export function withReplay(workflowsPath: string = path('../../workflows/index.ts')): Replay {
  const histories = new TransformStream<Replayable, Replayable>();
  const writer = histories.writable.getWriter();
  let results: ReturnType<typeof Worker.runReplayHistories>;
  let commands: Command[] = [];

  beforeAll(async () => {
    const logger = new DefaultLogger('ERROR', () => {});
    Runtime.install({ logger, telemetryOptions: { logging: { forward: {}, filter: 'OFF' } } });
    const workflowBundle = await bundleWorkflowCode({
      workflowsPath,
      workflowInterceptorModules: [path('./transcript.ts')],
      logger,
    });
    const sinks: InjectedSinks<TranscriptSinks> = {
      transcript: { gave: { fn: (_info, command) => void commands.push(command), callDuringReplay: true } },
    };
    results = Worker.runReplayHistories({ workflowBundle, sinks }, histories.readable);
  });

  afterAll(async () => {
    await writer.close();
    await results.next();
  });

  async function replayRecorded(history: unknown): Promise<Error | undefined> {
    const [{ value }] = await Promise.all([results.next(), writer.write({ workflowId: 'replayed', history })]);
    return value.error;
  }

  async function replay({ events }: History): Promise<Replayed> {
    commands = [];
    const error = await replayRecorded({ events });
    return { commands, error };
  }

  return {
    replay,
    replayRecorded,
    follows: async (history) => {
      expect(await replay(history)).toEqual({ commands: history.commands, error: undefined });
    },
  };
}

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
