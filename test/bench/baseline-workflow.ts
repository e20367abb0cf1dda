/**
 * What the product is compared with: a workflow that runs activities that do nothing, one after the other, as many as
 * a deploy does and with inputs and results of the same size.
 * @module
 */
import { proxyActivities } from '@temporalio/workflow';

/** JSON bytes of the input and of the result of one activity. */
export type ActivityShape = readonly [input: number, result: number];

/** As long as the input of a deploy, by its padding. */
export interface BaselineInput {
  readonly shape: readonly ActivityShape[];
  readonly padding: string;
}

/** The only activity of the baseline. */
export interface BaselineActivities {
  /** Answers a text of that many JSON bytes; with 0 nothing. */
  noOp(input: string): Promise<string | undefined>;
}

const { noOp } = proxyActivities<BaselineActivities>({ startToCloseTimeout: '10 minutes' });

/** Runs the activities in turn. Each input begins with the length of its answer. */
export async function baseline({ shape }: BaselineInput): Promise<void> {
  for (const [input, result] of shape) await noOp(paddedTo(input, `${result} `));
}

/** A text that takes so many bytes as JSON. */
function paddedTo(bytes: number, text: string): string {
  return text.padEnd(bytes - 2, '.');
}
