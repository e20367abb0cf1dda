/**
 * What Holdfast needs to find in a Temporal namespace.
 * @module
 */
import type { Connection } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../workflows/search-attributes.ts';

const INDEXED_VALUE_TYPES = { KEYWORD: 2, BOOL: 5 } as const;

/** Registers the search attributes that are missing: a run that uses one which is not registered cannot start. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((key) => !(key.name in (customAttributes ?? {})));
  if (missing.length === 0) return;
  await connection.operatorService
    .addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((key) => [key.name, INDEXED_VALUE_TYPES[key.type]])),
    })
    .catch((error: unknown) => {
      // Another worker registered them at the same moment.
      if (!(error instanceof Error && /already exist/i.test(error.message))) throw error;
    });
}
