import { randomUUID } from 'node:crypto';
import type { Connection } from '@temporalio/client';
import { registerSearchAttributes } from '../../activities/search-attributes.ts';

/** A namespace of its own on the shared Temporal server: every run in it is the caller's. It is served on return. */
export async function ownNamespace(connection: Connection, purpose: string): Promise<string> {
  const namespace = `${purpose}-${randomUUID()}`;
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  await servesOnce(() => registerSearchAttributes(connection, namespace));
  await servesOnce(() => connection.workflowService.countWorkflowExecutions({ namespace, query: '' }));
  return namespace;
}

/** A new namespace is served a moment after it was registered. */
async function servesOnce(ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
