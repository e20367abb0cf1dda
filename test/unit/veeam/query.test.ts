import { describe, expect, test } from 'vitest';
import { condition, entities } from '../../../activities/backup-systems/veeam/query.ts';
import type { VeeamRest } from '../../../activities/backup-systems/veeam/rest.ts';
import { attribute, parseXml } from '../../../activities/backup-systems/veeam/xml.ts';
import type { CallContext } from '../../../activities/calls.ts';

const context: CallContext = { signal: new AbortController().signal, beforeWrite: async () => {}, progress: () => {} };

/** A server that answers with these pages, one after the other, and notes what it was asked for. */
function serving(pages: readonly string[]): { readonly rest: VeeamRest; readonly asked: string[] } {
  const asked: string[] = [];
  const rest = {
    manager: { name: 'veeam-1' },
    read: async (_: CallContext, path: string) => {
      asked.push(path);
      return { status: 200, body: parseXml(pages[asked.length - 1] ?? '<QueryResult/>'), date: undefined, headers: {} };
    },
  };
  return { rest: rest as unknown as VeeamRest, asked };
}

function page(uids: readonly string[], next?: string): string {
  const jobs = uids.map((uid) => `<Job UID="urn:veeam:Job:${uid}"><Description>Job</Description></Job>`).join('');
  const link = next === undefined ? '' : `<Link Rel="Next" Href="${next.replaceAll('&', '&amp;')}"/>`;
  return `<QueryResult><Entities><Jobs>${jobs}</Jobs></Entities><PagingInfo><Links><Link Rel="First" Href="x"/>${link}</Links></PagingInfo></QueryResult>`;
}

async function read(rest: VeeamRest): Promise<string[]> {
  const found: string[] = [];
  for await (const entity of entities(rest, context, { type: 'Job', purpose: 'list' })) {
    found.push(attribute(entity, 'UID')?.split(':').at(-1) ?? '');
  }
  return found;
}

describe('the pages of a query', () => {
  test('are followed by the server’s own links, at our address', async () => {
    const next = (number: number) => `http://inside.example:9399/api/query?type=Job&page=${number}`;
    const { rest, asked } = serving([page(['1', '2'], next(2)), page(['3'], next(3)), page(['4'])]);
    expect(await read(rest)).toEqual(['1', '2', '3', '4']);
    expect(asked.slice(1)).toEqual(['/query?type=Job&page=2', '/query?type=Job&page=3']);
  });

  test('give each entity once while the list moves, and none for a page that is cut short', async () => {
    const next = (number: number) => `/api/query?page=${number}`;
    const { rest } = serving([page(['1', '2'], next(2)), page(['2', '3'], next(3)), page([], next(4)), page(['4'])]);
    expect(await read(rest)).toEqual(['1', '2', '3', '4']);
  });

  test.each([
    ['leads in a circle', [page(['1'], '/api/query?page=2'), page(['2'], '/api/query?page=2'), page(['9'])]],
    ['shows a page again', [page(['1'], '/api/query?page=2'), page(['1'], '/api/query?page=3'), page(['9'])]],
  ])('are no whole list when the server %s', async (_, pages) => {
    await expect(read(serving(pages).rest)).rejects.toMatchObject({
      kind: 'FAILED',
      message: expect.stringContaining('same page again'),
    });
  });

  test('are found in the shape of older versions too', async () => {
    const { rest } = serving([
      '<QueryResult><Resources><sInJob><Job UID="urn:veeam:Job:1"/></sInJob></Resources></QueryResult>',
    ]);
    expect(await read(rest)).toEqual(['1']);
  });
});

describe('a condition', () => {
  test('holds text and UTC dates in quotes, and no quotes inside', () => {
    expect(condition('Name', '==', 'a "b"; c')).toBe('Name=="a b; c"');
    expect(condition('CreationTime', '>=', new Date(0))).toBe('CreationTime>="1970-01-01T00:00:00.000Z"');
  });

  test('is written so that every server reads a blank as a blank', async () => {
    const { rest, asked } = serving([page([])]);
    const query = { type: 'Job', filter: condition('Name', '==', 'a b+c&d'), purpose: 'list' } as const;
    for await (const _ of entities(rest, context, query)) expect.unreachable();
    expect(asked[0]).toContain('filter=Name%3D%3D%22a%20b%2Bc%26d%22');
  });
});
