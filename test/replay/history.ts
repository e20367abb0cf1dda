/**
 * Histories written by hand, as a Temporal server would have kept them: each method adds the events of one thing that
 * happened, and the command that the workflow must have given for it.
 * @module
 */
import type { Command } from './transcript.ts';

/** An error of an activity, told as the activities tell theirs. */
export interface Told {
  readonly code: string;
  readonly message: string;
}

const TASK_QUEUE = { name: 'holdfast', kind: 'TASK_QUEUE_KIND_NORMAL' };
/** All flags of the SDK: the behaviour of a run that begins today. */
const SDK = { langUsedFlags: [1, 2, 3, 4, 5, 6], coreUsedFlags: [1, 2, 3], sdkName: 'temporal-typescript' };

export class History {
  readonly workflowType: string;
  readonly events: object[] = [];
  /** What the workflow must have asked for, in order. */
  readonly commands: Command[] = [];
  /** The workflow task whose commands are being added, until something happens outside. */
  #task: number | undefined;
  #activities = 0;
  #timers = 0;
  #timer: { readonly id: string; readonly startedEvent: number } | undefined;

  constructor(workflowType: string, ...args: readonly unknown[]) {
    this.workflowType = workflowType;
    this.#happens('WORKFLOW_EXECUTION_STARTED', {
      workflowType: { name: workflowType },
      workflowId: 'replayed',
      taskQueue: TASK_QUEUE,
      input: payloads(args),
      originalExecutionRunId: 'run',
      firstExecutionRunId: 'run',
      attempt: 1,
      workflowTaskTimeout: '10s',
    });
  }

  /** The workflow schedules an activity, and it completes. */
  does(activity: string, args: readonly unknown[], result?: unknown): this {
    return this.#completed(this.#scheduled(activity, args), result);
  }

  /** The workflow schedules an activity, and it fails for good. */
  fails(activity: string, args: readonly unknown[], told: Told): this {
    return this.#failed(this.#scheduled(activity, args), told);
  }

  /** A cancellation comes while the activity runs; it is asked to stop, and stops. */
  stops(activity: string, args: readonly unknown[]): this {
    const { scheduled, asked } = this.#askedToStop(activity, args);
    this.#happens('ACTIVITY_TASK_CANCELED', {
      scheduledEventId: scheduled,
      startedEventId: this.#started(scheduled),
      latestCancelRequestedEventId: asked,
    });
    return this;
  }

  /** A cancellation comes while the activity runs; it is asked to stop, and completes before it hears of it. */
  completesFirst(activity: string, args: readonly unknown[], result?: unknown): this {
    return this.#completed(this.#askedToStop(activity, args).scheduled, result);
  }

  /** A cancellation comes while the activity runs; it is asked to stop, and fails before it hears of it. */
  failsFirst(activity: string, args: readonly unknown[], told: Told): this {
    return this.#failed(this.#askedToStop(activity, args).scheduled, told);
  }

  /** A cancellation comes while the activity runs; it is asked to stop, and the workflow does not wait for it. */
  isLeft(activity: string, args: readonly unknown[]): this {
    this.#askedToStop(activity, args);
    return this;
  }

  /** Something happens while the activity runs, and the workflow does nothing about it before the activity completes. */
  meanwhile(happens: (history: this) => void, activity: string, args: readonly unknown[], result?: unknown): this {
    const scheduled = this.#scheduled(activity, args);
    happens(this);
    return this.doesNothing().#completed(scheduled, result);
  }

  /** An activity that a cancelled run never schedules. The SDK uses up its number all the same. */
  neverSchedules(): this {
    this.#activities += 1;
    return this;
  }

  /** The workflow sees what has happened and asks for nothing. */
  doesNothing(): this {
    this.#nextTask();
    return this;
  }

  /** Somebody asks for the run to be cancelled. */
  cancelRequested(): this {
    this.#happens('WORKFLOW_EXECUTION_CANCEL_REQUESTED', { cause: 'asked for' });
    return this;
  }

  hears(signal: string): this {
    this.#happens('WORKFLOW_EXECUTION_SIGNALED', { signalName: signal, input: payloads([]) });
    return this;
  }

  /** The workflow begins to wait. */
  waits(milliseconds: number): this {
    this.#timers += 1;
    const id = String(this.#timers);
    const startedEvent = this.#commands(
      'TIMER_STARTED',
      { timerMs: milliseconds },
      {
        timerId: id,
        startToFireTimeout: `${milliseconds / 1000}s`,
      },
    );
    this.#timer = { id, startedEvent };
    return this;
  }

  /** What the workflow would wait for has happened already: the server never hears of the timer. */
  needNotWait(milliseconds: number): this {
    this.#timers += 1;
    this.commands.push({ timerMs: milliseconds }, { stop: 'timer' });
    return this;
  }

  /** The time that the workflow waits for has passed. */
  timePasses(): this {
    const { id, startedEvent } = this.#waiting();
    this.#happens('TIMER_FIRED', { timerId: id, startedEventId: startedEvent });
    return this;
  }

  /** The workflow has heard what it waited for. */
  stopsWaiting(): this {
    const { id, startedEvent } = this.#waiting();
    this.#commands('TIMER_CANCELED', { stop: 'timer' }, { timerId: id, startedEventId: startedEvent });
    return this;
  }

  /** The workflow sets search attributes. */
  sets(attributes: Readonly<Record<string, unknown>>): this {
    const indexedFields = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, payload(value)]));
    this.#commands('UPSERT_WORKFLOW_SEARCH_ATTRIBUTES', { attributes }, { searchAttributes: { indexedFields } });
    return this;
  }

  succeeded(result?: unknown): this {
    this.#commands('WORKFLOW_EXECUTION_COMPLETED', { succeeded: result }, { result: payloads([result]) });
    return this;
  }

  /** @param type the type of the application failure at the bottom. */
  failed(type: string): this {
    const failure = { message: type, source: 'TypeScriptSDK', applicationFailureInfo: { type } };
    this.#commands('WORKFLOW_EXECUTION_FAILED', { failed: type }, { failure });
    return this;
  }

  cancelled(): this {
    this.#commands('WORKFLOW_EXECUTION_CANCELED', { cancelled: true }, {});
    return this;
  }

  continuedAsNew(...args: readonly unknown[]): this {
    this.#commands(
      'WORKFLOW_EXECUTION_CONTINUED_AS_NEW',
      { again: args },
      {
        newExecutionRunId: 'next',
        workflowType: { name: this.workflowType },
        taskQueue: TASK_QUEUE,
        input: payloads(args),
      },
    );
    return this;
  }

  #scheduled(activity: string, args: readonly unknown[]): number {
    this.#activities += 1;
    return this.#commands(
      'ACTIVITY_TASK_SCHEDULED',
      { activity, args },
      {
        activityId: String(this.#activities),
        activityType: { name: activity },
        taskQueue: TASK_QUEUE,
        input: payloads(args),
      },
    );
  }

  #askedToStop(activity: string, args: readonly unknown[]): { scheduled: number; asked: number } {
    const scheduled = this.#scheduled(activity, args);
    this.cancelRequested();
    const asked = this.#commands(
      'ACTIVITY_TASK_CANCEL_REQUESTED',
      { stop: 'activity' },
      {
        scheduledEventId: scheduled,
      },
    );
    return { scheduled, asked };
  }

  #started(scheduled: number): number {
    return this.#happens('ACTIVITY_TASK_STARTED', { scheduledEventId: scheduled, attempt: 1 });
  }

  #completed(scheduled: number, result: unknown): this {
    const startedEventId = this.#started(scheduled);
    this.#happens('ACTIVITY_TASK_COMPLETED', {
      scheduledEventId: scheduled,
      startedEventId,
      result: payloads([result]),
    });
    return this;
  }

  #failed(scheduled: number, told: Told): this {
    const applicationFailureInfo = { type: told.code, nonRetryable: true, details: payloads([told]) };
    this.#happens('ACTIVITY_TASK_FAILED', {
      scheduledEventId: scheduled,
      startedEventId: this.#started(scheduled),
      failure: { message: told.message, source: 'TypeScriptSDK', applicationFailureInfo },
      retryState: 'RETRY_STATE_NON_RETRYABLE_FAILURE',
    });
    return this;
  }

  #waiting() {
    if (this.#timer === undefined) throw new Error('the history waits for nothing');
    return this.#timer;
  }

  /** Something that the workflow did: part of the workflow task that is under way. */
  #commands(event: string, command: Command, attributes: object): number {
    this.commands.push(command);
    const workflowTaskCompletedEventId = this.#task ?? this.#nextTask();
    return this.#add(event, { ...attributes, workflowTaskCompletedEventId });
  }

  /** Something that happened outside: the workflow sees it in its next task. */
  #happens(event: string, attributes: object): number {
    this.#task = undefined;
    return this.#add(event, attributes);
  }

  #nextTask(): number {
    const scheduledEventId = this.#add('WORKFLOW_TASK_SCHEDULED', { taskQueue: TASK_QUEUE, attempt: 1 });
    const startedEventId = this.#add('WORKFLOW_TASK_STARTED', { scheduledEventId });
    this.#task = this.#add('WORKFLOW_TASK_COMPLETED', { scheduledEventId, startedEventId, sdkMetadata: SDK });
    return this.#task;
  }

  #add(type: string, attributes: object): number {
    const eventId = this.events.length + 1;
    const name = type.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    this.events.push({
      eventId: String(eventId),
      eventTime: '2026-01-01T00:00:00Z',
      eventType: `EVENT_TYPE_${type}`,
      [`${name}EventAttributes`]: attributes,
    });
    return eventId;
  }
}

function payloads(values: readonly unknown[]) {
  return { payloads: values.map(payload) };
}

function payload(value: unknown) {
  if (value === undefined) return { metadata: { encoding: base64('binary/null') } };
  return { metadata: { encoding: base64('json/plain') }, data: base64(JSON.stringify(value)) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
