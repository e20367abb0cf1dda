/**
 * Starting backups and restores, and finding the session of a start whose answer was lost.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { CopyRef, FoundSession, LostStart, ProtectedVm } from '../backup-system.ts';
import { type AvamarSession, session, sessionsSince } from './activities.ts';
import { backupId, partsOf } from './backup-id.ts';
import { serverTime } from './check.ts';
import type { AvamarConfig } from './config.ts';
import { refused } from './refusal.ts';
import type { AvamarRest } from './rest.ts';
import { backup, LOCAL } from './results.ts';
import { diskFiles, vmClient, vmEntity } from './vm-client.ts';

const DAY_MS = 86_400_000;
/** The target that means all of a VM. The swagger wants a name and gives none for this; the word is ours. */
const ALL_DISKS = 'ALL';

export interface Started {
  readonly vendorSessionId: string;
  readonly vendorVmRef: string;
}

/** Starts an on-demand backup of the VM's client, which is made when there is none. */
export async function startBackup(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  options: { readonly retentionDays: number; readonly disks: readonly string[] | null },
): Promise<Started> {
  const entity = await vmEntity(rest, config, context, vm);
  const { name, pluginNumber } = entity;
  const disks = options.disks === null ? undefined : diskFiles(entity, options.disks);
  const { cid } = await vmClient(rest, config, context, vm, entity);
  const target =
    disks === undefined
      ? { name: ALL_DISKS, pluginNumber }
      : { name, pluginNumber, disks: disks.map((diskPath) => ({ diskPath })) };
  // By Avamar's clock, which decides when it has come: ours may be another.
  const now = await serverTime(rest, context);
  const json = { targets: [target], expireTime: now.getTime() + options.retentionDays * DAY_MS };
  const path = `/clients/${encodeURIComponent(cid)}/backup`;
  const call = { method: 'POST', path, json, purpose: `back up ${vm.name}` } as const;
  const { body } = await rest.write(context, { ...call, answer: z.tuple([z.string()], z.string()) });
  return { vendorSessionId: body[0], vendorVmRef: cid };
}

/**
 * Starts a restore of that copy over the VM as it is now. The backup may be that of an older client of the VM, from
 * before it was deployed again: Avamar restores it into the new entity all the same.
 */
export async function startRestore(
  rest: AvamarRest,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  copy: CopyRef,
): Promise<Started> {
  const entity = await vmEntity(rest, config, context, vm);
  const made = await backup(rest, context, copy.vendorVmRef, copy.vendorId);
  if (made === undefined && copy.location === LOCAL) {
    throw refused(`the backup system ${rest.manager.name} no longer has the backup ${copy.vendorId} of ${vm.name}`);
  }
  const client = encodeURIComponent(copy.vendorVmRef);
  const path = `/clients/${client}/backups/${encodeURIComponent(copy.vendorId)}/restore:vm`;
  const json = {
    pluginNumber: made?.pluginNumber ?? entity.pluginNumber,
    vcCid: entity.vcenter.cid,
    vmEntityId: entity.entityId,
    // The disks' contents alone: the VM's hardware is Holdfast's to decide, and powering it on too.
    restoreConf: false,
    powerMode: 'off',
  };
  const purpose = `restore the backup ${copy.vendorId} into ${vm.name}`;
  const query: Record<string, string> = copy.location === LOCAL ? {} : { destId: copy.location };
  const { body } = await rest.write(context, { method: 'POST', path, query, json, purpose, answer: z.string().min(1) });
  return { vendorSessionId: body, vendorVmRef: copy.vendorVmRef };
}

/**
 * The session that a lost start left. A backup is recognised by its client and by having been asked for; a restore by
 * the client and the label that it restores. Where that leaves a doubt, Avamar's audit is read, which tells what was
 * answered to the request; without it the doubt stays.
 */
export async function findSession(rest: AvamarRest, context: CallContext, start: LostStart): Promise<FoundSession> {
  const known = new Set(start.notThese);
  const possible = (await sessionsSince(rest, context, start.vendorTime)).filter(
    (one) => !known.has(one.report.vendorSessionId) && mayBe(one, start),
  );
  const [first] = possible;
  if (first === undefined) return 'NONE';
  if (possible.length === 1 && isCertain(rest, first, start)) return first.report;
  const answered = await answeredSession(rest, context, start);
  const claimed = answered === undefined ? undefined : await session(rest, context, answered);
  return claimed?.report ?? 'AMBIGUOUS';
}

/** The client whose backup is restored, and the label; for a backup the client alone. */
function subject(start: LostStart): { readonly cid: string; readonly labelNumber: string | undefined } {
  if (start.kind === 'BACKUP' || start.vendorBackupId === null) {
    return { cid: start.vendorVmRef, labelNumber: undefined };
  }
  return partsOf(start.vendorBackupId, start.vendorVmRef);
}

/** Whether it could be the lost one, as far as it says what it is. */
function mayBe(one: AvamarSession, start: LostStart): boolean {
  const { report } = one;
  if (report.kind !== start.kind || one.origin === 'SCHEDULE') return false;
  if (start.kind === 'BACKUP') return report.vendorVmRef === start.vendorVmRef;
  const { cid, labelNumber } = subject(start);
  const clients = [report.vendorVmRef, one.targetCid];
  if (!clients.includes(cid) && !clients.includes(start.vendorVmRef)) return false;
  if (report.vendorBackupId === null || labelNumber === undefined) return true;
  return partsOf(report.vendorBackupId, cid).labelNumber === labelNumber;
}

/** Certain enough when nothing about it is unclear: its origin, its user, and for a restore its backup. */
function isCertain(rest: AvamarRest, one: AvamarSession, start: LostStart): boolean {
  const ours = rest.manager.credentials?.user;
  const isOurUser = !one.user || one.user.split('@')[0] === ours?.split('@')[0];
  const { cid, labelNumber } = subject(start);
  const isSubject =
    start.kind === 'BACKUP' || (labelNumber !== undefined && one.report.vendorBackupId === backupId(cid, labelNumber));
  return one.origin === 'ON_DEMAND' && isOurUser && isSubject;
}

/** `RestAuditVO` of the swagger. */
const AuditRecord = z.object({
  apiHttpMethod: z.string().nullish(),
  apiUrl: z.string().nullish(),
  oauth2ClientId: z.string().nullish(),
  responseStatusCode: z.number().nullish(),
  responseBody: z.unknown(),
});

/** The id that Avamar answered to the lost request, by its audit; `undefined` when that does not tell it alone. */
async function answeredSession(rest: AvamarRest, context: CallContext, start: LostStart): Promise<string | undefined> {
  const { cid, labelNumber } = subject(start);
  const end = labelNumber === undefined ? `/clients/${cid}/backup` : `/backups/${labelNumber}/restore:vm`;
  const after = new Date(start.vendorTime.getTime() - 1_000).toISOString();
  const list = { path: '/rest-audit', query: { after }, purpose: 'read its audit', item: AuditRecord };
  const answers = new Set<string>();
  try {
    for await (const record of rest.items(context, list)) {
      const isOurs = record.oauth2ClientId === rest.login.clientId && record.apiHttpMethod === 'POST';
      const url = decodeURIComponent(record.apiUrl ?? '');
      if (!isOurs || !url.endsWith(end) || !url.includes(`/clients/${cid}/`)) continue;
      const ids = z.union([z.string().transform((id) => [id]), z.array(z.string())]).safeParse(record.responseBody);
      for (const id of ids.data ?? []) if (!start.notThese.includes(id)) answers.add(id);
    }
  } catch (error) {
    // The audit is for administrators; whoever may not read it keeps the doubt.
    if (error instanceof ExternalSystemError && !error.transient) return undefined;
    if (error instanceof ExternalSystemError && error.kind === 'LOGIN_REFUSED') return undefined;
    throw error;
  }
  const [only] = answers;
  return answers.size === 1 ? only : undefined;
}
