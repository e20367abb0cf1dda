/**
 * Looking at sessions: the one that an operation waits for, and those that must not be running when a VM is touched.
 * @module
 */
import { ApplicationFailure, activityInfo, Context, heartbeat } from '@temporalio/activity';
import {
  managerNames,
  managersKnowing,
  type OperationContext,
  operationContext,
  vendorRefs,
} from '../db/operation-context.ts';
import { isHeldBy, setOutcomeKnown } from '../db/operations.ts';
import type { WorkflowRun } from '../db/runs.ts';
import { runningSessionOf, sessionOfOperation } from '../db/sessions.ts';
import { recordWatch } from '../db/steps.ts';
import { sessionsWatermark } from '../db/watches.ts';
import { recordOperationEvent } from '../db/events.ts';
import { HoldfastError } from '../domain/errors.ts';
import { sessionEnded, sessionSucceeded } from '../domain/results.ts';
import type { SessionView, StepActivities, StepInput } from '../workflows/contract.ts';
import { type CallContext, ExternalSystemError } from './calls.ts';
import type { Dependencies } from './dependencies.ts';
import { describeError, fencedFailure, forward } from './recorded-step.ts';

/** Looks overlap by this much: a session may be listed some time after it began. Milliseconds. */
export const SESSION_OVERLAP_MS = 10 * 60_000;
/** How far back the first look at a backup system goes. Milliseconds. */
export const FIRST_LOOK_MS = 24 * 3_600_000;

/** The run that this activity belongs to. */
export function currentRun(): WorkflowRun {
  return activityInfo().workflowExecution as WorkflowRun;
}

/** The id of the run that this activity belongs to. */
export function currentRunId(): string {
  return currentRun().runId;
}

/** A context for calls outside of a step: a write needs the operation to be this run's. */
export function operationCall(deps: Dependencies, operationId: string): CallContext {
  const runId = currentRunId();
  return {
    signal: Context.current().cancellationSignal,
    beforeWrite: async () => {
      if (!(await isHeldBy(deps.db, operationId, runId))) throw fencedFailure('the operation is not this run’s');
    },
    progress: (note) => heartbeat(note),
  };
}

/** The newest known state of an operation's session; a session whose state nobody can tell needs attention. */
export async function lookAtSession(deps: Dependencies, operationId: string): Promise<SessionView> {
  const runId = currentRunId();
  if (!(await isHeldBy(deps.db, operationId, runId))) throw fencedFailure('the operation is not this run’s');
  const session = await sessionOfOperation(deps.db, operationId);
  if (session === undefined) {
    throw ApplicationFailure.nonRetryable('the operation has no session to wait for', 'SESSION_LOST');
  }
  const ended = sessionEnded(session.state);
  const succeeded = sessionSucceeded(session.state);
  const known = session.state !== 'UNKNOWN';
  await setOutcomeKnown(deps.db, operationId, known, 'the backup system does not say what became of the session');
  const message = session.message ?? `the session ended ${session.state}`;
  await recordWatch(deps.db, operationId, runId, {
    state: ended ? (succeeded ? 'DONE' : 'FAILED') : 'RUNNING',
    error: ended && !succeeded ? { code: `${session.kind}_FAILED`, message } : null,
  });
  return { kind: session.kind, state: session.state, ended, succeeded, message: session.message };
}

/** The activities that look at sessions on behalf of an operation. */
export function observationActivities(
  deps: Dependencies,
): Pick<StepActivities, 'observeSession' | 'ensureNoSession' | 'cancelSession'> {
  return {
    observeSession: (input) =>
      forward(deps, 'OBSERVE', input, async (attempt) => {
        const session = await sessionOfOperation(deps.db, attempt.operation.id);
        if (session === undefined) throw new HoldfastError('SESSION_LOST', 'the operation has no session to observe');
        return { made: { sessionId: session.id } };
      }),

    ensureNoSession: async (input) => {
      try {
        await ensureNoSession(deps, input);
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        const told = describeError(error);
        throw ApplicationFailure.create({
          type: told.code,
          message: told.message,
          details: [told],
          nonRetryable: true,
        });
      }
    },

    cancelSession: async (input) => {
      const session = await sessionOfOperation(deps.db, input.operationId);
      if (session === undefined || sessionEnded(session.state)) return false;
      const manager = await deps.managers.connect(session.manager_id);
      try {
        await manager.system.cancel(operationCall(deps, input.operationId), session.vendor_session_id);
        return true;
      } catch (error) {
        if (!(error instanceof ExternalSystemError) || error.transient) throw error;
        // It cannot be stopped, so it is waited for.
        deps.logger.warn({ err: error, operationId: input.operationId }, 'the backup system does not stop the session');
        return false;
      }
    },
  };
}

/**
 * Asks every backup system that knows the VM whether it is working on it.
 * @throws HoldfastError VM_BEING_BACKED_UP; BACKUP_SYSTEM_UNREACHABLE where one cannot be asked, unless the operation
 * goes on without its answer.
 */
export async function ensureNoSession(deps: Dependencies, input: StepInput): Promise<void> {
  const context = await operationContext(deps.db, input.operationId);
  const { operation, vm, datacenter } = context;
  const forced = operation.request.forceUndeploy === true;
  const names = await managerNames(deps.db, datacenter.id);
  for (const managerId of await managersKnowing(deps.db, vm.id)) {
    const name = names.get(managerId) ?? 'a backup system';
    const running = await runningSession(deps, input.operationId, vm.id, managerId, forced).catch((error: unknown) => {
      if (!cannotBeAsked(error)) throw error;
      if (forced || operation.kind === 'POWER_OFF') return goOnUnasked(deps, context, name);
      if (error instanceof HoldfastError) throw error;
      throw new HoldfastError(
        'BACKUP_SYSTEM_UNREACHABLE',
        `${name} cannot be asked whether it is working on ${vm.name}: ${error.message}`,
      );
    });
    if (running !== undefined) {
      throw new HoldfastError(
        'VM_BEING_BACKED_UP',
        `${name} is working on ${vm.name} (session ${running}). Try again when it has ended.`,
      );
    }
  }
}

function cannotBeAsked(error: unknown): error is Error {
  if (error instanceof ExternalSystemError) return true;
  return error instanceof HoldfastError && error.code === 'BACKUP_PLUGIN_NOT_LOADED';
}

/** A backup system that is dead must not keep a VM alive: it is passed over, and that is said. */
async function goOnUnasked(
  deps: Dependencies,
  { operation, vm }: OperationContext,
  managerName: string,
): Promise<undefined> {
  const undeploy = operation.kind === 'UNDEPLOY';
  await recordOperationEvent(deps.db, operation, {
    action: undeploy ? 'UNDEPLOY_UNCHECKED' : 'POWER_OFF_UNCHECKED',
    severity: 'WARN',
    message: `${vm.name} is ${undeploy ? 'undeployed' : 'switched off'} without asking ${managerName}, which cannot be reached.`,
    principal: operation.requested_by,
  });
  return undefined;
}

/**
 * A session of the manager that is working on the VM now; from the record, and from a look at what is new.
 * @param afresh asks the backup system also about a session that is running as far as the record knows.
 * @throws ExternalSystemError when it cannot be asked.
 */
export async function runningSession(
  deps: Dependencies,
  operationId: string,
  vmId: string,
  managerId: string,
  afresh: boolean,
): Promise<string | undefined> {
  const known = await runningSessionOf(deps.db, managerId, vmId);
  if (known !== undefined && !afresh) return known;
  const { system } = await deps.managers.connect(managerId);
  const call = operationCall(deps, operationId);
  if (known !== undefined) {
    const [report] = await system.sessions(call, [known]);
    if (report?.state === 'RUNNING') return known;
  }
  const watermark = await sessionsWatermark(deps.db, managerId);
  const since = watermark === null ? deps.clock().getTime() - FIRST_LOOK_MS : watermark.getTime() - SESSION_OVERLAP_MS;
  const refs = new Set(await vendorRefs(deps.db, vmId, managerId));
  const sessions = await system.sessionsSince(call, new Date(since));
  return sessions.find(
    ({ kind, state, vendorVmRef }) => kind !== 'REPLICATION' && state === 'RUNNING' && refs.has(vendorVmRef),
  )?.vendorSessionId;
}
