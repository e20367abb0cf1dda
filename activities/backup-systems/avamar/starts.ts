/**
 * Starting backups and restores, and stopping them.
 * @module
 */
import { z } from 'zod';
import { sessionEnded } from '../../../domain/results.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { CopyRef, ProtectedVm } from '../backup-system.ts';
import { lookAfter } from '../look-after.ts';
import type { ActivityList } from './activities.ts';
import { activityIdOf } from './activity.ts';
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
  const elsewhere: Record<string, string> = copy.location === LOCAL ? {} : { destId: copy.location };
  const made = await backup(rest, context, copy.vendorVmRef, copy.vendorId, elsewhere);
  if (made === undefined) {
    throw refused(`the backup system ${rest.manager.name} no longer has the backup ${copy.vendorId} of ${vm.name}`);
  }
  const client = encodeURIComponent(copy.vendorVmRef);
  const path = `/clients/${client}/backups/${encodeURIComponent(copy.vendorId)}/restore:vm`;
  const json = {
    pluginNumber: made.pluginNumber ?? entity.pluginNumber,
    vcCid: entity.vcenter.cid,
    vmEntityId: entity.entityId,
    // The disks' contents alone: the VM's hardware is Holdfast's to decide, and powering it on too.
    restoreConf: false,
    powerMode: 'off',
  };
  const purpose = `restore the backup ${copy.vendorId} into ${vm.name}`;
  const call = { method: 'POST', path, query: elsewhere, json, purpose } as const;
  const { body } = await rest.write(context, { ...call, answer: z.string().min(1) });
  return { vendorSessionId: body, vendorVmRef: copy.vendorVmRef };
}

/**
 * Asks Avamar to stop the session. One that has ended, or that nobody knows any more, needs no stopping.
 * @throws ExternalSystemError `REFUSED` when it goes on.
 */
export async function cancel(
  rest: AvamarRest,
  activities: ActivityList,
  context: CallContext,
  vendorSessionId: string,
): Promise<void> {
  const id = activityIdOf(vendorSessionId);
  const purpose = `cancel the activity ${id}`;
  const call = { method: 'POST', path: `/activities/${encodeURIComponent(id)}/cancel`, json: {}, purpose } as const;
  let refusal: unknown;
  try {
    const { body } = await rest.write(context, { ...call, answer: z.record(z.string(), z.unknown()).nullish() });
    if (body?.[id] !== false) return;
    refusal = refused(`the backup system ${rest.manager.name} did not ${purpose}`);
  } catch (error) {
    if (!(error instanceof ExternalSystemError) || error.kind !== 'REFUSED') throw error;
    refusal = error;
  }
  const now = await lookAfter(refusal, () => activities.session(context, vendorSessionId));
  if (now !== undefined && !now.isCanceling && !sessionEnded(now.report.state)) throw refusal;
}
