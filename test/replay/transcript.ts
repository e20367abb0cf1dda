/**
 * Runs inside the workflow sandbox: tells the test every command that a workflow gives. A replay compares only the kind
 * of a command and an activity's type with the history; here the inputs are seen too.
 * @module
 */
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { proxySinks, type ConcludeActivationInput, type Sinks, type WorkflowInterceptors } from '@temporalio/workflow';

/** One thing that a workflow asked the server for. */
export type Command =
  | { readonly activity: string; readonly args: readonly unknown[] }
  | { readonly stop: 'activity' | 'timer' }
  | { readonly timerMs: number }
  | { readonly attributes: Readonly<Record<string, unknown>> }
  | { readonly succeeded: unknown }
  | { readonly failed: string }
  | { readonly cancelled: true }
  | { readonly again: readonly unknown[] };

export interface TranscriptSinks extends Sinks {
  transcript: { gave(command: Command): void };
}

type Given = ConcludeActivationInput['commands'][number];
type Failure = NonNullable<NonNullable<Given['failWorkflowExecution']>['failure']>;

const { transcript } = proxySinks<TranscriptSinks>();

export const interceptors = (): WorkflowInterceptors => ({
  internals: [
    {
      concludeActivation(input, next) {
        for (const command of input.commands) transcript.gave(readable(command));
        return next(input);
      },
    },
  ],
});

function readable(command: Given): Command {
  if (command.scheduleActivity) {
    const { activityType, arguments: args } = command.scheduleActivity;
    return { activity: activityType ?? '', args: (args ?? []).map(valueOf) };
  }
  if (command.requestCancelActivity) return { stop: 'activity' };
  if (command.cancelTimer) return { stop: 'timer' };
  if (command.startTimer) {
    const { seconds, nanos } = command.startTimer.startToFireTimeout ?? {};
    return { timerMs: Number(seconds ?? 0) * 1000 + (nanos ?? 0) / 1e6 };
  }
  if (command.upsertWorkflowSearchAttributes) {
    const fields = command.upsertWorkflowSearchAttributes.searchAttributes?.indexedFields ?? {};
    return { attributes: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, valueOf(value)])) };
  }
  if (command.completeWorkflowExecution) {
    const { result } = command.completeWorkflowExecution;
    return { succeeded: result ? valueOf(result) : undefined };
  }
  if (command.failWorkflowExecution) return { failed: typeOf(command.failWorkflowExecution.failure) };
  if (command.cancelWorkflowExecution) return { cancelled: true };
  if (command.continueAsNewWorkflowExecution) {
    return { again: (command.continueAsNewWorkflowExecution.arguments ?? []).map(valueOf) };
  }
  throw new Error(`a command that no history here tells of: ${Object.keys(command).join(', ')}`);
}

function valueOf(payload: Payload): unknown {
  return defaultPayloadConverter.fromPayload(payload);
}

function typeOf(failure: Failure | null | undefined): string {
  return failure?.applicationFailureInfo?.type ?? (failure?.cause ? typeOf(failure.cause) : 'UNTYPED');
}
