import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { Supervisor } from '../../../bin/parts/supervisor.ts';
import { openTerminal } from '../../../bin/parts/terminal.ts';
import type { RunningPart } from '../../../bin/parts/part.ts';
import { isAlive, spawnGuarded } from '../../../db/guarded-process.ts';

/** What a reader of the terminal sees, and when a line with some text is there. */
function watchTerminal() {
  let shown = '';
  const waiting: { text: RegExp; resolve: () => void }[] = [];
  const output = new Writable({
    write(chunk, _encoding, done) {
      shown += String(chunk);
      for (const { text, resolve } of waiting) if (text.test(shown)) resolve();
      done();
    },
  }) as NodeJS.WriteStream;
  return {
    terminal: openTerminal(output),
    shown: () => shown,
    seen: (text: RegExp) =>
      new Promise<void>((resolve) => (text.test(shown) ? resolve() : waiting.push({ text, resolve }))),
  };
}

/** A real process as a part; `pids` tells all that were started. */
function processPart(name: string, command: string, pids: number[]) {
  return {
    name,
    start(): Promise<RunningPart> {
      const child = spawnGuarded({ command: 'sh', args: ['-c', command], stopSignal: 'SIGTERM', graceSeconds: 5 });
      pids.push(child.pid);
      return Promise.resolve({
        summary: `${name} is up`,
        ended: child.ended,
        stop: () => child.stop(),
        kill: () => child.kill(),
      });
    },
  };
}

test('parts stop in the reverse order of their start, each with a line', { timeout: 20_000 }, async () => {
  const { terminal, shown } = watchTerminal();
  const supervisor = new Supervisor(terminal, 1);
  const pids: number[] = [];
  for (const name of ['database', 'worker', 'api']) await supervisor.bring(processPart(name, 'exec sleep 60', pids));
  await supervisor.stop();
  expect(shown().match(/\w+(?=\s+stopped)/g)).toEqual(['api', 'worker', 'database']);
  expect(pids.filter(isAlive)).toEqual([]);
});

test('a part that dies is started again, with a line that says why', { timeout: 20_000 }, async () => {
  const { terminal, seen, shown } = watchTerminal();
  const supervisor = new Supervisor(terminal, 1);
  const pids: number[] = [];
  await supervisor.bring(processPart('worker', 'exec sleep 60', pids));
  process.kill(pids[0] ?? 0, 'SIGKILL');
  await seen(/worker is up, again/);
  expect(shown()).toMatch(/worker\s+died \(SIGKILL\), starting it again/);
  await supervisor.stop();
  expect(pids.filter(isAlive)).toEqual([]);
});

test('a part that dies five times within a minute ends the whole with one sentence', { timeout: 20_000 }, async () => {
  const { terminal } = watchTerminal();
  const supervisor = new Supervisor(terminal, 1);
  const pids: number[] = [];
  await supervisor.bring({ ...processPart('worker', 'exit 3', pids), logFile: '/logs/worker.log' });
  const failure = await supervisor.failed;
  expect(failure.message).toBe('The part "worker" died 5 times within a minute (exit code 3) (log: /logs/worker.log).');
  await supervisor.stop();
});

test('what is only being started when everything stops is stopped as well', { timeout: 20_000 }, async () => {
  const { terminal } = watchTerminal();
  const supervisor = new Supervisor(terminal, 1);
  const pids: number[] = [];
  const part = processPart('temporal', 'exec sleep 60', pids);
  const slow = Promise.withResolvers<void>();
  const bringing = supervisor.bring({
    name: 'temporal',
    start: async () => {
      const running = await part.start();
      await slow.promise;
      return running;
    },
  });
  supervisor.abort();
  slow.resolve();
  await expect(bringing).rejects.toThrow(/abort/i);
  await supervisor.stop();
  expect(pids.filter(isAlive)).toEqual([]);
});

test('what belongs to somebody else is left alone', async () => {
  const { terminal, shown } = watchTerminal();
  const supervisor = new Supervisor(terminal, 1);
  const never = () => {
    throw new Error('this is not ours to end');
  };
  await supervisor.bring({
    name: 'database',
    start: () =>
      Promise.resolve({
        summary: 'theirs',
        ended: new Promise(() => undefined),
        stop: never,
        kill: never,
        foreign: true,
      }),
  });
  await supervisor.stop();
  await supervisor.kill();
  expect(shown()).not.toContain('stopped');
});
