/**
 * Whether an Avamar server can be used.
 * @module
 */
import { z } from 'zod';
import type { StoredCheck } from '../../../db/columns.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { clockSkewSeconds } from '../clock-skew.ts';
import type { AvamarRest } from './rest.ts';

const LARGE_SKEW_SECONDS = 60;

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
 * Looks for all that would make backups fail. Avamar's schedules, retentions and groups are made as they are needed,
 * so no policy code has to exist there: every code can be served when nothing else is wrong.
 */
export async function check(
  rest: AvamarRest,
  now: () => Date,
  context: CallContext,
  policyCodes: readonly string[],
): Promise<StoredCheck> {
  const problems: { code: string; message: string }[] = [];
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
  const ok = found.reachable && problems.every(({ code }) => HARMLESS.has(code));
  const message = ok ? null : 'the backup system cannot be used as it is; see the problems';
  return { ...found, problems, policies: policyCodes.map((code) => ({ code, ok, message })) };
}

const HARMLESS: ReadonlySet<string> = new Set(['VERSION_NOT_TESTED', 'CLOCK_SKEW']);

/** What keeps a list from being read or, for the vCenters, from being of use. */
async function readable(
  rest: AvamarRest,
  context: CallContext,
  path: string,
  purpose: string,
): Promise<{ code: string; message: string }[]> {
  const query = { domain: '/', recursive: 'true' };
  try {
    const first = await rest.items(context, { path, query, purpose, item: AnyItem, pageSize: 1 }).next();
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
