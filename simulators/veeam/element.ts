/**
 * Documents as the server answers them. One tree is written as XML or as JSON; what differs between the two is noted on
 * the element.
 * @module
 */
export type Scalar = string | number | boolean;

export type Element = {
  readonly name: string;
  readonly attributes?: Readonly<Record<string, Scalar | undefined>>;
  readonly value?: Scalar;
  readonly children?: readonly Element[];
  /** In JSON the children are an array: under this key, or instead of the object where it is empty. */
  readonly arrayKey?: string;
  /** In JSON this element is one entry of an array named like it. */
  readonly repeated?: true;
  /** The key in JSON, where it is another one. */
  readonly jsonName?: string;
  /** Keys that JSON shows as null. */
  readonly nullKeys?: readonly string[];
};

export type Link = { rel: string; href: string; type?: string | undefined; name?: string | undefined };

export const text = (name: string, value: Scalar): Element => ({ name, value });
export const group = (name: string, children: readonly Element[]): Element => ({ name, children });
/** A list whose entries JSON holds under `arrayKey`; without one, in the place of the list. */
export const list = (name: string, children: readonly Element[], arrayKey = ''): Element => ({
  name,
  children,
  arrayKey,
});
export const links = (all: readonly Link[]): Element =>
  list(
    'Links',
    all.map(({ rel, type, href, name }) => ({
      name: 'Link',
      attributes: { Rel: rel, Type: type, Href: href, Name: name },
    })),
  );

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (value: Scalar): string => String(value).replace(/[&<>"]/g, (found) => ESCAPES[found] ?? found);

function xmlOf({ name, attributes = {}, value, children = [] }: Element, more = ''): string {
  const given = Object.entries(attributes)
    .map(([key, shown]) => (shown === undefined ? '' : ` ${key}="${escaped(shown)}"`))
    .join('');
  const inside = (value === undefined ? '' : escaped(value)) + children.map((child) => xmlOf(child)).join('');
  return inside === '' ? `<${name}${more}${given} />` : `<${name}${more}${given}>${inside}</${name}>`;
}

const NAMESPACE = 'http://www.veeam.com/ent/v1.0';
const NAMESPACES = [
  `xmlns="${NAMESPACE}"`,
  'xmlns:xsd="http://www.w3.org/2001/XMLSchema"',
  'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
].join(' ');

/** The document as XML. */
export const toXml = (root: Element): string =>
  `<?xml version="1.0" encoding="utf-8"?>${xmlOf(root, ` ${NAMESPACES}`)}`;

/** As .NET's camel case policy does it: `UID` → `uid`, `VAppRestorePoints` → `vAppRestorePoints`. */
const camelCase = (key: string): string =>
  key.replace(/^[A-Z]+(?=[A-Z][a-z]|$|[^A-Za-z])|^[A-Z]/, (head) => head.toLowerCase());

function jsonOf(element: Element, key: (name: string) => string): unknown {
  const { attributes, value, children = [], arrayKey, nullKeys = [] } = element;
  if (arrayKey === '') return children.map((child) => jsonOf(child, key));
  if (attributes === undefined && element.children === undefined) return value ?? '';
  const json: Record<string, unknown> = {};
  if (arrayKey !== undefined) json[key(arrayKey)] = children.map((child) => jsonOf(child, key));
  else {
    for (const child of children) {
      const name = key(child.jsonName ?? child.name);
      const shown = jsonOf(child, key);
      if (child.repeated === true) json[name] = [...((json[name] as unknown[] | undefined) ?? []), shown];
      else json[name] = shown;
    }
  }
  for (const name of nullKeys) json[key(name)] = null;
  for (const [name, shown] of Object.entries(attributes ?? {})) if (shown !== undefined) json[key(name)] = shown;
  if (value !== undefined) json[key('Value')] = value;
  return json;
}

/** The document as JSON: without the root's name. */
export const toJson = (root: Element, keyCase: 'pascal' | 'camel'): string =>
  JSON.stringify(jsonOf(root, keyCase === 'camel' ? camelCase : (name) => name));
