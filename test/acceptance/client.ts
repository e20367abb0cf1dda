/**
 * A client of the API that knows nothing but HTTP.
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunningSystem } from './running-system.ts';

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly location: string | null;
  // The documents are looked at field by field, as any client does.
  readonly body: Document;
}

/** A JSON document. */
export interface Document {
  readonly [field: string]: any;
}

export type Client = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>;

/** A client with that token. */
export function clientOf(url: string, token: string): Client {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      location: response.headers.get('location'),
      body: text === '' ? {} : (JSON.parse(text) as Document),
    };
  };
}

/** A client with the development token of that role. */
export function developmentClient(system: Pick<RunningSystem, 'url' | 'dataDir'>, role: string): Client {
  const tokens = JSON.parse(readFileSync(join(system.dataDir, 'dev-tokens.json'), 'utf8')) as Document[];
  const token = tokens.find((candidate) => candidate['role'] === role)?.['token'];
  if (typeof token !== 'string') throw new Error(`no development token of role ${role}`);
  return clientOf(system.url, token);
}

/** Asks until the answer is as wanted, also while the system is being started again. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
  limitMs = 90_000,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const answer = await ask();
      if (wanted(answer)) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not in time: ${what}; last: ${JSON.stringify(last)} ${String(last)}`);
}

const TERMINAL = ['SUCCEEDED', 'ROLLED_BACK', 'ROLLED_BACK_WITH_RESIDUE', 'FAILED', 'CANCELLED'];

/** The operation once it has ended. */
export async function endOf(client: Client, accepted: Answer): Promise<Document> {
  if (accepted.status !== 202 || accepted.location === null) {
    throw new Error(`not accepted: ${accepted.status} ${JSON.stringify(accepted.body)}`);
  }
  const { location } = accepted;
  const answer = await eventually(
    `${location} ends`,
    () => client('GET', location),
    ({ body }) => TERMINAL.includes(body['state']),
  );
  return answer.body;
}

/** How the simulated backup systems are reached. */
const CONNECTIONS = {
  avamar: { path: '/api/v1', credentials: { user: 'MCUser', password: 'avamar-simulator' } },
  veeam: { path: '/api/', credentials: { user: 'Administrator', password: 'veeam-simulator' } },
};

/** An enterprise, a datacenter with its backup manager, and a policy: what a virtual machine needs. */
export async function setUp(
  admin: Client,
  system: Pick<RunningSystem, 'ports'>,
  name: string,
  type: keyof typeof CONNECTIONS = 'avamar',
) {
  const { path, credentials } = CONNECTIONS[type];
  const made = async (path: string, body: unknown): Promise<string> => {
    const answer = await admin('POST', path, body);
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body['id'];
  };
  const enterpriseId = await made('/v1/enterprises', { name });
  const datacenterId = await made('/v1/datacenters', {
    name: `dc-${name}`,
    timeZone: 'Europe/Madrid',
    hypervisor: { type: 'simulated', endpoint: `http://127.0.0.1:${system.ports.hypervisor}` },
  });
  const managerId = await made(`/v1/datacenters/${datacenterId}/backup-managers`, {
    name: `${type}-${name}`,
    type,
    endpoint: `http://127.0.0.1:${system.ports[type]}${path}`,
    credentials,
  });
  const policyId = await made(`/v1/datacenters/${datacenterId}/backup-policies`, {
    code: 'GOLD',
    name: 'Gold',
    managerId,
    retentionDays: 7,
    configurations: [{ type: 'COMPLETE', subtype: 'DAILY', time: { mode: 'fixed', value: '03:30' } }],
  });
  const allowed = await admin('PUT', `/v1/enterprises/${enterpriseId}/backup-policies/${policyId}`);
  if (allowed.status >= 300) throw new Error(`the policy could not be allowed: ${JSON.stringify(allowed.body)}`);
  const newVm = (vmName: string, policies: readonly string[] = [policyId]) =>
    made('/v1/virtual-machines', {
      name: vmName,
      enterpriseId,
      datacenterId,
      cpu: 2,
      memoryMiB: 2048,
      disks: [
        { label: 'system', sizeGiB: 20 },
        { label: 'data', sizeGiB: 40 },
      ],
      backupPolicies: policies.map((id) => ({ policyId: id })),
    });
  return { enterpriseId, datacenterId, managerId, policyId, newVm };
}
