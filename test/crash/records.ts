/**
 * What the database says of machines, read in one go.
 * @module
 */
import type { DB } from '../../db/schema.ts';
import type { Selectable } from 'kysely';
import type { Stage } from './stage.ts';

type Row<T extends keyof DB> = Selectable<DB[T]>;

/** A machine as the database has it. */
export interface Records {
  readonly vm: Row<'virtual_machine'>;
  readonly lockedBy: string | null;
  /** Oldest first. */
  readonly operations: readonly Row<'operation'>[];
  readonly steps: readonly Row<'step'>[];
  readonly references: readonly Row<'vm_reference'>[];
  readonly schedules: readonly Row<'vm_schedule'>[];
  readonly sessions: readonly Row<'session'>[];
  readonly results: readonly Row<'backup_result'>[];
  readonly copies: readonly Row<'result_copy'>[];
  readonly restores: readonly Row<'restore_result'>[];
  /** What was left behind and nobody has cleared. */
  readonly residue: readonly Row<'residue'>[];
  /** The events that tell the end of an operation. */
  readonly ends: readonly { readonly operation_id: string; readonly vm_id: string }[];
}

/** Reads what the database says of these machines. */
export async function recordsOf(stage: Stage, vmIds: readonly string[]): Promise<ReadonlyMap<string, Records>> {
  const of = <T extends { readonly vm_id: string }>(rows: readonly T[], id: string) =>
    rows.filter((row) => row.vm_id === id);
  const table = <T extends keyof DB>(name: T, more = '') =>
    stage.rows<Row<T> & { readonly vm_id: string }>(`select * from ${name} where vm_id = any($1) ${more}`, [vmIds]);
  const vms = await stage.rows<Row<'virtual_machine'>>('select * from virtual_machine where id = any($1)', [vmIds]);
  const locks = await table('vm_lock');
  const operations = await table('operation', 'order by created_at');
  const steps = await stage.rows<Row<'step'> & { readonly vm_id: string }>(
    'select s.*, o.vm_id from step s join operation o on o.id = s.operation_id where o.vm_id = any($1) order by position',
    [vmIds],
  );
  const references = await table('vm_reference');
  const schedules = await table('vm_schedule');
  const sessions = await table('session', 'order by created_at');
  const results = await table('backup_result');
  const copies = await stage.rows<Row<'result_copy'> & { readonly vm_id: string }>(
    'select c.*, r.vm_id from result_copy c join backup_result r on r.id = c.result_id where r.vm_id = any($1)',
    [vmIds],
  );
  const restores = await table('restore_result');
  const residue = await table('residue', 'and cleared_at is null');
  const ends = await stage.rows<{ operation_id: string; vm_id: string }>(
    `select operation_id, vm_id from event where vm_id = any($1) and operation_id is not null and details ? 'outcome'`,
    [vmIds],
  );
  return new Map(
    vms.map((vm) => [
      vm.id,
      {
        vm,
        lockedBy: of(locks, vm.id)[0]?.operation_id ?? null,
        operations: of(operations, vm.id),
        steps: of(steps, vm.id),
        references: of(references, vm.id),
        schedules: of(schedules, vm.id),
        sessions: of(sessions, vm.id),
        results: of(results, vm.id),
        copies: of(copies, vm.id),
        restores: of(restores, vm.id),
        residue: of(residue, vm.id),
        ends: of(ends, vm.id),
      },
    ]),
  );
}
