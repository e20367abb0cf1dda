import type { RunningSimulator } from './server.ts';

/**
 * The life of a simulator as a process of its own: says where it listens in one JSON line on stdout, ends on SIGTERM,
 * SIGINT, and when the parent that started it with an IPC channel is gone.
 */
export async function runProgram(start: () => Promise<RunningSimulator>): Promise<void> {
  const simulator = await start();
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    simulator.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.on('disconnect', end);
  console.log(JSON.stringify({ listening: simulator.url }));
}
