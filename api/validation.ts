/**
 * What the schemas refuse, told field by field.
 * @module
 */
import type { Hook } from '@hono/zod-openapi';
import { HoldfastError, isErrorCode } from '../domain/errors.ts';
import type { FieldProblem } from '../domain/policies.ts';

interface Issue {
  readonly code: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
}

const PLACES: Readonly<Record<string, string>> = { query: 'in the query: ', header: 'in the headers: ' };

/**
 * Runs after every check of a request against a schema: turns a refusal into INVALID_REQUEST with a pointer for each
 * field, and refuses texts that PostgreSQL cannot store. A path that holds no id names nothing: NOT_FOUND.
 */
// The hook is the same for every schema.
export const refuseInvalid: Hook<any, any, any, any> = (result) => {
  const problems = result.success
    ? unstorable(result.data)
    : (result.error.issues as readonly Issue[]).flatMap((issue) => fieldProblems(issue, PLACES[result.target] ?? ''));
  if (problems.length === 0) return;
  if (result.target === 'param') throw new HoldfastError('NOT_FOUND', 'There is nothing at this path.');
  throw invalidRequest(problems);
};

/**
 * The refusal of a request for what its fields say.
 * @example throw invalidRequest([{ pointer: '/endpoint', detail: 'must be a URL', code: 'INVALID_REQUEST' }]);
 */
export function invalidRequest(problems: readonly FieldProblem[]): HoldfastError {
  return new HoldfastError('INVALID_REQUEST', summary(problems), {}, problems);
}

/** One problem with one field. */
export function fieldProblem(pointer: string, detail: string): FieldProblem {
  return { pointer, detail, code: 'INVALID_REQUEST' };
}

/**
 * Refuses a document whose fields are well formed and break a rule; the first problem names the code.
 * @throws HoldfastError unless the list is empty.
 */
export function refuseProblems(problems: readonly FieldProblem[]): void {
  const first = problems[0];
  if (first === undefined) return;
  const code = isErrorCode(first.code) ? first.code : 'INVALID_REQUEST';
  throw new HoldfastError(code, summary(problems), {}, problems);
}

function summary(problems: readonly FieldProblem[]): string {
  const [first] = problems;
  if (first === undefined) return 'The request is not valid.';
  const where = first.pointer === '' ? 'The request' : first.pointer;
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more; see errors)`;
  return `${where}: ${first.detail}${more}.`;
}

function fieldProblems(issue: Issue, place: string): FieldProblem[] {
  const pointer = toPointer(issue.path);
  if (issue.code === 'unrecognized_keys') {
    return (issue.keys ?? []).map((key) =>
      fieldProblem(`${pointer}/${escaped(key)}`, `${place}there is no such field; leave it out`),
    );
  }
  const missing = / received undefined$/.exec(issue.message) !== null;
  return [fieldProblem(pointer, place + (missing ? 'is missing' : issue.message.replace(/^Invalid input: /, '')))];
}

/** A JSON pointer (RFC 6901) to the field. */
function toPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${escaped(String(key))}`).join('');
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** PostgreSQL stores neither NUL bytes nor halves of a surrogate pair. */
function unstorable(data: unknown): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const visit = (value: unknown, path: readonly PropertyKey[]): void => {
    if (typeof value === 'string') {
      if (value.includes('\0') || !value.isWellFormed()) {
        problems.push(fieldProblem(toPointer(path), 'holds a character that cannot be stored'));
      }
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) visit(item, [...path, key]);
    }
  };
  visit(data, []);
  return problems;
}
