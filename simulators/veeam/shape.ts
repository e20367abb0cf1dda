/**
 * What a request body may hold and in which order: the vendor's types are XSD sequences. The same shapes write the
 * stored values into answers.
 * @module
 */
import type { Element, Scalar } from './element.ts';
import { EmError } from './errors.ts';

export type Leaf = {
  readonly kind: 'leaf';
  readonly type: 'text' | 'integer' | 'boolean';
  readonly values?: readonly string[];
  readonly pattern?: RegExp;
  /** The key in JSON answers, where it is another one. */
  readonly jsonName?: string;
};
export type Sequence = {
  readonly kind: 'sequence';
  readonly attributes?: Readonly<Record<string, Leaf>>;
  readonly children: Readonly<Record<string, Shape>>;
};
export type Shape =
  | Leaf
  | Sequence
  /** The element may stand several times: a value a time. */
  | { readonly kind: 'repeated'; readonly of: Leaf }
  /** Seven `Day` elements with a name and 24 hours. */
  | { readonly kind: 'days' }
  /** Not looked into. */
  | { readonly kind: 'any' };

/** An element of a request, before it is understood. */
export type Received = {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Received[];
  readonly text: string;
};

export const TEXT: Leaf = { kind: 'leaf', type: 'text' };
export const INTEGER: Leaf = { kind: 'leaf', type: 'integer' };
export const BOOLEAN: Leaf = { kind: 'leaf', type: 'boolean' };
export const ANY: Shape = { kind: 'any' };
export const DAYS: Shape = { kind: 'days' };
export const oneOf = (...values: readonly string[]): Leaf => ({ kind: 'leaf', type: 'text', values });
export const sequence = (children: Readonly<Record<string, Shape>>): Sequence => ({ kind: 'sequence', children });
export const switchable = (children: Readonly<Record<string, Shape>>): Sequence => ({
  kind: 'sequence',
  attributes: { Enabled: BOOLEAN },
  children,
});

const HOURS = /^[01](,[01]){23}$/;

function leafValue(leaf: Leaf, name: string, given: string): Scalar {
  const text = given.trim();
  const wrong = (): EmError => new EmError(400, `The value '${text}' of element '${name}' is invalid.`);
  if (leaf.type === 'integer') {
    if (!/^-?\d{1,9}$/.test(text)) throw wrong();
    return Number(text);
  }
  if (leaf.type === 'boolean') {
    if (!/^(true|false|0|1)$/i.test(text)) throw wrong();
    return /^(true|1)$/i.test(text);
  }
  if (leaf.values !== undefined && !leaf.values.includes(text)) throw wrong();
  if (leaf.pattern !== undefined && !leaf.pattern.test(text)) throw wrong();
  return text;
}

function daysOf({ name, children }: Received): Record<string, string> {
  const days: Record<string, string> = {};
  for (const day of children) {
    const hours = day.text.trim();
    if (day.name !== 'Day' || !HOURS.test(hours))
      throw new EmError(400, `The content of element '${name}' is invalid.`);
    days[day.attributes['Name'] ?? ''] = hours;
  }
  return days;
}

function sequenceOf(shape: Sequence, received: Received): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [name, leaf] of Object.entries(shape.attributes ?? {})) {
    const given = received.attributes[name];
    if (given !== undefined) value[name] = leafValue(leaf, name, given);
  }
  const order = Object.keys(shape.children);
  let reached = 0;
  for (const child of received.children) {
    const position = order.indexOf(child.name);
    const expected = shape.children[child.name];
    const isAgain = position === reached - 1 && expected?.kind === 'repeated';
    if (expected === undefined || (position < reached && !isAgain)) {
      const allowed = order.slice(reached).join(', ');
      const problem = `The element '${received.name}' has invalid child element '${child.name}'.`;
      throw new EmError(400, `${problem} List of possible elements expected: '${allowed}'.`);
    }
    reached = position + 1;
    const read = valueOf(expected, child);
    if (expected.kind === 'repeated') value[child.name] = [...((value[child.name] as unknown[]) ?? []), read];
    else value[child.name] = read;
  }
  return value;
}

/** What an element says, by its shape. @throws EmError 400 when an element is unknown, out of order or malformed. */
export function valueOf(shape: Shape, received: Received): unknown {
  switch (shape.kind) {
    case 'leaf':
      return leafValue(shape, received.name, received.text);
    case 'repeated':
      return leafValue(shape.of, received.name, received.text);
    case 'days':
      return daysOf(received);
    case 'any':
      return undefined;
    case 'sequence':
      return sequenceOf(shape, received);
  }
}

const scalarText = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';

/** JSON has no order, numbers may be strings and keys of any case: brings it into the shape's order. */
export function receivedOfJson(name: string, shape: Shape, json: unknown): Received {
  const empty = { name, attributes: {}, children: [], text: '' };
  if (typeof json !== 'object' || json === null) return { ...empty, text: scalarText(json) };
  const entries = new Map(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value as unknown]));
  const given = (key: string): unknown => entries.get(key.toLowerCase()) ?? undefined;
  if (shape.kind === 'days') {
    const days = (given('Days') ?? []) as { Name?: string; Value?: string }[];
    const children = days.map(({ Name = '', Value = '' }) => ({
      ...empty,
      name: 'Day',
      attributes: { Name },
      text: Value,
    }));
    return { ...empty, children };
  }
  if (shape.kind !== 'sequence') return empty;
  const attributes = Object.keys(shape.attributes ?? {}).flatMap((key) => {
    const value = given(key);
    return value === undefined ? [] : [[key, scalarText(value)]];
  });
  const children = Object.entries(shape.children).flatMap(([key, child]) => {
    const value = given(key) ?? (child.kind === 'leaf' ? given(child.jsonName ?? key) : undefined);
    if (value === undefined) return [];
    const each = child.kind === 'repeated' && Array.isArray(value) ? (value as unknown[]) : [value];
    return each.map((one) => receivedOfJson(key, child, one));
  });
  return { ...empty, attributes: Object.fromEntries(attributes), children };
}

/** A stored value with what an edit says of it: what the edit does not name stays. */
export function edited(shape: Shape, stored: unknown, edit: unknown): unknown {
  if (shape.kind === 'any' || edit === undefined) return stored;
  if (shape.kind !== 'sequence') return edit;
  const before = (stored ?? {}) as Record<string, unknown>;
  const changes = edit as Record<string, unknown>;
  const after = { ...before };
  for (const [key, change] of Object.entries(changes)) {
    const child = shape.children[key];
    after[key] = child === undefined ? change : edited(child, before[key], change);
  }
  return after;
}

/** A stored value as elements of that name, in the shape's order. */
export function elementsOf(name: string, shape: Shape, value: unknown): Element[] {
  if (value === undefined) return [];
  switch (shape.kind) {
    case 'any':
      return [];
    case 'leaf':
      return [{ name, value: value as Scalar, ...(shape.jsonName === undefined ? {} : { jsonName: shape.jsonName }) }];
    case 'repeated':
      return (value as Scalar[]).map((one) => ({ name, value: one, repeated: true }));
    case 'days': {
      const days = Object.entries(value as Record<string, string>);
      const children = days.map(([day, hours]) => ({ name: 'Day', attributes: { Name: day }, value: hours }));
      return [{ name, children, arrayKey: 'Days' }];
    }
    case 'sequence': {
      const held = value as Record<string, unknown>;
      const attributes = Object.keys(shape.attributes ?? {}).map((key) => [key, held[key] as Scalar]);
      const children = Object.entries(shape.children).flatMap(([key, child]) => elementsOf(key, child, held[key]));
      return [{ name, children, ...(attributes.length === 0 ? {} : { attributes: Object.fromEntries(attributes) }) }];
    }
  }
}
