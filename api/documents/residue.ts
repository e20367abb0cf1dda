import { z } from 'zod';
import { Id, Moment } from '../fields.ts';

/** What an operation had to leave behind. */
export const Residue = z
  .object({
    id: Id,
    operationId: Id,
    system: z.enum(['HYPERVISOR', 'BACKUP_SYSTEM']),
    systemName: z.string(),
    ref: z.string().describe('What that system calls it.'),
    description: z.string(),
    removeWith: z.string().describe('The call that removes it.'),
    createdAt: Moment,
    clearedAt: Moment.nullable(),
  })
  .meta({ id: 'Residue' });

interface ResidueView {
  readonly id: string;
  readonly operation_id: string;
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  readonly system_name: string;
  readonly ref: string;
  readonly description: string;
  readonly remove_with: string;
  readonly created_at: string;
  readonly cleared_at?: string | null;
}

/** The row as it is answered. */
export function toResidue(row: ResidueView): z.infer<typeof Residue> {
  return {
    id: row.id,
    operationId: row.operation_id,
    system: row.system,
    systemName: row.system_name,
    ref: row.ref,
    description: row.description,
    removeWith: row.remove_with,
    createdAt: new Date(row.created_at).toISOString(),
    clearedAt: row.cleared_at == null ? null : new Date(row.cleared_at).toISOString(),
  };
}
