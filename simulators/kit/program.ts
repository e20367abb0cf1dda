import { readFileSync } from 'node:fs';
import type { Certificate, RunningSimulator } from './server.ts';

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

/** The certificate in two PEM files, as an option to spread; nothing where neither file is named. */
export function certificateFrom(keyFile?: string, certFile?: string): { certificate?: Certificate } {
  if (keyFile === undefined && certFile === undefined) return {};
  if (keyFile === undefined || certFile === undefined) throw new Error('--tls-key and --tls-cert go together.');
  return { certificate: { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') } };
}
