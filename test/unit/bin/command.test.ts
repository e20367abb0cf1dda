import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ENTRY = fileURLToPath(new URL('../../../bin/holdfast.mjs', import.meta.url));

let folder: string;
let dataDir: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-command-'));
  dataDir = join(folder, '.data');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `holdfast <args>` in an empty folder, with nothing set but what is given. */
async function holdfast(args: string[], environment: Record<string, string> = {}) {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], HOLDFAST_DATA_DIR: dataDir, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, out, err };
}

test('each wrong setting is one line with its name, for every command', { timeout: 20_000 }, async () => {
  const { code, out, err } = await holdfast(['up'], { PORT: 'many', HOLDFAST_WATCH_INTERVAL: '5' });
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err.trim().split('\n')).toEqual([
    expect.stringMatching(/^PORT: /),
    expect.stringMatching(/^HOLDFAST_WATCH_INTERVAL: write a number and a unit/),
  ]);
});

test('help is there even with wrong settings', { timeout: 20_000 }, async () => {
  const { code, out } = await holdfast(['help'], { PORT: 'many' });
  expect(code).toBe(0);
  expect(out).toContain('npm start');
  for (const command of ['create', 'list', 'revoke <id>'])
    expect(out).toMatch(new RegExp(`^ +token .*${command}`, 'm'));
});

test('an unknown command and an unknown option are one sentence', { timeout: 20_000 }, async () => {
  expect((await holdfast(['dance'])).err).toBe('There is no command "dance". See: holdfast help\n');
  const { code, err } = await holdfast(['up', '--fast']);
  expect(code).toBe(1);
  expect(err).toMatch(/^Unknown option '--fast'.* See: holdfast help\n$/);
});

test('without a database the commands that need one say how to get it', { timeout: 20_000 }, async () => {
  const { code, err } = await holdfast(['migrate']);
  expect({ code, err }).toEqual({
    code: 1,
    err: 'There is no database: run npm start, or set DATABASE_URL.\n',
  });
});

test('up names every port that is taken and its variable, and starts nothing', { timeout: 20_000 }, async () => {
  const intruder = createServer().listen(0, '127.0.0.1');
  await once(intruder, 'listening');
  const taken = String((intruder.address() as AddressInfo).port);
  try {
    const { code, err } = await holdfast(['up'], { PORT: taken, HOLDFAST_TEMPORAL_UI_PORT: taken });
    expect(code).toBe(1);
    expect(err).toContain(`Port ${taken}, for the API, is in use by another program: set PORT to a free port.`);
    expect(err).toContain(
      `Port ${taken} is meant for the API and for the Temporal UI: set HOLDFAST_TEMPORAL_UI_PORT to another one.`,
    );
    expect(readdirSync(dataDir)).toEqual([]);
  } finally {
    intruder.close();
  }
});

test('up and reset refuse while another run holds the data folder', { timeout: 20_000 }, async () => {
  mkdirSync(dataDir);
  const other = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 1000)', 'holdfast'], { stdio: 'ignore' });
  try {
    writeFileSync(join(dataDir, 'up.pid'), String(other.pid));
    expect((await holdfast(['up'])).err).toBe(`Holdfast is already running in ${dataDir} (pid ${other.pid}).\n`);
    const { code, err } = await holdfast(['reset', '--yes']);
    expect(code).toBe(1);
    expect(err).toBe(`Holdfast is running in ${dataDir} (pid ${other.pid}): stop it first.\n`);
    expect(existsSync(join(dataDir, 'up.pid'))).toBe(true);
  } finally {
    other.kill('SIGKILL');
  }
});

test('reset deletes after --yes only, and only what npm start made', { timeout: 20_000 }, async () => {
  mkdirSync(join(dataDir, 'logs'), { recursive: true });
  const asked = await holdfast(['reset']);
  expect(asked.code).toBe(1);
  expect(asked.out).toContain('npm run reset -- --yes');
  expect(readdirSync(dataDir)).toEqual(['logs']);

  expect((await holdfast(['reset', '--yes'])).code).toBe(0);
  expect(readdirSync(dataDir)).toEqual([]);

  const documents = join(folder, 'documents');
  mkdirSync(documents);
  writeFileSync(join(documents, 'letter.txt'), 'mine');
  const { code, err } = await holdfast(['reset', '--yes'], { HOLDFAST_DATA_DIR: documents });
  expect(code).toBe(1);
  expect(err).toContain('nothing was deleted');
  expect(readdirSync(documents)).toEqual(['letter.txt']);
});

test('doctor tells what is in the way, and how to get past it', { timeout: 20_000 }, async () => {
  const { code, out } = await holdfast(['doctor'], {
    DATABASE_URL: 'postgres://holdfast:secret@127.0.0.1:1/holdfast',
    TEMPORAL_ADDRESS: '127.0.0.1:1',
  });
  expect(code).toBe(1);
  expect(out).toContain('npm start will not work yet:');
  expect(out).toMatch(
    /- PostgreSQL at postgres:\/\/holdfast@127\.0\.0\.1:1\/holdfast cannot be reached: .*Check DATABASE_URL/,
  );
  expect(out).toMatch(/- Temporal on 127\.0\.0\.1:1 does not serve the namespace "default"/);
  expect(out).not.toContain('secret');
});
