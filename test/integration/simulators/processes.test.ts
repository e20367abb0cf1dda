import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Answer, basic, logIn, request } from './simulated-world.ts';

const PROGRAMS = join(import.meta.dirname, '../../../simulators');
const HARDWARE = { name: 'web-1', cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 10 }] };

let folder: string;
let children: ChildProcess[];

async function run(program: string, ...args: string[]): Promise<{ url: string; child: ChildProcess }> {
  const child = fork(join(PROGRAMS, program, 'main.ts'), ['--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    execArgv: [],
  });
  children.push(child);
  if (child.stdout === null) throw new Error('The program has no stdout.');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { url: JSON.parse(line).listening, child };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'programs-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

test('a hypervisor that is killed loses nothing that it answered', async () => {
  const state = join(folder, 'hypervisor');
  const first = await run('hypervisor', '--state', state);
  for (let number = 0; number < 20; number += 1) await request('PUT', `${first.url}/allocations/a${number}`, HARDWARE);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');

  const second = await run('hypervisor', '--state', state);
  const { effects } = (await request('GET', `${second.url}/_simulator/effects`)).body;
  expect(effects).toHaveLength(20);
});

test('an Avamar server that is killed in the middle of its life knows its tokens and its identity', async () => {
  const hypervisor = await run('hypervisor');
  const args = ['--state', join(folder, 'avamar'), '--vcenter', hypervisor.url];
  const first = await run('avamar', ...args);
  const { access_token: token } = (await logIn(first.url)).body;
  const about = (await request('GET', `${first.url}/api/v1/system/about-information`)).body;
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');

  const second = await run('avamar', ...args);
  const headers = { authorization: `Bearer ${token}` };
  expect((await request('GET', `${second.url}/api/v1/virtualcenters`, undefined, { headers })).status).toBe(200);
  expect((await request('GET', `${second.url}/api/v1/system/about-information`)).body.systemId).toBe(about.systemId);
});

test('a Veeam server that is killed knows its jobs, and no session', async () => {
  const hypervisor = await run('hypervisor');
  const args = ['--state', join(folder, 'veeam'), '--vcenter', hypervisor.url, '--password', 'chosen'];
  const logOn = async (url: string): Promise<Record<string, string>> => {
    const headers = { authorization: basic('Administrator', 'chosen'), accept: 'application/json' };
    const answer = await request('POST', `${url}/api/sessionMngr/?v=latest`, undefined, { headers });
    return { accept: 'application/json', 'X-RestSvcSessionId': answer.headers.get('x-restsvcsessionid') ?? '' };
  };
  const first = await run('veeam', ...args);
  const headers = await logOn(first.url);
  await request('POST', `${first.url}/_simulator/jobs`, { name: 'EXTRA' });
  const refs = (answer: Answer) => answer.body.Refs.map((ref: { Name: string; UID: string }) => [ref.Name, ref.UID]);
  const jobs = refs(await request('GET', `${first.url}/api/jobs`, undefined, { headers }));
  expect(jobs).toHaveLength(5);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');

  const second = await run('veeam', ...args);
  expect((await request('GET', `${second.url}/api/jobs`, undefined, { headers })).status).toBe(401);
  const again = { headers: await logOn(second.url) };
  expect(refs(await request('GET', `${second.url}/api/jobs`, undefined, again))).toEqual(jobs);
});

test('a simulator ends on SIGTERM, and when its parent lets go of it', async () => {
  const terminated = await run('hypervisor');
  terminated.child.kill('SIGTERM');
  expect(await once(terminated.child, 'exit')).toEqual([0, null]);
  const abandoned = await run('hypervisor');
  abandoned.child.disconnect();
  expect(await once(abandoned.child, 'exit')).toEqual([0, null]);
});
