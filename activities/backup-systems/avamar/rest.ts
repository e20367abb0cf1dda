/**
 * Calls to the Avamar 19.x REST API: with a token, page by page, errors in the vendor's words.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { type HttpClient, httpClient, type HttpRequest } from '../../http.ts';
import type { ManagerConnection } from '../backup-system.ts';
import { avamarLogin, type Login } from './login.ts';
import { refused } from './refusal.ts';

const PAGE_SIZE = 200;

/** Codes that Dell lists as worth a retry, whatever the status (reference of the Client Manager). */
const PASSING_CODES: ReadonlySet<number> = new Set([22271, 22280, 22282, 22295, 30006, 30012, 30016, 30017, 30019]);

/** `Error` of the swagger, and the shape in which Spring words a refused token. */
const Words = z.object({
  code: z.number().optional(),
  message: z.string().optional(),
  error_description: z.string().optional(),
});

/** `Page«…»` of the swagger. */
const page = <T>(item: z.ZodType<T>) =>
  z.object({
    content: z.array(item),
    number: z.number().nullish(),
    last: z.boolean().nullish(),
    totalPages: z.number().nullish(),
    totalElements: z.number().nullish(),
  });

export interface AvamarRest {
  readonly manager: ManagerConnection;
  readonly login: Login;
  readonly read: HttpClient['read'];
  readonly write: HttpClient['write'];
  /** A call that needs no token. */
  readonly open: HttpClient['read'];
  /**
   * All items of a paged list, following the pages. The list may move meanwhile, so an item can come twice.
   * @param path of the list, with `query` beside it.
   */
  items<T>(
    context: CallContext,
    call: Omit<HttpRequest<unknown>, 'method' | 'answer'> & { readonly item: z.ZodType<T>; readonly pageSize?: number },
  ): AsyncGenerator<T>;
}

/** @throws ExternalSystemError `REFUSED` when the manager has no endpoint, or one that is no address. */
export function avamarRest(manager: ManagerConnection, now: () => Date): AvamarRest {
  const http = httpClient({
    system: 'BACKUP_SYSTEM',
    called: `the backup system ${manager.name}`,
    endpoint: apiAddress(manager),
    tls: manager.tls,
    onCall: manager.onCall,
    wordsOf: (body) => {
      const words = Words.safeParse(body).data;
      return words?.message ?? words?.error_description;
    },
    passing: (body) => PASSING_CODES.has(Words.safeParse(body).data?.code ?? 0),
  });
  const login = avamarLogin(http, manager, now);
  const versioned = <T>(call: HttpRequest<T>): HttpRequest<T> => ({ ...call, path: `/v1${call.path}` });

  const authorized =
    (send: HttpClient['read']): HttpClient['read'] =>
    async (context, call) => {
      const withToken = (token: string) =>
        send(context, { ...versioned(call), headers: { authorization: `Bearer ${token}` } });
      const token = await login.token(context);
      try {
        return await withToken(token);
      } catch (error) {
        if (!(error instanceof ExternalSystemError) || error.status !== 401) throw error;
        // The token was refused, so nothing was done: one new login and the same call once more.
        return withToken(await login.token(context, token));
      }
    };
  const read = authorized((context, call) => http.read(context, call));

  return {
    manager,
    login,
    read,
    write: authorized((context, call) => http.write(context, call)),
    open: (context, call) => http.read(context, versioned(call)),
    async *items(context, { item, pageSize = PAGE_SIZE, ...call }) {
      const answer = page(item);
      // What a list lacks must not count as absent: neither what a page hides that came twice, nor what was cut off.
      const incomplete = (what: string) => incompleteList(manager, `${what} when asked to ${call.purpose}`);
      let previous = '';
      for (let number = 0, count = 0; ; number += 1) {
        const query = { ...call.query, page: String(number), size: String(pageSize) };
        const { body } = await read(context, { ...call, query, method: 'GET', answer });
        const { content, last, totalPages, totalElements } = body;
        const given = body.number ?? number;
        const text = JSON.stringify(content);
        if (given !== number) throw incomplete(`page ${given} for page ${number}`);
        if (content.length > 0 && text === previous) throw incomplete(`the same page twice`);
        previous = text;
        count += content.length;
        yield* content;
        // The server may give smaller pages than were asked for, so a short one is not the last one by itself.
        const isLast = last ?? (typeof totalPages === 'number' && number + 1 >= totalPages);
        if (!isLast && content.length > 0) continue;
        if (count < (totalElements ?? 0)) throw incomplete(`${count} of ${totalElements} items`);
        return;
      }
    },
  };
}

function incompleteList(manager: ManagerConnection, what: string): ExternalSystemError {
  const message = `the backup system ${manager.name} gave ${what}`;
  return new ExternalSystemError({ kind: 'FAILED', system: 'BACKUP_SYSTEM', message });
}

/**
 * `/api` of the server, from what people write as its endpoint: `https://avamar`, with or without `/api`, `/api/v1` and
 * a slash at the end.
 */
function apiAddress(manager: ManagerConnection): string {
  if (manager.endpoint === null) throw refused(`the backup manager ${manager.name} has no endpoint`);
  const bare = manager.endpoint.trim().replace(/\/+$/, '').replace(/\/v1$/, '');
  return bare.endsWith('/api') ? bare : `${bare}/api`;
}
