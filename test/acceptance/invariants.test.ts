import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, inject, test } from 'vitest';

const ENTRY = fileURLToPath(new URL('../../bin/holdfast.mjs', import.meta.url));

test('the doctor finds the running system and every invariant holds; the metrics say the same', async () => {
  const { url, dataDir, ports } = inject('system');
  const child = spawn(process.execPath, [ENTRY, 'doctor', '--invariants'], {
    env: { ...process.env, HOLDFAST_DATA_DIR: dataDir, HOLDFAST_TEMPORAL_PORT: String(ports.temporal) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect({ code: child.exitCode, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('Every invariant holds');

  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain('holdfast_up{part="database"} 1\nholdfast_up{part="temporal"} 1\n');
  const invariants = metrics.split('\n').filter((line) => line.startsWith('holdfast_invariant_broken{'));
  expect(invariants).toHaveLength(4);
  for (const line of invariants) expect(line).toMatch(/ 0$/);
});
