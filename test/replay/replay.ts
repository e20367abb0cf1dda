/**
 * Replays histories with the workflow code of today, without a server.
 * @module
 */
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, type InjectedSinks, Runtime, Worker } from '@temporalio/worker';
import type { History } from './history.ts';
import type { Command, TranscriptSinks } from './transcript.ts';

const logger = new DefaultLogger('ERROR', () => {});

/** What a replay showed. */
export interface Replayed {
  /** What the workflow asked for, in order. */
  readonly commands: readonly Command[];
  /** Why the code does not follow the history; `undefined` when it does. */
  readonly error: Error | undefined;
}

/** Bundles the workflows, once for all histories of a test file; about a second. */
export async function openReplay(): Promise<(history: History) => Promise<Replayed>> {
  Runtime.install({ logger, telemetryOptions: { logging: { forward: {}, filter: 'OFF' } } });
  const workflowBundle = await bundleWorkflowCode({
    workflowsPath: path('../../workflows/index.ts'),
    workflowInterceptorModules: [path('./transcript.ts')],
    logger,
  });
  return async (history) => {
    const commands: Command[] = [];
    const sinks: InjectedSinks<TranscriptSinks> = {
      transcript: { gave: { fn: (_info, command) => void commands.push(command), callDuringReplay: true } },
    };
    try {
      await Worker.runReplayHistory({ workflowBundle, sinks }, { events: history.events }, 'replayed');
      return { commands, error: undefined };
    } catch (error) {
      return { commands, error: error as Error };
    }
  };
}

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
