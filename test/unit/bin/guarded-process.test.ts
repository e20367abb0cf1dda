import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { commandOf, spawnGuarded } from '../../../db/guarded-process.ts';

const MODULE = JSON.stringify(new URL('../../../db/guarded-process.ts', import.meta.url).href);

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not happen within 15 s');
    await sleep(20);
  }
}

/** A parent that starts the given shell command under guard, is killed as soon as it has said the child's id. */
async function killParentOf(command: string, graceSeconds: number): Promise<number> {
  const program = `import { spawnGuarded } from ${MODULE};
    const child = spawnGuarded({ command: 'sh', args: ['-c', ${JSON.stringify(command)}], stopSignal: 'SIGTERM', graceSeconds: ${graceSeconds} });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
  parent.kill('SIGKILL');
  return Number(line);
}

test('a child ends when its parent is killed', { timeout: 20_000 }, async () => {
  const child = await killParentOf('exec sleep 60', 10);
  await until(() => !commandOf(child));
});

test('a child that ignores the stop signal is killed after its grace', { timeout: 20_000 }, async () => {
  const child = await killParentOf("trap '' TERM; while :; do sleep 0.1; done", 1);
  await until(() => !commandOf(child));
});

test('stop asks first and insists after the grace', { timeout: 20_000 }, async () => {
  const polite = spawnGuarded({ command: 'sleep', args: ['60'], stopSignal: 'SIGTERM', graceSeconds: 10 });
  await polite.stop();
  expect(await polite.ended).toBe('SIGTERM');

  const folder = mkdtempSync(join(tmpdir(), 'holdfast-guard-'));
  const deaf = join(folder, 'deaf');
  const stubborn = spawnGuarded({
    command: 'sh',
    args: ['-c', `trap '' TERM; touch ${deaf}; while :; do sleep 0.1; done`],
    stopSignal: 'SIGTERM',
    graceSeconds: 1,
  });
  await until(() => existsSync(deaf));
  await stubborn.stop();
  expect(await stubborn.ended).toBe('SIGKILL');
  rmSync(folder, { recursive: true });
});

test('a command that cannot be started ends, and stopping it then is no error', async () => {
  const nothing = spawnGuarded({ command: '/no/such/program', args: [], stopSignal: 'SIGTERM', graceSeconds: 1 });
  expect(await nothing.wait()).toBe('exit code 127');
  await nothing.stop();
  nothing.kill();
});
