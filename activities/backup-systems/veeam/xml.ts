/**
 * XML as the Enterprise Manager speaks it: elements by their local names, in the order in which they stand.
 * @module
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { MediaFormat } from '../../http.ts';

/** An element; `text` is its own text without that of its children. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

const NAMESPACE = 'http://www.veeam.com/ent/v1.0';

/** Nothing is guessed: `007` stays text, and a prefix is dropped since one namespace is all there is. */
const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  removeNSPrefix: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  // Numeric references come with this switch; names of HTML do no harm.
  htmlEntities: true,
});

type Node = Readonly<Record<string, unknown>>;
const TEXT = '#text';
const ATTRIBUTES = ':@';

/**
 * Reads a document.
 * @throws Error when it is no well-formed XML of one root, or brings entities of its own.
 */
export function parseXml(text: string): XmlElement {
  if (/<!DOCTYPE/i.test(text)) throw new Error('a document type is not accepted');
  const valid = XMLValidator.validate(text);
  if (valid !== true) throw new Error(`it is no XML: ${valid.err.msg}`);
  const [root, ...more] = elementsOf(parser.parse(text) as Node[]);
  if (root === undefined || more.length > 0) throw new Error('it is no XML of one root');
  return root;
}

function elementsOf(nodes: readonly Node[]): XmlElement[] {
  return nodes.flatMap((node) => {
    const name = Object.keys(node).find((key) => key !== ATTRIBUTES);
    if (name === undefined || name === TEXT) return [];
    const inner = node[name] as Node[];
    return [
      {
        name,
        attributes: (node[ATTRIBUTES] ?? {}) as Record<string, string>,
        children: elementsOf(inner),
        text: inner.map((child) => (TEXT in child ? String(child[TEXT]) : '')).join(''),
      },
    ];
  });
}

/** The format of every body; an answer that is none is left as text. */
export const XML_FORMAT: MediaFormat = { type: 'application/xml', parse: parseXml };

/** An element to be sent. */
export function element(
  name: string,
  content: string | readonly XmlElement[] = [],
  attributes: Readonly<Record<string, string>> = {},
): XmlElement {
  return typeof content === 'string'
    ? { name, attributes, children: [], text: content }
    : { name, attributes, children: content, text: '' };
}

/** The document of an element, in the namespace of the Enterprise Manager. */
export function xmlDocument(root: XmlElement): string {
  const attributes = { xmlns: NAMESPACE, ...root.attributes };
  return `<?xml version="1.0" encoding="utf-8"?>${written({ ...root, attributes })}`;
}

function written({ name, attributes, children, text }: XmlElement): string {
  const opening = [name, ...Object.entries(attributes).map(([key, value]) => `${key}="${escaped(value)}"`)].join(' ');
  const content = `${escaped(text)}${children.map(written).join('')}`;
  return content === '' ? `<${opening}/>` : `<${opening}>${content}</${name}>`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

/** What XML cannot hold at all is left out; a line's end would be changed on its way if it were not written as a number. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"\t\n\r]/g, (character) => ESCAPES[character] ?? '');
}

const sameName = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/** The first child of that name; names are compared without case, since `CreationTimeUTC` is also `CreationTimeUtc`. */
export function child(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent?.children.find((one) => sameName(one.name, name));
}

/** All children of that name. */
export function childrenNamed(parent: XmlElement | undefined, name: string): XmlElement[] {
  return parent?.children.filter((one) => sameName(one.name, name)) ?? [];
}

/** The text of the first child of that name; `undefined` when it is not there or empty. */
export function textOf(parent: XmlElement | undefined, name: string): string | undefined {
  const text = child(parent, name)?.text.trim();
  return text === '' ? undefined : text;
}

/** The value of an attribute; `undefined` when it is not there or empty. */
export function attribute(of: XmlElement | undefined, name: string): string | undefined {
  const [, value] = Object.entries(of?.attributes ?? {}).find(([key]) => sameName(key, name)) ?? [];
  return value === '' ? undefined : value;
}

/** The descendants of that name, in the order of the document. */
export function* descendants(of: XmlElement, name: string): Generator<XmlElement> {
  for (const one of of.children) {
    if (sameName(one.name, name)) yield one;
    else yield* descendants(one, name);
  }
}

/** The parent with that child in place of the one of its name; put at the end when there is none. */
export function withChild(parent: XmlElement, replacement: XmlElement): XmlElement {
  const at = parent.children.findIndex((one) => sameName(one.name, replacement.name));
  const children = at < 0 ? [...parent.children, replacement] : parent.children.with(at, replacement);
  return { ...parent, children };
}

/** The children in the order of `names`, as a schema's sequence wants it; those of other names come last. */
export function inOrder(children: readonly XmlElement[], names: readonly string[]): XmlElement[] {
  const rank = ({ name }: XmlElement): number => {
    const at = names.findIndex((one) => sameName(one, name));
    return at < 0 ? names.length : at;
  };
  return children.toSorted((one, other) => rank(one) - rank(other));
}
