/**
 * The manners that all of the vendor's resources share: pages, filters, sorting, chosen fields and the error body
 * (Avamar 19.x swagger: `Page«…»`, `Error`, and the descriptions of the `filter`, `sort` and `fields` parameters).
 * @module
 */
import type { Context } from 'hono';
import { z } from 'zod';
import { checkedBody } from '../kit/checked-body.ts';

/**
 * A refusal in the vendor's error shape `{code, exception, message, details, event}`. The swagger documents only the
 * statuses 401, 403 and 404; 400 for bad or clashing input, and the codes, are ours.
 */
export class AvamarError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 503;
  readonly code: number;
  readonly exception: string;
  constructor(status: AvamarError['status'], message: string, exception?: string) {
    super(message);
    this.status = status;
    this.code = status;
    this.exception = exception ?? (status === 404 ? 'ResourceNotFoundException' : 'InvalidInputException');
  }
  body() {
    return { code: this.code, exception: this.exception, message: this.message, details: null, event: null };
  }
}

export const notFound = (what: string, id: string): AvamarError => new AvamarError(404, `${what} ${id} was not found.`);

/** Live servers accept enum values in other case than the swagger's; the answer has the swagger's. */
export function vendorEnum<const V extends string>(values: readonly [V, ...V[]]) {
  return z.preprocess(
    (given) =>
      typeof given === 'string' ? (values.find((v) => v.toLowerCase() === given.toLowerCase()) ?? given) : given,
    z.enum(values),
  );
}

// A null says as much as a field that is left out: clients of live servers send such.
const withoutNulls = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const given = Object.entries(value).filter(([, inside]) => inside !== null);
  return Object.fromEntries(given.map(([key, inside]) => [key, withoutNulls(inside)]));
};

/** The JSON body of a request, checked; fields that the schema does not know are ignored. @throws BadBody */
export const bodyOf = <S extends z.ZodType>(c: Context, schema: S): Promise<z.infer<S>> =>
  checkedBody(c, z.preprocess(withoutNulls, schema));

type Row = object;

function valueAt(row: Row, path: string): unknown {
  let value: unknown = row;
  for (const key of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[key];
  return value;
}

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);

/** Numbers by size, date-times by instant, everything else as text. */
function compare(left: unknown, right: string): number {
  if (typeof left === 'number') return left - Number(right);
  const text = textOf(left);
  const isDate = /^\d{4}-\d\d-\d\dT/;
  if (isDate.test(text) && isDate.test(right)) return Date.parse(text) - Date.parse(right);
  return text < right ? -1 : text > right ? 1 : 0;
}

function criterion(text: string): (row: Row) => boolean {
  const match = /^\s*([\w.]+)\s*(==|!=|<=|>=|<|>)\s*(.*?)\s*$/s.exec(text);
  if (match === null) throw new AvamarError(400, `The filter "${text}" is not <property><op><value>.`);
  const [, property = '', operator, quoted = ''] = match;
  const value = /^(['"]).*\1$/s.test(quoted) ? quoted.slice(1, -1) : quoted;
  const matches = (row: Row): boolean => {
    const actual = valueAt(row, property);
    if (value.endsWith('*')) return textOf(actual).startsWith(value.slice(0, -1));
    return actual !== undefined && actual !== null && compare(actual, value) === 0;
  };
  const ordered = (test: (sign: number) => boolean) => (row: Row) => {
    const actual = valueAt(row, property);
    return actual !== undefined && actual !== null && test(compare(actual, value));
  };
  switch (operator) {
    case '==':
      return matches;
    case '!=':
      return (row) => !matches(row);
    case '<':
      return ordered((sign) => sign < 0);
    case '<=':
      return ordered((sign) => sign <= 0);
    case '>':
      return ordered((sign) => sign > 0);
    default:
      return ordered((sign) => sign >= 0);
  }
}

/** `fields=id,name` keeps these, `fields=-details` drops them. */
export function chosenFields<T extends Row>(c: Context, row: T): Partial<T> {
  const names = (c.req.query('fields') ?? '').split(',').filter((name) => name !== '');
  if (names.length === 0) return row;
  const dropped = new Set(names.filter((name) => name.startsWith('-')).map((name) => name.slice(1)));
  const kept = new Set(names.filter((name) => !name.startsWith('-')));
  const entries = Object.entries(row).filter(([key]) => !dropped.has(key) && (kept.size === 0 || kept.has(key)));
  return Object.fromEntries(entries) as Partial<T>;
}

const isBelow = (domain: string, other: string): boolean => domain.startsWith(other === '/' ? '/' : `${other}/`);

/**
 * Whether something in `domain` is asked for: `domain` (default `/`) exactly, and below it with `recursive=true`. So ask
 * lists of clients, groups and activities; {@link inInclusion} is the word of the others.
 */
export function inAskedDomain(c: Context, domain: string): boolean {
  const asked = c.req.query('domain') ?? '/';
  return domain === asked || (c.req.query('recursive') === 'true' && isBelow(domain, asked));
}

/** As {@link inAskedDomain} for schedules, retentions, datasets and rules, which are asked for with `inclusion`. @throws AvamarError */
export function inInclusion(c: Context, domain: string): boolean {
  const asked = c.req.query('domain') ?? '/';
  const inclusion = c.req.query('inclusion')?.toUpperCase() ?? 'CURRENT';
  if (!['ANCESTOR', 'DESCENDANT', 'CURRENT'].includes(inclusion)) {
    throw new AvamarError(400, `inclusion is ANCESTOR, DESCENDANT or CURRENT, not ${inclusion}.`);
  }
  if (domain === asked) return true;
  return inclusion === 'DESCENDANT' ? isBelow(domain, asked) : inclusion === 'ANCESTOR' && isBelow(asked, domain);
}

const wholeNumber = (text: string | undefined, otherwise: number): number => {
  const number = Number(text ?? otherwise);
  if (!Number.isInteger(number) || number < 0) throw new AvamarError(400, `"${text}" is not a page number or size.`);
  return number;
};

/**
 * Filters, sorts and cuts a page. The default size is Spring's 20: the swagger names none, and a client that does not
 * follow pages should notice it. `fields` is applied to the rows; on single objects to the object.
 */
export function page<T extends Row>(c: Context, rows: T[]) {
  const criteria = (c.req.queries('filter') ?? []).map(criterion);
  const kept = rows.filter((row) => criteria.every((accepts) => accepts(row)));
  const sorts = (c.req.queries('sort') ?? []).map((sort) => sort.split(','));
  if (sorts.length > 0) {
    kept.sort((a, b) => {
      for (const [property = '', direction] of sorts) {
        const left = valueAt(a, property);
        const right = valueAt(b, property);
        const sign = typeof right === 'number' ? compare(left ?? 0, String(right)) : compare(left, textOf(right));
        if (sign !== 0) return direction?.toLowerCase() === 'desc' ? -sign : sign;
      }
      return 0;
    });
  }
  const size = Math.max(1, wholeNumber(c.req.query('size') ?? c.req.query('pageSize'), 20));
  const number = wholeNumber(c.req.query('page') ?? c.req.query('pageNumber'), 0);
  const content = kept.slice(number * size, (number + 1) * size).map((row) => chosenFields(c, row));
  const totalPages = Math.ceil(kept.length / size);
  const sort = { empty: sorts.length === 0, sorted: sorts.length > 0, unsorted: sorts.length === 0 };
  return {
    content,
    pageable: { offset: number * size, pageNumber: number, pageSize: size, paged: true, unpaged: false, sort },
    totalElements: kept.length,
    totalPages,
    last: number >= totalPages - 1,
    first: number === 0,
    number,
    size,
    numberOfElements: content.length,
    empty: content.length === 0,
    sort,
  };
}

/** A date-time as the vendor writes it. */
export const dateTime = (at: number): string => new Date(at).toISOString();
