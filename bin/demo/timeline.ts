/**
 * The operations of the demo in the order in which they began.
 * @module
 */
import type { OperationSummary } from './documents.ts';
import { aligned } from './screen.ts';
import { clock, duration, slug } from './wording.ts';

/** One operation of the timeline. */
export interface TimelineEntry {
  readonly line: string;
  /** Its page in the Temporal UI. */
  readonly link: string;
}

/**
 * A line for each operation: when it began, what it was, on which VM, how it ended and how long it took.
 * @param operations in any order.
 */
export function timeline(operations: readonly OperationSummary[]): TimelineEntry[] {
  const ordered = operations.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt));
  const lines = aligned(
    ordered.map((operation) => [
      clock(operation.createdAt),
      slug(operation.kind),
      operation.vm.name,
      operation.state + (operation.error === null ? '' : ` (${operation.error.code})`),
      took(operation),
    ]),
  );
  return ordered.map((operation, index) => ({ line: lines[index] ?? '', link: operation.links.temporalUi }));
}

function took({ createdAt, finishedAt }: OperationSummary): string {
  return finishedAt === null ? 'goes on' : duration(Date.parse(finishedAt) - Date.parse(createdAt));
}
