#!/usr/bin/env node
// Plain JavaScript that Node 20 can read: it finds a Node that runs TypeScript as it is, or says what is missing.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(import.meta.url);
const vendored = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url));

if (process.features.typescript) {
  await import('./holdfast.ts');
} else if (existsSync(vendored) && realpathSync(vendored) !== realpathSync(process.execPath)) {
  // The channel lets the child notice when this process is killed.
  const child = spawn(vendored, [script, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // A terminal sends Ctrl-C to both; the child decides what it means.
  process.on('SIGINT', () => undefined);
  child.on('exit', (code) => process.exit(code ?? 1));
} else {
  console.error(
    `Holdfast needs Node 24, or 22.18 or newer; this is Node ${process.versions.node}. ` +
      'Run npm ci, which brings one on Linux, or install it from https://nodejs.org.',
  );
  process.exitCode = 1;
}
