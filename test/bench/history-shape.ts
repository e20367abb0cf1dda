/**
 * What a run has in its history: so that the baseline can be made of the same shape, and shown to be.
 * @module
 */
import type { Client } from '@temporalio/client';
import type { ActivityShape } from './baseline-workflow.ts';

export interface HistoryShape {
  readonly events: number;
  /** Bytes of the workflow's input. */
  readonly input: number;
  /** For each activity, in the order of their ends. */
  readonly activities: readonly ActivityShape[];
}

type Payloads = { readonly payloads?: { readonly data?: Uint8Array | null }[] | null } | null | undefined;

const bytes = (payloads: Payloads) =>
  (payloads?.payloads ?? []).reduce((sum, { data }) => sum + (data?.length ?? 0), 0);

/** Reads the history of a run that has ended. */
export async function historyShape(client: Client, workflowId: string): Promise<HistoryShape> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const inputs = new Map<string, number>();
  const activities: ActivityShape[] = [];
  for (const event of events ?? []) {
    const { activityTaskScheduledEventAttributes: scheduled, activityTaskCompletedEventAttributes: completed } = event;
    if (scheduled) inputs.set(String(event.eventId), bytes(scheduled.input));
    if (completed) activities.push([inputs.get(String(completed.scheduledEventId)) ?? 0, bytes(completed.result)]);
  }
  const started = events?.[0]?.workflowExecutionStartedEventAttributes;
  return { events: events?.length ?? 0, input: bytes(started?.input), activities };
}

/** The shape in a line: the two that are compared must read alike. */
export function shapeTold({ events, input, activities }: HistoryShape): string {
  const sizes = activities.map(([given, answered]) => `${given} > ${answered}`).join(', ');
  return `${activities.length} activities, ${events} events, input of ${input} bytes; bytes in > out: ${sizes}`;
}
