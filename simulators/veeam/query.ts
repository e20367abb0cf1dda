/**
 * `GET /api/query`: entities of one type, filtered, sorted and in pages.
 * @module
 */
import { type Context, Hono } from 'hono';
import { answer } from './answers.ts';
import { type Element, group, list, links } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError } from './errors.ts';
import { compared, fieldOf, filterOf } from './filter.ts';
import { includeElement, visibleIncludes } from './job-view.ts';
import { type FieldValue, type Kind, type Row, entityElement, referenceElement, uid } from './kind.ts';
import type { Kinds } from './kinds.ts';
import { refText } from './state.ts';
import { taskRows } from './tasks.ts';
import { type View, resource, viewOf } from './view.ts';

const DEFAULT_PAGE_SIZE = 100;

/** What a type of the query service has: entities have references, resources have none. */
type Queried = { type: string; listName: string; isEntity: boolean; rows: (c: Context<VeeamEnv>, view: View) => Row[] };

function queriedKind<T>(kind: Kind<T>): Queried {
  const rows = (_: Context<VeeamEnv>, view: View): Row[] =>
    kind.all().map((one) => ({
      fields: { UID: uid(kind.type, kind.id(one)), ...kind.fields(one) },
      entity: () => entityElement(kind, one, view),
      reference: () => referenceElement(kind, one, view, 'Ref'),
    }));
  return { type: kind.type, listName: kind.listName, isEntity: true, rows };
}

function queriedTypes(server: Server, kinds: Kinds): Queried[] {
  const objects = (_: Context<VeeamEnv>, view: View): Row[] =>
    server.state.jobs.values().flatMap((job) =>
      visibleIncludes(job, view.now).map((include) => ({
        fields: {
          ObjectInJobId: include.id,
          HierarchyObjRef: refText(include.ref),
          Name: include.name,
          DisplayName: include.name,
          JobUid: uid('Job', job.id),
        },
        entity: () => includeElement(job.id, include, view),
      })),
    );
  return [
    queriedKind(kinds.jobs),
    queriedKind(kinds.vmPoints),
    queriedKind(kinds.restorePoints),
    queriedKind(kinds.jobSessions),
    queriedKind(kinds.taskSessions),
    queriedKind(kinds.restoreSessions),
    queriedKind(kinds.hierarchyRoots),
    queriedKind(kinds.managedServers),
    queriedKind(kinds.repositories),
    queriedKind(kinds.backupFiles),
    queriedKind(kinds.backups),
    queriedKind(kinds.backupServers),
    { type: 'ObjectInJob', listName: 'sInObjectJob', isEntity: false, rows: objects },
    { type: 'Task', listName: 'Tasks', isEntity: false, rows: (c, view) => taskRows(server, c.get('session'), view) },
  ];
}

function wholeNumber(c: Context<VeeamEnv>, name: string, otherwise: number): number {
  const text = c.req.query(name) ?? String(otherwise);
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new EmError(400, `[${text}] is no value of ${name}.`);
  return Number(text);
}

const textOf = (value: FieldValue): string => (value instanceof Date ? value.toISOString() : String(value ?? ''));

function sorted(c: Context<VeeamEnv>, rows: readonly Row[]): Row[] {
  const descending = c.req.query('sortDesc');
  const name = descending ?? c.req.query('sortAsc');
  if (name === undefined) return [...rows];
  const sign = descending === undefined ? 1 : -1;
  return rows.toSorted((a, b) => sign * compared(fieldOf(a.fields, name), textOf(fieldOf(b.fields, name))));
}

/** `PagingInfo`, whose links repeat the query with another page. */
function pagingInfo(c: Context<VeeamEnv>, view: View, pageNum: number, pageSize: number, pagesCount: number): Element {
  const link = (rel: string, page: number) => {
    const query = new URL(c.req.url).searchParams;
    query.set('page', String(page));
    query.set('pageSize', String(pageSize));
    return { rel, href: view.href(`/query?${query.toString()}`) };
  };
  return {
    name: 'PagingInfo',
    attributes: { PageNum: pageNum, PageSize: pageSize, PagesCount: pagesCount },
    children: [
      links([
        ...(pagesCount > 0 ? [link('First', 1)] : []),
        ...(pageNum > 1 ? [link('Previous', pageNum - 1)] : []),
        ...(pageNum < pagesCount ? [link('Next', pageNum + 1)] : []),
        ...(pagesCount > 0 ? [link('Last', pagesCount)] : []),
      ]),
    ],
  };
}

export function query(server: Server, kinds: Kinds): Hono<VeeamEnv> {
  const types = queriedTypes(server, kinds);
  const collectionsBut = (listName: string): string[] =>
    types.filter((one) => one.isEntity && one.listName !== listName).map((one) => one.listName);

  const found = ({ listName, isEntity }: Queried, rows: readonly Row[], asEntities: boolean): Element => {
    if (isEntity && !asEntities)
      return list(
        'Refs',
        rows.flatMap(({ reference }) => reference?.() ?? []),
        'Refs',
      );
    const entities = list(
      listName,
      rows.map(({ entity }) => entity()),
      listName,
    );
    if (!isEntity) return group('Resources', [entities]);
    return { name: 'Entities', children: [entities], nullKeys: collectionsBut(listName) };
  };

  return new Hono<VeeamEnv>().get('/', async (c) => {
    const asked = (c.req.query('type') ?? '').toLowerCase();
    const queried = types.find(({ type }) => type.toLowerCase() === asked);
    if (queried === undefined) throw new EmError(400, `Type [${c.req.query('type') ?? ''}] is not supported.`);
    const view = viewOf(c, server);
    const filter = c.req.query('filter');
    const test = filter === undefined || filter.trim() === '' ? () => true : filterOf(filter);
    const matching = sorted(
      c,
      queried.rows(c, view).filter(({ fields }) => test(fields)),
    );
    const pageSize = wholeNumber(c, 'pageSize', DEFAULT_PAGE_SIZE);
    const page = wholeNumber(c, 'page', 1);
    const fault = server.pageFaults.take(queried.type, page);
    const from = fault === 'repeat' ? 0 : (page - 1) * pageSize;
    const rows = matching.slice(from, from + pageSize);
    const shown = fault === 'short' ? rows.slice(0, Math.floor(rows.length / 2)) : rows;
    const asEntities = /^entit(y|ies)$/i.test(c.req.query('format') ?? '');
    const document = {
      name: 'QueryResult',
      children: [
        found(queried, shown, asEntities),
        pagingInfo(c, view, page, pageSize, Math.ceil(matching.length / pageSize)),
      ],
    };
    const response = answer(c, server, document);
    if (fault !== 'truncated') return response;
    const body = await response.text();
    return c.body(body.slice(0, Math.floor(body.length / 2)), 200, Object.fromEntries(response.headers));
  });
}

/** `GET /api/querySvc`: where the service is and what it knows. */
export function queryService(server: Server, kinds: Kinds): Hono<VeeamEnv> {
  return new Hono<VeeamEnv>().get('/', (c) => {
    const view = viewOf(c, server);
    const all = queriedTypes(server, kinds).map(({ type }) => ({
      rel: 'Down',
      type,
      href: view.href(`/query?type=${type}`),
    }));
    return answer(c, server, resource('QueryService', view.href('/querySvc'), [links(all)]));
  });
}
