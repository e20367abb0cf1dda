/**
 * Whether an Enterprise Manager can be used.
 * @module
 */
import type { StoredCheck } from '../../../db/columns.ts';
import { VEEAM } from '../../../domain/plugin-types.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { clockSkewSeconds } from '../clock-skew.ts';
import { repairedEndpoint } from './endpoint.ts';
import { showsRetention } from './job-edit.ts';
import { templateJob } from './jobs.ts';
import { commonVersion, type Greeting } from './login.ts';
import { failure } from './refusal.ts';
import { guidOf } from './urn.ts';
import type { Veeam } from './veeam.ts';
import { attribute, descendants, textOf } from './xml.ts';

const LARGE_SKEW_SECONDS = 60;
/** Of nothing. */
const NIL_ID = '00000000-0000-0000-0000-000000000000';

type Problem = StoredCheck['problems'][number];
type PolicyCheck = StoredCheck['policies'][number];

/** Lists that must be readable for the plugin to work. */
const NEEDED = [
  { path: '/query?type=Job&pageSize=1&page=1', purpose: 'list its jobs' },
  { path: '/query?type=VmRestorePoint&pageSize=1&page=1', purpose: 'list its restore points' },
  { path: '/query?type=BackupTaskSession&pageSize=1&page=1', purpose: 'list its backup sessions' },
  { path: '/query?type=RestoreSession&pageSize=1&page=1', purpose: 'list its restore sessions' },
] as const;

const NO_RETENTION = 'RETENTION_NOT_SETTABLE';

/** Problems that do not keep the plugin from working. */
const HARMLESS: ReadonlySet<string> = new Set(['CLOCK_SKEW', 'ENDPOINT_REPAIRED', NO_RETENTION]);

/** The server's clock, from the `Date` header of the one page that needs no login; to the second. */
export async function serverTime({ rest }: Veeam, context: CallContext): Promise<Date> {
  const { date } = await rest.greeting(context);
  if (date !== undefined) return date;
  throw failure(
    'FAILED',
    `the backup system ${rest.manager.name} does not tell its time: its answers have no Date header`,
  );
}

/** Looks for all that would make schedules, backups or restores fail, and for the template of each policy. */
export async function check(veeam: Veeam, context: CallContext, policyCodes: readonly string[]): Promise<StoredCheck> {
  const { rest, clock } = veeam;
  const problems: Problem[] = [];
  let greeting: Greeting | undefined;
  let server: BackupServers | undefined;
  let reachable = false;
  let skew: number | null = null;
  const policies: PolicyCheck[] = [];
  try {
    const right = repairedEndpoint(rest.manager);
    if (right !== undefined) {
      problems.push({ code: 'ENDPOINT_REPAIRED', message: `the endpoint is used as ${right}; write it so` });
    }
    const asked = clock();
    greeting = await rest.greeting(context);
    if (greeting.date !== undefined) skew = clockSkewSeconds(greeting.date, asked, clock());
    reachable = true;
    if (commonVersion(greeting.versions) === undefined) {
      const [have, speaks] = [greeting.versions.join(', '), VEEAM.versions.join(', ')];
      problems.push({
        code: 'VERSION_NOT_SUPPORTED',
        message: `it has the API versions ${have}; the plugin speaks ${speaks}`,
      });
    } else {
      await rest.version(context);
      server = await backupServers(veeam, context);
      if (server.identity === null) {
        problems.push({ code: 'NO_BACKUP_SERVER', message: 'no backup server is registered in it' });
      }
      problems.push(...(await vcenterProblems(veeam, context)));
      for (const { path, purpose } of NEEDED) problems.push(...(await readable(veeam, context, path, purpose)));
      // Asked where policies shall be served; a look at the identity alone needs no right.
      if (policyCodes.length > 0) problems.push(...(await rightProblems(veeam, context)));
      for (const code of policyCodes) policies.push(await policyCheck(veeam, context, code, problems));
    }
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    // An answer of any kind means that something is there.
    if (error.status !== undefined || error.kind === 'LOGIN_REFUSED') reachable = true;
    problems.push({ code: CODES[error.kind], message: error.message });
  }
  if (Math.abs(skew ?? 0) > LARGE_SKEW_SECONDS) {
    problems.push({ code: 'CLOCK_SKEW', message: `its clock differs from Holdfast's by ${skew} s` });
  }
  const ok = reachable && problems.every(({ code }) => HARMLESS.has(code));
  const unusable = 'the backup system cannot be used as it is; see the problems';
  const told = new Map(policies.map((policy) => [policy.code, policy]));
  return {
    reachable,
    version: versionOf(greeting, server),
    identity: server?.identity ?? null,
    clockSkewSeconds: skew,
    problems,
    policies: policyCodes.map((code) => {
      const policy = told.get(code);
      if (policy !== undefined && (ok || !policy.ok)) return policy;
      return { code, ok: false, message: unusable };
    }),
  };
}

const CODES = {
  UNREACHABLE: 'BACKUP_SYSTEM_UNREACHABLE',
  NO_ANSWER: 'BACKUP_SYSTEM_UNREACHABLE',
  LOGIN_REFUSED: 'BACKUP_SYSTEM_LOGIN_REFUSED',
  REFUSED: 'BACKUP_SYSTEM_REFUSED',
  FAILED: 'BACKUP_SYSTEM_FAILED',
} as const;

interface BackupServers {
  /** The ids of all backup servers: without one of them its restore points are not listed, and are not gone. */
  readonly identity: string | null;
  readonly version: string | undefined;
}

async function backupServers({ rest }: Veeam, context: CallContext): Promise<BackupServers> {
  const { body } = await rest.read(context, '/backupServers?format=Entity', 'list its backup servers');
  const servers = [...descendants(body, 'BackupServer')];
  const ids = servers.flatMap((server) => guidOf(attribute(server, 'UID'))?.toLowerCase() ?? []).toSorted();
  const versions = servers.flatMap((server) => textOf(server, 'Version') ?? []);
  return { identity: ids.length === 0 ? null : ids.join('+'), version: versions[0] };
}

function versionOf(greeting: Greeting | undefined, server: BackupServers | undefined): string | null {
  const api = greeting === undefined ? undefined : commonVersion(greeting.versions);
  if (api === undefined) return null;
  return server?.version === undefined ? api : `${api}, Backup & Replication ${server.version}`;
}

async function vcenterProblems({ rest }: Veeam, context: CallContext): Promise<Problem[]> {
  const { body } = await rest.read(context, '/hierarchyRoots?format=Entity', 'list its vCenters');
  if (!descendants(body, 'HierarchyRoot').next().done) return [];
  return [{ code: 'NO_VCENTER', message: 'no vCenter is registered in it, so it sees no virtual machine' }];
}

/** What keeps a list from being read: for want of a right the vendor answers 403. */
async function readable({ rest }: Veeam, context: CallContext, path: string, purpose: string): Promise<Problem[]> {
  try {
    await rest.read(context, path, purpose);
    return [];
  } catch (error) {
    if (!(error instanceof ExternalSystemError) || error.status !== 403) throw error;
    return [{ code: 'RIGHT_MISSING', message: error.message }];
  }
}

/**
 * Whether the account may change jobs. Nothing that can be read tells the role, so the removal of a job that cannot be
 * there is asked for: an account without the right gets 403, any other answer says nothing against it.
 */
async function rightProblems({ rest }: Veeam, context: CallContext): Promise<Problem[]> {
  const status = await rest.statusOfRemoval(context, `/jobs/${NIL_ID}`);
  if (status !== 403) return [];
  return [{ code: 'RIGHT_MISSING', message: 'the account may not change jobs: give it the role Portal Administrator' }];
}

/** Whether the template of a policy is there, and shows what the plugin has to set. */
async function policyCheck(
  veeam: Veeam,
  context: CallContext,
  code: string,
  problems: Problem[],
): Promise<PolicyCheck> {
  try {
    const template = await templateJob(veeam, context, code);
    if (!showsRetention(template.entity) && !problems.some(({ code: known }) => known === NO_RETENTION)) {
      const message =
        'this version shows no retention of jobs: set it on the server, and write it into the configuration';
      problems.push({ code: NO_RETENTION, message });
    }
    return { code, ok: true, message: null };
  } catch (error) {
    if (!(error instanceof ExternalSystemError) || error.kind !== 'REFUSED') throw error;
    return { code, ok: false, message: error.message };
  }
}
