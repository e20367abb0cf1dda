/**
 * The steps of backups and restores. A start has no name by which it could be found again, so it is recorded as an
 * intent, claimed by one attempt, and after a lost answer only searched for.
 * @module
 */
import {
  claimedIntent,
  claimIntent,
  type IntentRow,
  noteLook,
  openIntent,
  releaseClaim,
  resolveIntent,
} from '../db/intents.ts';
import { rememberReference } from '../db/operation-context.ts';
import { setOutcomeKnown } from '../db/operations.ts';
import { copyById, noteGone } from '../db/result-copies.ts';
import { otherSessions, recordSession, type SessionRow, sessionOfOperation } from '../db/sessions.ts';
import { markManagerUsed } from '../db/watches.ts';
import { HoldfastError } from '../domain/errors.ts';
import { backupPluginType } from '../domain/plugin-types.ts';
import type { VmSessionKind } from '../domain/results.ts';
import type { StepActivities, StepInput } from '../workflows/contract.ts';
import type { CopyRef, FoundSession, ProtectedVm } from './backup-systems/backup-system.ts';
import type { ConnectedManager } from './backup-systems/managers.ts';
import { type CallContext, ExternalSystemError } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { forward, NotYet, type StepAttempt, type StepOutcome } from './recorded-step.ts';
import { markedMachines } from './restored-machine.ts';
import { protectedVm } from './schedules.ts';

/** How often a lost start is looked for. Milliseconds. */
export const LOOK_AGAIN_MS = 3_000;
/** How often one that nobody can tell from another is looked for. Milliseconds. */
const LOOK_RARELY_MS = 60_000;

/** A session that has been begun, as the vendor names it. */
interface BegunSession {
  readonly vendorSessionId: string;
  readonly vendorVmRef: string;
}

/** What differs between starting a backup and starting a restore. */
interface Start {
  readonly kind: VmSessionKind;
  /** Restores: the copy to restore. */
  readonly copy: CopyRef | null;
  readonly send: (manager: ConnectedManager, vm: ProtectedVm, call: CallContext) => Promise<BegunSession>;
}

/** The activities of REQUEST_BACKUP and REQUEST_RESTORE. */
export function requestActivities(deps: Dependencies): Pick<StepActivities, 'requestBackup' | 'requestRestore'> {
  return {
    requestBackup: (input) =>
      forward(deps, 'REQUEST_BACKUP', input, (attempt) => {
        const retentionDays = attempt.operation.request.retentionDays ?? 30;
        return requestSession(deps, attempt, input, {
          kind: 'BACKUP',
          copy: null,
          send: (manager, vm, call) => manager.system.startBackup(call, vm, { retentionDays, disks: null }),
        });
      }),

    requestRestore: (input) =>
      forward(deps, 'REQUEST_RESTORE', input, async (attempt) => {
        const { copyId } = attempt.operation.request;
        const row = copyId === undefined ? undefined : await copyById(deps.db, copyId);
        if (row === undefined) throw new HoldfastError('BACKUP_STATUS_FOR_RESTORE', 'the copy to restore is not known');
        const copy = { vendorVmRef: row.vendor_vm_ref, vendorId: row.vendor_id, location: row.location };
        return requestSession(deps, attempt, input, {
          kind: 'RESTORE',
          copy,
          send: async (manager, vm, call) => {
            if (row.state !== 'LISTED') {
              throw new HoldfastError('BACKUP_STATUS_FOR_RESTORE', 'the copy to restore is not listed any more');
            }
            try {
              return await manager.system.startRestore(call, vm, copy);
            } catch (error) {
              // It may be gone: the next check says so, and until then others are chosen before it.
              if (error instanceof ExternalSystemError && error.kind === 'REFUSED') await noteGone(deps.db, row.id);
              throw error;
            }
          },
        });
      }),
  };
}

async function requestSession(
  deps: Dependencies,
  attempt: StepAttempt,
  input: StepInput,
  start: Start,
): Promise<StepOutcome> {
  const known = await sessionOfOperation(deps.db, attempt.operation.id);
  if (known !== undefined) return { made: { sessionId: known.id } };
  const { managerId } = input;
  if (managerId === null) throw new Error('a session needs a backup manager');
  const intent = await openIntent(deps.db, {
    operationId: attempt.operation.id,
    vmId: attempt.vm.id,
    managerId,
    kind: start.kind === 'BACKUP' ? 'START_BACKUP' : 'START_RESTORE',
  });
  if (intent.claimed_at !== null) {
    const sessionId = await findLostStart(deps, attempt, intent, start);
    if (sessionId !== undefined) return { made: { sessionId } };
    if (start.kind === 'RESTORE') {
      const { name } = await deps.managers.connect(managerId);
      throw new HoldfastError(
        'RESTORE_NOT_STARTED',
        `${name} did not answer and lists no restore; it was not started a second time`,
      );
    }
    throw new NotYet('the start has left nothing; it is sent again', LOOK_AGAIN_MS);
  }
  const manager = await deps.managers.connect(managerId);
  await markManagerUsed(deps.db, managerId);
  if (start.kind === 'RESTORE' && backupPluginType(manager.type)?.constraints.restoresAsNewMachine === true) {
    // Kept once, before the first start: a later attempt may see what that one has restored.
    await attempt.keepForUndo({ machines: await markedMachines(deps, attempt) });
  }
  return { made: { sessionId: await claimAndSend(deps, attempt, manager, intent, start) } };
}

/** Claims the intent and sends the start, once. */
async function claimAndSend(
  deps: Dependencies,
  attempt: StepAttempt,
  manager: ConnectedManager,
  intent: IntentRow,
  start: Start,
): Promise<string> {
  const vm = await protectedVm(deps, attempt, manager.id);
  const vendorVmRef = await manager.system.vmReference(attempt.call, vm);
  await attempt.record((trx) =>
    rememberReference(trx, { vmId: vm.id, system: 'BACKUP_SYSTEM', systemId: manager.id, ref: vendorVmRef }),
  );
  const vendorTime = await manager.system.serverTime(attempt.call);
  const claimed = await claimIntent(deps.db, intent.id, {
    epoch: attempt.epoch,
    vendorTime,
    subject: { vendorVmRef, ...(start.copy === null ? {} : { vendorBackupId: start.copy.vendorId }) },
  });
  if (!claimed) throw new NotYet('another attempt has sent the start', LOOK_AGAIN_MS);
  // Until permission to write is asked for nothing can have been begun, whatever fails.
  let sending = false;
  const call: CallContext = {
    ...attempt.call,
    beforeWrite: async () => {
      await attempt.call.beforeWrite();
      sending = true;
    },
  };
  try {
    const begun = await start.send(manager, { ...vm, vendorRefs: [vendorVmRef, ...vm.vendorRefs] }, call);
    return await keepSession(attempt, manager, intent, start, begun, vendorTime);
  } catch (error) {
    const kind = error instanceof ExternalSystemError ? error.kind : undefined;
    if (!sending || kind === 'UNREACHABLE' || kind === 'LOGIN_REFUSED') {
      await releaseClaim(deps.db, intent.id, attempt.epoch);
    } else if (kind === 'REFUSED') {
      await resolveIntent(deps.db, intent.id, 'ABSENT', null);
    } else if (error instanceof ExternalSystemError) {
      // It may have been begun: from here on it is only looked for.
      throw new NotYet(error.message, LOOK_AGAIN_MS, kind !== 'NO_ANSWER');
    }
    throw error;
  }
}

/**
 * What an operation that gives up its backup has begun: the session that is known, or the one that a start with a lost
 * answer has left.
 * @returns `undefined` when nothing was begun.
 */
export async function begunBackup(deps: Dependencies, attempt: StepAttempt): Promise<SessionRow | undefined> {
  const known = await sessionOfOperation(deps.db, attempt.operation.id);
  if (known !== undefined) return known;
  const intent = await claimedIntent(deps.db, attempt.operation.id);
  if (intent === undefined) return undefined;
  await findLostStart(deps, attempt, intent, { kind: 'BACKUP' });
  return sessionOfOperation(deps.db, attempt.operation.id);
}

/**
 * Looks for what a claimed start has left, until it is found or has certainly left nothing. While the backup system
 * cannot be asked nobody knows, so no time limit ends this: the VM stays locked.
 * @returns the session's id; `undefined` when the start has certainly left nothing.
 */
async function findLostStart(
  deps: Dependencies,
  attempt: StepAttempt,
  intent: IntentRow,
  start: Pick<Start, 'kind'>,
): Promise<string | undefined> {
  const unknown = async (reason: string, lookAgainMs: number): Promise<never> => {
    await noteLook(deps.db, intent.id, false);
    await setOutcomeKnown(deps.db, attempt.operation.id, false, reason);
    throw new NotYet(reason, lookAgainMs);
  };
  const looked = await lookForStart(deps, attempt, intent, start).catch((error: unknown) => {
    // Not even a plugin that is not loaded any more may end this: what was begun may be running.
    if (!(error instanceof ExternalSystemError || error instanceof HoldfastError)) throw error;
    return unknown(`nobody can be asked what became of the start: ${error.message}`, LOOK_AGAIN_MS);
  });
  const { manager, found } = looked;
  if (found === 'AMBIGUOUS') {
    const what = start.kind.toLowerCase();
    return unknown(`a ${what} is there that may or may not be this operation's; it is not touched`, LOOK_RARELY_MS);
  }
  await setOutcomeKnown(deps.db, attempt.operation.id, true, null);
  if (found !== 'NONE') return keepSession(attempt, manager, intent, start, found, found.startedAt);

  if ((await noteLook(deps.db, intent.id, true)) < manager.system.quietPeriodMs) {
    throw new NotYet('looking for what a start with a lost answer has left', LOOK_AGAIN_MS);
  }
  await resolveIntent(deps.db, intent.id, 'ABSENT', null);
  return undefined;
}

async function lookForStart(
  deps: Dependencies,
  attempt: StepAttempt,
  intent: IntentRow,
  start: Pick<Start, 'kind'>,
): Promise<{ manager: ConnectedManager; found: FoundSession }> {
  const manager = await deps.managers.connect(intent.manager_id);
  const found = await manager.system.findSession(attempt.call, {
    kind: start.kind,
    vendorVmRef: intent.subject.vendorVmRef ?? '',
    vendorTime: intent.vendor_time ?? intent.created_at,
    vendorBackupId: intent.subject.vendorBackupId ?? null,
    notThese: await otherSessions(deps.db, manager.id, attempt.vm.id, attempt.operation.id),
  });
  return { manager, found };
}

/** Records the session with its result and closes the intent, in one transaction. */
async function keepSession(
  attempt: StepAttempt,
  manager: ConnectedManager,
  intent: IntentRow,
  start: Pick<Start, 'kind'>,
  begun: BegunSession,
  startedAt: Date,
): Promise<string> {
  const { operation, vm } = attempt;
  return attempt.record(async (trx) => {
    const session = await recordSession(trx, {
      managerId: manager.id,
      vm: { id: vm.id, name: vm.name, enterpriseId: operation.enterprise_id },
      vendorSessionId: begun.vendorSessionId,
      vendorVmRef: begun.vendorVmRef,
      kind: start.kind,
      operationId: operation.id,
      origin: 'ON_DEMAND',
      policyId: operation.request.policyId ?? null,
      replication: operation.request.replication === true,
      resultId: operation.request.resultId ?? null,
      state: 'RUNNING',
      startedAt,
    });
    await resolveIntent(trx, intent.id, 'FOUND', begun.vendorSessionId);
    return session.id;
  });
}
