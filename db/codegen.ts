/**
 * Generates `schema.ts` from a migrated database. What the database only knows as text or jsonb gets its domain type
 * here; `db/columns.ts` defines those types.
 *
 * Ours and not kysely-codegen's: that one parses type overrides with the JavaScript API of the TypeScript compiler,
 * which TypeScript 7 no longer has.
 * @module
 */
import { readFile, writeFile } from 'node:fs/promises';
import type { ColumnMetadata, Kysely } from 'kysely';
import { connect } from './connect.ts';

/** Columns whose type the database cannot tell, by `table.column`; the values are types of `columns.ts`. */
const COLUMNS: Readonly<Record<string, string>> = {
  'token.role': 'Role',
  'backup_manager.tls': 'WithDefault<Tls>',
  'backup_manager.last_check': 'NullableJson<StoredCheck>',
  'backup_policy.configurations': 'Json<readonly PolicyConfiguration[]>',
  'virtual_machine.disks': 'Json<readonly Disk[]>',
  'virtual_machine.backup_policies': 'WithDefault<readonly ChosenPolicy[]>',
  'virtual_machine.state': 'Defaulted<VmState>',
  'operation.kind': 'OperationKind',
  'operation.origin': 'Defaulted<OperationOrigin>',
  'operation.state': 'Defaulted<OperationState>',
  'operation.request': 'WithDefault<OperationRequest>',
  'operation.desired': 'WithDefault<DesiredConfiguration>',
  'operation.error': 'NullableJson<OperationError>',
  'vm_lock.kind': 'OperationKind | null',
  'step.name': 'StepName',
  'step.state': 'Defaulted<StepState>',
  'step.undo_input': 'NullableJson<StepUndoInput>',
  'operation.seen': 'NullableJson<SeenVm>',
  'operation.settlement': 'NullableJson<Settlement>',
  'residue.step': 'StepName',
  'step.made': 'NullableJson<StepMade>',
  'step.error': 'NullableJson<OperationError>',
  'step.compensation': 'CompensationState | null',
  'step.compensation_error': 'NullableJson<OperationError>',
  'vm_reference.system': "'HYPERVISOR' | 'BACKUP_SYSTEM'",
  'vm_schedule.schedule': 'Json<BackupSchedule>',
  'vm_schedule.ref': 'Json<ScheduleRef>',
  'intent.kind': 'IntentKind',
  'intent.subject': 'WithDefault<IntentSubject>',
  'intent.outcome': "'FOUND' | 'ABSENT' | 'UNKNOWN' | null",
  'backup_result.origin': "'ON_DEMAND' | 'SCHEDULED' | 'DISCOVERED'",
  'backup_result.status': 'ResultStatus',
  'result_copy.state': 'Defaulted<CopyState>',
  'restore_result.status': 'ResultStatus',
  'session.kind': 'SessionKind',
  'session.state': 'SessionState',
  'manager_watch.last_error': 'NullableJson<OperationError>',
  'residue.system': "'HYPERVISOR' | 'BACKUP_SYSTEM'",
  'event.severity': 'Severity',
  'event.details': 'WithDefault<Record<string, unknown>>',
};

const TYPES: Readonly<Record<string, string>> = {
  bool: 'boolean',
  bytea: 'Buffer',
  int4: 'number',
  int8: 'number',
  text: 'string',
  timestamptz: 'Timestamp',
  uuid: 'string',
};

const SCHEMA = new URL('./schema.ts', import.meta.url);
const WORD = /\b[A-Z]\w+\b/g;

const pascal = (name: string) => name.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());

/**
 * Writes `db/schema.ts`, or with `verify` only compares it.
 * @throws when `verify` is set and the file is not what the database says, or when a column has no known type.
 */
export async function runCodegen(url: string, options: { readonly verify: boolean }): Promise<void> {
  const db = connect<unknown>({ url, poolSize: 1, application: 'holdfast-codegen' });
  try {
    const generated = await schemaSource(db);
    const current = await readFile(SCHEMA, 'utf8').catch(() => '');
    if (generated === current) return;
    if (options.verify) throw new Error('db/schema.ts is not what the migrations make; run npm run codegen');
    await writeFile(SCHEMA, generated);
  } finally {
    await db.destroy();
  }
}

/** The text of `schema.ts` for the tables of this database. */
async function schemaSource(db: Kysely<unknown>): Promise<string> {
  const tables = (await db.introspection.getTables())
    .filter((table) => table.schema === 'public')
    .toSorted((a, b) => a.name.localeCompare(b.name));
  const interfaces = tables.map((table) => {
    const columns = table.columns
      .toSorted((a, b) => a.name.localeCompare(b.name))
      .map((column) => `  ${column.name}: ${columnType(table.name, column)};`);
    return `export interface ${pascal(table.name)}Table {\n${columns.join('\n')}\n}\n`;
  });
  const entries = tables.map((table) => `  ${table.name}: ${pascal(table.name)}Table;`);
  const words = new Set(Object.values(COLUMNS).flatMap((type) => type.replaceAll(/'\w+'/g, '').match(WORD) ?? []));
  words.delete('Record');
  return [
    '// Generated from the migrated database by `npm run codegen`. Do not edit.',
    "import type { ColumnType, Generated } from 'kysely';",
    `import type {\n${[...words]
      .toSorted()
      .map((word) => `  ${word},\n`)
      .join('')}} from './columns.ts';`,
    '',
    '/** Read as a Date; written as a Date or an ISO 8601 text. */',
    'export type Timestamp = ColumnType<Date, Date | string, Date | string>;',
    '/** A timestamp that the database fills when it is left out. */',
    'export type DefaultTimestamp = ColumnType<Date, Date | string | undefined, Date | string>;',
    '',
    ...interfaces,
    `export interface DB {\n${entries.join('\n')}\n}\n`,
  ].join('\n');
}

function columnType(table: string, column: ColumnMetadata): string {
  const override = COLUMNS[`${table}.${column.name}`];
  if (override !== undefined) return override;
  const base = TYPES[column.dataType];
  if (base === undefined) throw new Error(`${table}.${column.name}: no TypeScript type for ${column.dataType}`);
  if (column.isAutoIncrementing || column.hasDefaultValue) {
    return base === 'Timestamp' ? 'DefaultTimestamp' : `Generated<${base}>`;
  }
  return column.isNullable ? `${base} | null` : base;
}
