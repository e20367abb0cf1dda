/**
 * Whether an Avamar server can be used.
 * @module
 */
import { z } from 'zod';
import type { StoredCheck } from '../../../db/columns.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { clockSkewSeconds } from '../clock-skew.ts';
import type { AvamarConfig } from './config.ts';
import { plannedReplication } from './replication-target.ts';
import type { AvamarRest } from './rest.ts';
import { groupsCalled, obstacleOf, pathOf } from './standing-groups.ts';

const LARGE_SKEW_SECONDS = 60;

type Problem = StoredCheck['problems'][number];
type PolicyCheck = StoredCheck['policies'][number];

/** `SystemStatus` of the swagger. */
const Status = z.object({
  systemId: z.string().nullish(),
  mcsVersion: z.string().nullish(),
  gsanVersion: z.string().nullish(),
  schedulerToggleState: z.boolean().nullish(),
});
const AnyItem = z.object({});

/** Lists that must be readable for the plugin to work. */
const NEEDED = [
  { path: '/virtualcenters', purpose: 'list its vCenters' },
  { path: '/clients', purpose: 'list its clients' },
  { path: '/groups', purpose: 'list its groups' },
  { path: '/activities', purpose: 'list its activities' },
] as const;

/** Avamar's clock, from the `Date` header of the one call that needs no token; to the second. */
export async function serverTime(rest: AvamarRest, context: CallContext): Promise<Date> {
  const path = '/system/about-information';
  const call = { method: 'GET', path, purpose: 'read its clock', answer: z.unknown() } as const;
  const { date } = await rest.open(context, call);
  if (date !== undefined) return date;
  const message = `the backup system ${rest.manager.name} does not tell its time: its answers have no Date header`;
  throw new ExternalSystemError({ kind: 'FAILED', system: 'BACKUP_SYSTEM', message });
}

/**
 * Looks for all that would make backups fail, and says how each policy is served: by the group of its code, where there
 * is one, else by groups that are made as they are needed.
 */
export async function check(
  rest: AvamarRest,
  config: AvamarConfig,
  now: () => Date,
  context: CallContext,
  policyCodes: readonly string[],
  copied: readonly string[],
): Promise<StoredCheck> {
  const problems: Problem[] = [];
  const policies: PolicyCheck[] = [];
  const found = { reachable: false, version: null, identity: null, clockSkewSeconds: null } as {
    -readonly [K in 'reachable' | 'version' | 'identity' | 'clockSkewSeconds']: StoredCheck[K];
  };
  try {
    const asked = now();
    const clock = await serverTime(rest, context);
    found.reachable = true;
    found.clockSkewSeconds = clockSkewSeconds(clock, asked, now());
    const statusCall = { method: 'GET', path: '/system/status', purpose: 'read its status', answer: Status } as const;
    const { body: status } = await rest.read(context, statusCall);
    found.version = status.mcsVersion ?? status.gsanVersion ?? null;
    found.identity = status.systemId ?? null;
    if (found.version !== null && !found.version.startsWith('19.')) {
      const message = `it is version ${found.version}; the plugin was made for 19.x`;
      problems.push({ code: 'VERSION_NOT_TESTED', message });
    }
    if (status.schedulerToggleState === false) {
      problems.push({
        code: 'SCHEDULER_SUSPENDED',
        message: 'its scheduler is suspended: no scheduled backup will run',
      });
    }
    for (const { path, purpose } of NEEDED) problems.push(...(await readable(rest, context, path, purpose)));
    if (isUsable(problems)) {
      const obstacle = copied.length === 0 ? undefined : await replicationObstacle(rest, config, context);
      for (const code of policyCodes) {
        const served = await policyCheck(rest, config, context, code);
        const isKept = obstacle !== undefined && copied.includes(code);
        policies.push(isKept ? { code, ok: false, message: obstacle } : served);
      }
    }
  } catch (error) {
    if (!(error instanceof ExternalSystemError)) throw error;
    // An answer of any kind means that something is there.
    if (error.status !== undefined || error.kind === 'LOGIN_REFUSED') found.reachable = true;
    problems.push(problemOf(error));
  }
  if (Math.abs(found.clockSkewSeconds ?? 0) > LARGE_SKEW_SECONDS) {
    const message = `its clock differs from Holdfast's by ${found.clockSkewSeconds} s`;
    problems.push({ code: 'CLOCK_SKEW', message });
  }
  const message = 'the backup system cannot be used as it is; see the problems';
  const unusable = policyCodes.map((code) => ({ code, ok: false, message }));
  return { ...found, problems, policies: found.reachable && isUsable(problems) ? policies : unusable };
}

const HARMLESS: ReadonlySet<string> = new Set(['VERSION_NOT_TESTED', 'CLOCK_SKEW']);

const isUsable = (problems: readonly Problem[]): boolean => problems.every(({ code }) => HARMLESS.has(code));

/**
 * How a policy of that code is served. Which values it leaves to Avamar is not known here, so the words hold for all
 * policies, and a group that could not be joined counts against the code.
 */
async function policyCheck(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  code: string,
): Promise<PolicyCheck> {
  const found = await groupsCalled(rest, config, context, code);
  const [group] = found;
  if (group === undefined) return { code, ok: true, message: 'its virtual machines get groups of their own' };
  const leaving = 'where it leaves time, days and disks to the backup system';
  const obstacle = obstacleOf(found);
  if (obstacle !== undefined) return { code, ok: false, message: `${leaving}: ${obstacle}` };
  const message = `${leaving}, its virtual machines join the group ${pathOf(group)}; else they get groups of their own`;
  return { code, ok: true, message };
}

/** What keeps backups from being copied; `undefined`: nothing. */
async function replicationObstacle(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
): Promise<string | undefined> {
  try {
    await plannedReplication(rest, config, context);
    return undefined;
  } catch (error) {
    if (error instanceof ExternalSystemError && error.kind === 'REFUSED') return error.message;
    throw error;
  }
}

/** What keeps a list from being read or, for the vCenters, from being of use. */
async function readable(rest: AvamarRest, context: CallContext, path: string, purpose: string): Promise<Problem[]> {
  try {
    const first = await rest
      .items(context, { path, query: { domain: '/' }, purpose, item: AnyItem, pageSize: 1 })
      .next();
    if (path !== '/virtualcenters' || first.done !== true) return [];
    return [{ code: 'NO_VCENTER', message: 'no vCenter is registered in it, so it sees no virtual machine' }];
  } catch (error) {
    if (!(error instanceof ExternalSystemError) || error.status !== 403) throw error;
    return [{ code: 'RIGHT_MISSING', message: error.message }];
  }
}

const CODES = {
  UNREACHABLE: 'BACKUP_SYSTEM_UNREACHABLE',
  NO_ANSWER: 'BACKUP_SYSTEM_UNREACHABLE',
  LOGIN_REFUSED: 'BACKUP_SYSTEM_LOGIN_REFUSED',
  REFUSED: 'BACKUP_SYSTEM_REFUSED',
  FAILED: 'BACKUP_SYSTEM_FAILED',
} as const;

const problemOf = (error: ExternalSystemError) => ({ code: CODES[error.kind], message: error.message });
