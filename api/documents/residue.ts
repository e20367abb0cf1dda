import { z } from 'zod';
import { STEP_NAMES, type StepName } from '../../domain/operations.ts';
import { Id, Moment } from '../fields.ts';

/** What an operation had to leave behind. */
export const Residue = z
  .object({
    id: Id,
    operationId: Id,
    step: z.enum(STEP_NAMES).describe('The step that left it.'),
    system: z.enum(['HYPERVISOR', 'BACKUP_SYSTEM']),
    systemName: z.string(),
    ref: z.string().describe('What that system calls it.'),
    description: z.string(),
    removeWith: z.string().describe('The call that removes it.'),
    createdAt: Moment,
    clearedAt: Moment.nullable(),
    clearedBy: z.string().nullable().describe('The operation that removed it, or made it part of the VM again.'),
  })
  .meta({ id: 'Residue' });

interface ResidueView {
  readonly id: string;
  readonly operation_id: string;
  readonly step: StepName;
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  readonly system_name: string;
  readonly ref: string;
  readonly description: string;
  readonly remove_with: string;
  readonly created_at: string;
  readonly cleared_at?: string | null;
  readonly cleared_by?: string | null;
}

/** The row as it is answered. */
export function toResidue(row: ResidueView): z.infer<typeof Residue> {
  return {
    id: row.id,
    operationId: row.operation_id,
    step: row.step,
    system: row.system,
    systemName: row.system_name,
    ref: row.ref,
    description: row.description,
    removeWith: row.remove_with,
    createdAt: new Date(row.created_at).toISOString(),
    clearedAt: row.cleared_at == null ? null : new Date(row.cleared_at).toISOString(),
    clearedBy: row.cleared_by ?? null,
  };
}
