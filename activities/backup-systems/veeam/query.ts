/**
 * The query service: entities of one type that a filter selects, page by page.
 * @module
 */
import type { CallContext } from '../../calls.ts';
import { pathOf } from './endpoint.ts';
import { failure } from './refusal.ts';
import type { VeeamRest } from './rest.ts';
import { urnKey } from './urn.ts';
import { attribute, descendants, type XmlElement } from './xml.ts';

/** So many entities come with one call. */
const PAGE_SIZE = 1_000;

export interface Query {
  readonly type:
    | 'BackupJobSession'
    | 'BackupTaskSession'
    | 'Job'
    | 'RestoreSession'
    | 'VmRestorePoint'
    | 'HierarchyRoot'
    | 'Backup';
  /** In the grammar of the service; see `condition`. */
  readonly filter?: string;
  /** The list moves while it is read: in this order what is new comes last. */
  readonly sortAsc?: string;
  readonly pageSize?: number;
  readonly purpose: string;
}

/** A condition of a filter. Text and dates stand in double quotes, which a text itself cannot hold. */
export function condition(field: string, operator: '==' | '>=', value: string | Date): string {
  return `${field}${operator}"${typeof value === 'string' ? value.replaceAll('"', '') : value.toISOString()}"`;
}

/**
 * All entities of the query, each once, by the server's own links.
 * @throws ExternalSystemError `FAILED` when a page is shown again: what the list then lacks must not count as absent.
 */
export async function* entities(rest: VeeamRest, context: CallContext, query: Query): AsyncGenerator<XmlElement> {
  const seen = new Set<string>();
  const visited = new Set<string>();
  for (let path: string | undefined = firstPage(query); path !== undefined; ) {
    visited.add(path);
    const { body }: { readonly body: XmlElement } = await rest.read(context, path, query.purpose);
    const page = [...descendants(body, query.type)];
    const fresh = page.filter((entity) => !seen.has(keyOf(entity)));
    path = nextPage(body);
    if ((page.length > 0 && fresh.length === 0) || (path !== undefined && visited.has(path))) {
      const { name } = rest.manager;
      throw failure('FAILED', `the backup system ${name} gave the same page again when asked to ${query.purpose}`);
    }
    for (const entity of fresh) seen.add(keyOf(entity));
    yield* fresh;
  }
}

/** An entity without an id is a thing of its own. */
const keyOf = (entity: XmlElement): string => urnKey(attribute(entity, 'UID') ?? crypto.randomUUID());

function firstPage({ type, filter, sortAsc, pageSize = PAGE_SIZE }: Query): string {
  const parameters = { type, format: 'Entities', sortAsc, pageSize: String(pageSize), page: '1', filter };
  // Encoded by hand: a plus for a blank, as forms have it, is not a blank to every server.
  const written = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`],
  );
  return `/query?${written.join('&')}`;
}

function nextPage(answer: XmlElement): string | undefined {
  for (const paging of descendants(answer, 'PagingInfo')) {
    for (const link of descendants(paging, 'Link')) {
      if (attribute(link, 'Rel')?.toLowerCase() === 'next') return pathOf(attribute(link, 'Href') ?? '');
    }
  }
  return undefined;
}
