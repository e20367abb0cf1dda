/**
 * The links of an entity. They say what belongs to what; where they lead is built from ids, never from their addresses.
 * @module
 */
import { guidOf } from './urn.ts';
import { attribute, child, childrenNamed, type XmlElement } from './xml.ts';

export interface Link {
  /** `Up`, `Down`, `Related`, `Next` and the like. */
  readonly rel: string;
  /** Without `Reference` at its end: references and entities of a thing are linked alike. */
  readonly type: string;
  readonly href: string;
  readonly name: string | undefined;
}

/** The links of an entity or a task. */
export function linksOf(entity: XmlElement): Link[] {
  return childrenNamed(child(entity, 'Links'), 'Link').map((link) => ({
    rel: attribute(link, 'Rel') ?? '',
    type: (attribute(link, 'Type') ?? '').replace(/Reference$/, ''),
    href: attribute(link, 'Href') ?? '',
    name: attribute(link, 'Name'),
  }));
}

/** The id of the thing of that type that an entity is linked to. */
export function linkedId(entity: XmlElement, type: string, rel?: string): string | undefined {
  const link = linksOf(entity).find((one) => one.type === type && (rel === undefined || one.rel === rel));
  return guidOf(link?.href);
}
