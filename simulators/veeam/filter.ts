/**
 * The filters of the query service: `==`, `!=`, `>`, `>=`, `<`, `<=`; `;` for and, `,` for or, parentheses, and quotes
 * around values with blanks. Names and texts are compared without case.
 * @module
 */
import { EmError } from './errors.ts';
import type { FieldValue, Fields } from './kind.ts';

type Test = (fields: Fields) => boolean;

const refused = (problem: string): EmError => new EmError(400, `The filter cannot be read: ${problem}`);

/** The value of a field by its name in any case. `CreationTime` and `CreationTimeUTC` are the same. */
export function fieldOf(fields: Fields, name: string): FieldValue {
  const wanted = name.toLowerCase();
  for (const [key, value] of Object.entries(fields)) {
    const known = key.toLowerCase();
    if (known === wanted || `${known}utc` === wanted) return value;
  }
  throw new EmError(400, `Property [${name}] is not supported.`);
}

/** Texts without case, dates by instant (UTC where they name no zone), numbers by size; negative, 0, positive. */
export function compared(actual: FieldValue, text: string): number {
  if (actual instanceof Date) {
    const instant = Date.parse(/(Z|[+-]\d\d:?\d\d)$/i.test(text) || !text.includes(':') ? text : `${text}Z`);
    if (Number.isNaN(instant)) throw refused(`[${text}] is not a date.`);
    return actual.getTime() - instant;
  }
  if (typeof actual === 'number') return actual - Number(text);
  const left = String(actual ?? '').toLowerCase();
  const right = text.toLowerCase();
  return left < right ? -1 : left > right ? 1 : 0;
}

const OPERATORS: Record<string, (sign: number) => boolean> = {
  '==': (sign) => sign === 0,
  '!=': (sign) => sign !== 0,
  '>=': (sign) => sign >= 0,
  '<=': (sign) => sign <= 0,
  '>': (sign) => sign > 0,
  '<': (sign) => sign < 0,
};

/** Reads a filter. @throws EmError 400 when it is none. */
export function filterOf(source: string): Test {
  let at = 0;
  const skipBlanks = (): void => {
    while (source[at] === ' ') at += 1;
  };
  const take = (sign: string): boolean => {
    skipBlanks();
    if (source[at] !== sign) return false;
    at += 1;
    return true;
  };
  const matched = (pattern: RegExp, what: string): string => {
    skipBlanks();
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found === null) throw refused(`${what} is expected at [${source.slice(at)}].`);
    at = pattern.lastIndex;
    return found[0];
  };
  const comparison = (): Test => {
    const name = matched(/[A-Za-z][A-Za-z0-9_]*/y, 'a name');
    const operator = OPERATORS[matched(/==|!=|>=|<=|>|</y, 'an operator')] as (sign: number) => boolean;
    const value = matched(/"[^"]*"|[^;,()"]*/y, 'a value').trim();
    const text = value.startsWith('"') ? value.slice(1, -1) : value;
    return (fields) => {
      const actual = fieldOf(fields, name);
      return operator(actual === undefined ? (text === '' ? 0 : Number.NaN) : compared(actual, text));
    };
  };
  const factor = (): Test => {
    if (!take('(')) return comparison();
    const inside = alternatives();
    if (!take(')')) throw refused('a parenthesis is not closed.');
    return inside;
  };
  const all = (): Test => {
    const tests = [factor()];
    while (take(';')) tests.push(factor());
    return (fields) => tests.every((test) => test(fields));
  };
  function alternatives(): Test {
    const tests = [all()];
    while (take(',')) tests.push(all());
    return (fields) => tests.some((test) => test(fields));
  }
  const test = alternatives();
  skipBlanks();
  if (at < source.length) throw refused(`[${source.slice(at)}] is left.`);
  return test;
}
