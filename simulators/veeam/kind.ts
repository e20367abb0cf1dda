/**
 * A kind of entity: where its collection is, how one of it looks, and what a query can ask about it.
 * @module
 */
import { type Element, type Link, list, links } from './element.ts';
import type { EntityType } from './service.ts';
import { type View, resource } from './view.ts';

/** What a query compares. Times are dates. */
export type FieldValue = string | number | boolean | Date | undefined;

export type Fields = Readonly<Record<string, FieldValue>>;
/** One thing that a query may find. */
export type Row = { fields: Fields; entity: () => Element; reference?: () => Element };

export type Kind<T> = {
  readonly type: EntityType;
  /** The element of a list of entities, and its key in JSON. */
  readonly listName: string;
  readonly path: string;
  all(): readonly T[];
  find(id: string): T | undefined;
  id(entity: T): string;
  name(entity: T): string;
  /** Attributes beside type, address, name and UID. */
  more?(entity: T): Record<string, string>;
  /** Links before and after the one to the other form. */
  before(entity: T, view: View, form: 'entity' | 'reference'): Link[];
  after(entity: T, view: View, form: 'entity' | 'reference'): Link[];
  body(entity: T, view: View): Element[];
  fields(entity: T): Fields;
};

export const uid = (type: string, id: string): string => `urn:veeam:${type}:${id}`;

/** The id in a UID, or a plain id. */
export const idOf = (uidOrId: string): string => uidOrId.slice(uidOrId.lastIndexOf(':') + 1).toLowerCase();

const attributesOf = <T>(kind: Kind<T>, entity: T): Record<string, string> => ({
  Name: kind.name(entity),
  UID: uid(kind.type, kind.id(entity)),
  ...kind.more?.(entity),
});

/** The address of one, without the server's base. */
const pathOf = <T>(kind: Kind<T>, entity: T): string => `${kind.path}/${kind.id(entity)}`;

/** The whole entity. */
export function entityElement<T>(kind: Kind<T>, entity: T, view: View): Element {
  const path = pathOf(kind, entity);
  const alternate = {
    rel: 'Alternate',
    type: `${kind.type}Reference`,
    href: view.href(path),
    name: kind.name(entity),
  };
  const all = [...kind.before(entity, view, 'entity'), alternate, ...kind.after(entity, view, 'entity')];
  const children = [links(all), ...kind.body(entity, view)];
  return resource(kind.type, view.href(`${path}?format=Entity`), children, attributesOf(kind, entity));
}

/** The reference to an entity: an `EntityRef` alone, a `Ref` in a list. */
export function referenceElement<T>(kind: Kind<T>, entity: T, view: View, name: 'EntityRef' | 'Ref'): Element {
  const path = pathOf(kind, entity);
  const alternate = {
    rel: 'Alternate',
    type: kind.type,
    href: view.href(`${path}?format=Entity`),
    name: kind.name(entity),
  };
  const all = [...kind.before(entity, view, 'reference'), alternate, ...kind.after(entity, view, 'reference')];
  const attributes = { Type: `${kind.type}Reference`, Href: view.href(path), ...attributesOf(kind, entity) };
  return { name, attributes, children: [links(all)] };
}

export const entityList = <T>(kind: Kind<T>, entities: readonly T[], view: View): Element =>
  list(
    kind.listName,
    entities.map((entity) => entityElement(kind, entity, view)),
    kind.listName,
  );

export const referenceList = <T>(kind: Kind<T>, entities: readonly T[], view: View): Element =>
  list(
    'EntityReferences',
    entities.map((entity) => referenceElement(kind, entity, view, 'Ref')),
    'Refs',
  );

/** A link up to another entity's reference. */
export const up = <T>(kind: Kind<T>, entity: T, view: View, rel = 'Up'): Link => ({
  rel,
  type: `${kind.type}Reference`,
  href: view.href(pathOf(kind, entity)),
  name: kind.name(entity),
});
