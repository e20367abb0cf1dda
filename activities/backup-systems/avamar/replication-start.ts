/**
 * Copying one backup now.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { BackupSystem, ProtectedVm } from '../backup-system.ts';
import type { ActivityList } from './activities.ts';
import { partsOf } from './backup-id.ts';
import type { AvamarConfig } from './config.ts';
import { groupForOnce } from './replication-groups.ts';
import { plannedDestination } from './replication-target.ts';
import type { AvamarRest } from './rest.ts';
import { backup, createdAt } from './results.ts';
import type { Started } from './starts.ts';

/** How often a run that was begun is looked for before a later attempt goes on with that, and the first pause. */
const LOOKS = 6;
const FIRST_PAUSE_MS = 100;

/** `RequestResult` of the swagger. */
const Results = z.array(
  z.object({ success: z.boolean().nullish(), error: z.object({ message: z.string().nullish() }).nullish() }),
);

/**
 * Copies a backup of the VM, and no other: those that nobody asked to copy stay where they are. A run that an earlier
 * attempt has begun is taken for this one; one that is begun twice finds the copy and makes none.
 */
export async function startReplication(
  rest: AvamarRest,
  activities: ActivityList,
  config: AvamarConfig,
  context: CallContext,
  vm: ProtectedVm,
  { vendorVmRef, vendorBackupId, since }: Parameters<BackupSystem['startReplication']>[2],
): Promise<Started> {
  const { cid, labelNumber } = partsOf(vendorBackupId, vendorVmRef);
  const made = await backup(rest, context, cid, labelNumber);
  if (made === undefined) {
    // It was made a moment ago: one that is gone looks like one that is not listed yet.
    throw new ExternalSystemError({
      kind: 'FAILED',
      system: 'BACKUP_SYSTEM',
      message: `the backup system ${rest.manager.name} does not list the backup ${labelNumber} of ${vm.name}`,
    });
  }
  const plan = await plannedDestination(rest, config, context);
  const group = await groupForOnce(rest, config, context, vm.id, { cid, labelNumber, made: createdAt(made) }, plan);
  const look = async (): Promise<Started | undefined> => {
    const all = await activities.since(context, since);
    const run = all.find(({ groupId, report }) => groupId === group.id && report.vendorVmRef === cid);
    return run && { vendorSessionId: run.report.vendorSessionId, vendorVmRef: cid };
  };
  const begunBefore = await look();
  if (begunBefore !== undefined) return begunBefore;
  await runGroup(rest, context, group.id, `copy the backup ${labelNumber} of ${vm.name}`);
  for (let pause = FIRST_PAUSE_MS, looks = 0; looks < LOOKS; pause *= 2, looks += 1) {
    const begun = await look();
    if (begun !== undefined) return begun;
    await sleep(pause, undefined, { signal: context.signal }).catch(() => context.signal.throwIfAborted());
  }
  throw new ExternalSystemError({
    kind: 'NO_ANSWER',
    system: 'BACKUP_SYSTEM',
    message: `the backup system ${rest.manager.name} lists no replication after it had begun one for ${vm.name}`,
  });
}

async function runGroup(rest: AvamarRest, context: CallContext, groupId: string, purpose: string): Promise<void> {
  const path = `/replication/groups/${encodeURIComponent(groupId)}/run`;
  const { body } = await rest.write(context, { method: 'POST', path, json: {}, purpose, answer: Results.nullish() });
  const failed = body?.find(({ success }) => success === false);
  if (failed === undefined) return;
  const words = failed.error?.message ?? 'no reason given';
  throw new ExternalSystemError({
    // It may be at work already, or lack a resource that becomes free.
    kind: 'FAILED',
    system: 'BACKUP_SYSTEM',
    message: `the backup system ${rest.manager.name} failed to ${purpose}: ${words}`,
    vendorMessage: words,
  });
}
