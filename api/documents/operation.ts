/**
 * The documents of operations: the whole story, also after the run is gone from Temporal.
 * @module
 */
import { z } from 'zod';
import type { OperationSummaryView, OperationView } from '../../db/operation-list.ts';
import {
  OPEN_STATES,
  OPERATION_KINDS,
  type OperationError as DomainError,
  STEP_NAMES,
  TERMINAL_STATES,
} from '../../domain/operations.ts';
import type { Config } from '../../temporal.config.ts';
import { Id, iso, Moment } from '../fields.ts';
import { errorPage } from '../problems.ts';
import { Residue, toResidue } from './residue.ts';

const OperationError = z
  .object({
    type: z.string().describe('The page about this code.'),
    code: z.string(),
    message: z.string(),
    vendorMessage: z.string().nullable().describe('What the other system said, in its own words.'),
  })
  .meta({ id: 'OperationError' });

const Compensation = z.object({
  state: z.enum(['RUNNING', 'DONE', 'FAILED', 'SKIPPED']),
  attempts: z.int(),
  error: OperationError.nullable(),
  startedAt: Moment.nullable(),
  endedAt: Moment.nullable(),
});

const Step = z
  .object({
    name: z.enum(STEP_NAMES),
    manager: z.object({ id: Id, name: z.string() }).nullable(),
    state: z.enum(['PENDING', 'RUNNING', 'DONE', 'FAILED', 'SKIPPED']),
    reason: z.string().nullable().describe('Why it was skipped, or what is worth knowing about its end.'),
    attempts: z.int(),
    startedAt: Moment.nullable(),
    endedAt: Moment.nullable(),
    error: OperationError.nullable(),
    compensation: Compensation.nullable().describe('How it was undone; null when that was not needed.'),
  })
  .meta({ id: 'Step' });

const SUMMARY = {
  id: Id,
  kind: z.enum(OPERATION_KINDS),
  origin: z.enum(['HOLDFAST', 'BACKUP_SYSTEM']),
  state: z.enum([...OPEN_STATES, ...TERMINAL_STATES]),
  vm: z.object({ id: Id, name: z.string() }),
  enterpriseId: Id,
  datacenterId: Id,
  progress: z.int().describe('0 to 100.'),
  needsAttention: z.boolean(),
  attentionReason: z.string().nullable(),
  requestedBy: z.string(),
  createdAt: Moment,
  startedAt: Moment.nullable(),
  finishedAt: Moment.nullable(),
  cancelRequestedAt: Moment.nullable(),
  settlement: z
    .object({
      outcome: z.enum(['SUCCEEDED', 'FAILED']),
      reason: z.string(),
      by: z.string(),
      at: Moment,
    })
    .nullable()
    .describe('How an operator decided that it ends; it does so when nothing that it wrote can still take effect.'),
  error: OperationError.nullable(),
};

/** An operation in a list. */
export const OperationSummary = z
  .object({ ...SUMMARY, links: z.object({ self: z.string(), vm: z.string(), temporalUi: z.string() }) })
  .meta({ id: 'OperationSummary' });

/** An operation with its steps. */
export const Operation = z
  .object({
    ...SUMMARY,
    request: z.record(z.string(), z.unknown()).describe('What was asked for beyond the kind.'),
    steps: z.array(Step),
    residue: z.array(Residue),
    links: z.object({
      self: z.string(),
      vm: z.string(),
      temporalUi: z.string(),
      events: z.string(),
      backupResult: z.string().optional().describe('The backup that it made, or that it restored.'),
      retryCleanup: z.string().optional().describe('POST clears what is left behind.'),
      restores: z.string().optional().describe('The restores of the backup that it restored.'),
    }),
  })
  .meta({ id: 'Operation' });

type TemporalSettings = Pick<Config['temporal'], 'uiUrl' | 'namespace'>;

/** The row of a list as it is answered. */
export function toOperationSummary(
  row: OperationSummaryView,
  temporal: TemporalSettings,
): z.infer<typeof OperationSummary> {
  return {
    id: row.id,
    kind: row.kind,
    origin: row.origin,
    state: row.state,
    vm: { id: row.vm_id, name: row.vm_name },
    enterpriseId: row.enterprise_id,
    datacenterId: row.datacenter_id,
    progress: row.progress,
    needsAttention: row.needs_attention,
    attentionReason: row.attention_reason,
    requestedBy: row.requested_by,
    createdAt: iso(row.created_at),
    startedAt: iso(row.started_at),
    finishedAt: iso(row.finished_at),
    cancelRequestedAt: iso(row.cancel_requested_at),
    settlement: row.settlement,
    error: toError(row.error),
    links: {
      self: `/v1/operations/${row.id}`,
      vm: `/v1/virtual-machines/${row.vm_id}`,
      temporalUi: temporalUi(row, temporal),
    },
  };
}

/** The row as it is answered. */
export function toOperation(row: OperationView, temporal: TemporalSettings): z.infer<typeof Operation> {
  const { links, ...summary } = toOperationSummary(row, temporal);
  const restored = row.restore_results[0]?.result_id;
  const result = row.backup_results[0]?.id ?? restored ?? row.request.resultId;
  return {
    ...summary,
    request: { ...row.request },
    steps: row.steps.map(toStep),
    residue: row.residue.map(toResidue),
    links: {
      ...links,
      events: `/v1/events?operationId=${row.id}`,
      ...(result == null ? {} : { backupResult: `/v1/backup-results/${result}` }),
      ...(row.residue.some((left) => left.cleared_at === null)
        ? { retryCleanup: `/v1/operations/${row.id}/retry-cleanup` }
        : {}),
      ...(restored == null ? {} : { restores: `/v1/backup-results/${restored}/restores` }),
    },
  };
}

function toStep(step: OperationView['steps'][number]): z.infer<typeof Step> {
  const { manager_id: managerId, manager_name: managerName, compensation } = step;
  return {
    name: step.name,
    manager: managerId === null || managerName === null ? null : { id: managerId, name: managerName },
    state: step.state,
    reason: step.reason,
    attempts: step.attempts,
    startedAt: moment(step.first_attempt_at),
    endedAt: moment(step.ended_at),
    error: toError(step.error),
    compensation:
      compensation === null
        ? null
        : {
            state: compensation,
            attempts: step.compensation_attempts,
            error: toError(step.compensation_error),
            startedAt: moment(step.compensation_started_at),
            endedAt: moment(step.compensation_ended_at),
          },
  };
}

/** The run's page; until a run is bound, the page of its workflow. */
function temporalUi(row: OperationSummaryView, { uiUrl, namespace }: TemporalSettings): string {
  const workflow = `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(row.workflow_id)}`;
  return row.run_id === null ? workflow : `${workflow}/${row.run_id}`;
}

function toError(error: DomainError | null): z.infer<typeof OperationError> | null {
  if (error === null) return null;
  const { code, message, vendorMessage } = error;
  return { type: errorPage(code), code, message, vendorMessage: vendorMessage ?? null };
}

function moment(text: string | null): string | null {
  return text === null ? null : new Date(text).toISOString();
}
