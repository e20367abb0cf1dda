/**
 * `/api/v1/rest-audit` (swagger, `RestAuditVO`): what became of a request whose answer was lost.
 * @module
 */
import { Hono, type MiddlewareHandler } from 'hono';
import type { AvamarEnv, Server } from './env.ts';
import { dateTime, page } from './spring.ts';
import type { AuditRecord } from './state.ts';

const KEPT = 2000;
const SECRETS = new Set(['clientSecret', 'password']);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text, (key, value: unknown) => (SECRETS.has(key) ? '******' : value));
  } catch {
    return text === '' ? null : text;
  }
}

/** Records every request that is not a GET. Whether the vendor records reads too is not documented. */
export function auditWriter({ state, clock }: Server): MiddlewareHandler<AvamarEnv> {
  return async (c, next) => {
    if (c.req.method === 'GET') return next();
    const at = clock.now();
    const body = parsed(await c.req.text());
    await next();
    const { pathname, search } = new URL(c.req.url);
    const caller = c.get('caller') as AvamarEnv['Variables']['caller'] | undefined;
    const id = (state.audit.values().at(-1)?.id ?? 0) + 1;
    const record: AuditRecord = {
      id,
      at,
      userName: caller?.userName ?? '',
      oauth2ClientId: caller?.clientId ?? '',
      jti: caller?.jti ?? '',
      ip: c.env.incoming.socket.remoteAddress ?? '',
      method: c.req.method,
      path: pathname,
      query: search.slice(1),
      body,
      status: c.res.status,
      responseBody: parsed(await c.res.clone().text()),
      responseTimeMs: clock.now() - at,
    };
    state.audit.put(String(id), record);
    if (state.audit.size > KEPT) state.audit.delete(String(id - KEPT));
    return undefined;
  };
}

/** `RestAuditVO`. */
const view = (record: AuditRecord) => ({
  id: record.id,
  date: dateTime(record.at),
  userName: record.userName,
  oauth2ClientId: record.oauth2ClientId,
  jti: record.jti,
  ip: record.ip,
  domain: '/',
  role: 'Administrator',
  apiHttpMethod: record.method,
  apiUrl: record.path,
  requestData: { httpMethod: record.method, url: record.path, query: record.query, body: record.body },
  responseStatusCode: record.status,
  responseBody: record.responseBody,
  responseTime: record.responseTimeMs,
  result: record.status < 400,
});

/** Newest first, so that the first page holds the request one is looking for. */
export function audit({ state }: Server): Hono<AvamarEnv> {
  return new Hono<AvamarEnv>().get('/', (c) => {
    const { after = '', before = '', userName, result } = c.req.query();
    const since = Date.parse(after) || Number.NEGATIVE_INFINITY;
    const until = Date.parse(before) || Number.POSITIVE_INFINITY;
    const asked = state.audit
      .values()
      .filter(({ at }) => at > since && at < until)
      .map(view)
      .filter((row) => userName === undefined || row.userName === userName)
      .filter((row) => result === undefined || result === '' || String(row.result) === result);
    return c.json(page(c, asked.toReversed()));
  });
}
