import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Exchange, vendorContract } from './avamar-contract.ts';
import { type AvamarSimulatorOptions, startAvamarSimulator } from '../../../simulators/avamar/start.ts';
import { startHypervisorSimulator } from '../../../simulators/hypervisor/start.ts';

// Answers of a foreign protocol, looked at field by field
export type Json = any;
export type Answer = { status: number; body: Json; headers: Headers };
export type Call = (method: string, path: string, body?: unknown) => Promise<Answer>;

const contract = vendorContract();
const broken = new Set<string>();
/** What was not as the vendor describes it; nothing where the description is not present. */
export const violations = (): string[] => [...broken];
/** Judges what went over the wire by the vendor's description, where that is present. */
export function judge(exchange: Exchange): void {
  if (!new URL(exchange.url).pathname.startsWith('/api/v1/')) return;
  const problems = contract?.violations(exchange) ?? [];
  for (const problem of problems) broken.add(`${exchange.method} ${exchange.url} ${exchange.status}: ${problem}`);
}

/** Calls `url + path` with JSON; a form or other headers through `init`. */
export async function request(
  method: string,
  url: string,
  body?: unknown,
  init: { body?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
  const text = await response.text();
  const answer = text === '' ? undefined : JSON.parse(text);
  judge({ method, url, request: body, status: response.status, answer });
  return { status: response.status, body: answer, headers: response.headers };
}

/** Asks until the answer is as wanted; fails after ten seconds and shows the last one. */
export async function until<T>(ask: () => Promise<T>, wanted: (answer: T) => boolean): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`Not in time. Last answer: ${JSON.stringify(answer)}`);
    await sleep(20);
  }
}

export const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;

export const REGISTRATION = {
  clientId: 'tester',
  clientSecret: 'secret',
  clientName: 'Tester',
  authorizedGrantTypes: ['password', 'refresh_token'],
  scopes: ['read', 'write'],
  autoApproveScopes: ['all'],
  redirectUris: ['https://localhost/'],
};

/** Asks the Avamar simulator for a token, after registering the client where it is not yet known. */
export async function logIn(url: string, registration: object = REGISTRATION): Promise<Answer> {
  const authorization = basic('MCUser', 'avamar-simulator');
  await request('POST', `${url}/api/v1/oauth2/clients`, registration, { headers: { authorization } });
  return request('POST', `${url}/api/oauth/token`, undefined, {
    body: 'grant_type=password&username=MCUser&password=avamar-simulator&scope=write',
    headers: {
      authorization: basic(REGISTRATION.clientId, REGISTRATION.clientSecret),
      'content-type': 'application/x-www-form-urlencoded',
    },
  });
}

/** A vCenter and an Avamar server with one machine `web-1` on the first, and a caller who is logged in at the second. */
export async function startWorld(options: Partial<AvamarSimulatorOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simulators-'));
  const hypervisor = await startHypervisorSimulator({ stateFile: join(folder, 'hypervisor') });
  const vcenter: Call = (method, path, body) => request(method, hypervisor.url + path, body);
  const start = () =>
    startAvamarSimulator({
      vcenterUrl: hypervisor.url,
      stateFile: join(folder, 'avamar'),
      backupSeconds: 0.2,
      taskSeconds: 0,
      ...options,
    });
  let avamar = await start();
  // Long enough for tests that move the clock by weeks.
  const registration = { ...REGISTRATION, accessTokenValiditySeconds: 315_360_000 };
  const token: string = (await logIn(avamar.url, registration)).body.access_token;
  const authorized = { headers: { authorization: `Bearer ${token}` } };
  const api: Call = (method, path, body) => request(method, `${avamar.url}/api/v1${path}`, body, authorized);
  const control: Call = (method, path, body) => request(method, `${avamar.url}/_simulator${path}`, body);

  const deploy = async (id: string, name: string): Promise<string> => {
    const hardware = { name, cpu: 2, memoryMiB: 2048, disks: [{ label: 'system', sizeGiB: 10 }] };
    await vcenter('PUT', `/allocations/${id}`, hardware);
    return (await vcenter('PUT', `/vms/${id}`, hardware)).body.moref;
  };
  const vcCid: string = (await api('GET', '/virtualcenters')).body.content[0].cid;
  const addClients = async (entityIds: string[]): Promise<Json> => {
    const domain = '/vcenter.simulated/VirtualMachines';
    const task = (await api('POST', `/virtualcenters/${vcCid}/clients`, { domain, entityIds })).body;
    const ended = await until(
      () => api('GET', `/tasks/${task.id}`),
      ({ body }) => body.done,
    );
    return ended.body.result;
  };
  const clientOf = async (moref: string): Promise<string> =>
    (await api('GET', `/virtualcenters/${vcCid}/entities/VirtualMachine:${moref}`)).body.cid;
  const ended = async (activityId: string): Promise<Json> => {
    const answer = await until(
      () => api('GET', `/activities/${activityId}`),
      ({ body }) => body.completedDate !== undefined,
    );
    return answer.body;
  };
  /** Moves the Avamar server's clock forward; what became due has begun when this returns. */
  const pass = (seconds: number) => control('POST', '/clock', { advanceSeconds: seconds });
  const write = (id: string, content: string) => vcenter('PUT', `/vms/${id}/disks/system/content`, { content });
  const read = async (id: string): Promise<string> =>
    (await vcenter('GET', `/vms/${id}/disks/system/content`)).body.content;

  const moref = await deploy('a1', 'web-1');
  await addClients([`VirtualMachine:${moref}`]);
  const cid = await clientOf(moref);
  /** Takes an on-demand backup and returns the ended activity. */
  const backUp = async (clientId = cid, more: object = {}): Promise<Json> => {
    const targets = [{ name: 'all', pluginNumber: 1016 }];
    return ended((await api('POST', `/clients/${clientId}/backup`, { targets, ...more })).body[0]);
  };
  return {
    api,
    vcenter,
    control,
    deploy,
    addClients,
    clientOf,
    ended,
    write,
    read,
    backUp,
    pass,
    moref,
    cid,
    vcCid,
    avamarUrl: () => avamar.url,
    hypervisorUrl: hypervisor.url,
    async restartAvamar(): Promise<void> {
      await avamar.close();
      avamar = await start();
    },
    async close(): Promise<void> {
      await avamar.close();
      await hypervisor.close();
      await rm(folder, { recursive: true, force: true });
      if (broken.size > 0) throw new Error(`Not as the vendor describes it:\n${[...broken].join('\n')}`);
    },
  };
}

export type World = Awaited<ReturnType<typeof startWorld>>;
