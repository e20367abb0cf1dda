/**
 * Logging in and out. Sessions live in memory: a restarted server knows none, as after its service was restarted.
 * @module
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { Hono, type MiddlewareHandler } from 'hono';
import { getCookie } from 'hono/cookie';
import type { SimulatedClock } from '../kit/clock.ts';
import { answer } from './answers.ts';
import { type Element, links, text } from './element.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError } from './errors.ts';
import { COLLECTIONS } from './service.ts';
import type { Settings } from './settings.ts';
import { type View, resource, viewOf } from './view.ts';

type Role = 'Portal Administrator' | 'Portal User' | 'Restore Operator';
export type Account = { user: string; password: string; role: Role };
export type LogonSession = {
  /** What the client sends with each call. */
  key: string;
  /** What the addresses say; another value than the key. */
  id: string;
  account: Account;
  lastUsedAt: number;
  lastTask: number;
};
export type Sessions = ReturnType<typeof createSessions>;

const HEADER = 'X-RestSvcSessionId';

export function createSessions(clock: SimulatedClock, settings: () => Settings) {
  const sessions = new Map<string, LogonSession>();
  return {
    open(account: Account): LogonSession {
      const key = randomBytes(24).toString('base64');
      const session = { key, id: randomUUID(), account, lastUsedAt: clock.now(), lastTask: 0 };
      sessions.set(key, session);
      return session;
    },
    /** The session of a key, which is used by this; undefined when it is over. */
    use(key: string): LogonSession | undefined {
      const session = sessions.get(key);
      if (session === undefined) return undefined;
      if (clock.now() > session.lastUsedAt + settings().idleSeconds * 1000) {
        sessions.delete(key);
        return undefined;
      }
      session.lastUsedAt = clock.now();
      return session;
    },
    byId: (id: string): LogonSession | undefined => [...sessions.values()].find((session) => session.id === id),
    end: ({ key }: LogonSession): void => void sessions.delete(key),
    endAll: (): void => sessions.clear(),
    get count() {
      return sessions.size;
    },
  };
}

function accountOf(header: string | undefined, accounts: readonly Account[]): Account | undefined {
  const encoded = /^Basic\s+(.+)$/i.exec(header ?? '')?.[1];
  const credentials = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  const colon = credentials.indexOf(':');
  if (encoded === undefined || colon < 0) return undefined;
  // The host or the domain before the name may be there or not.
  const user = credentials.slice(0, colon).replace(/^.*\\/, '').toLowerCase();
  return accounts.find((one) => one.user.toLowerCase() === user && one.password === credentials.slice(colon + 1));
}

/** `LogonSession` (recorded): links to all collections, then who it is. */
function logonSession(view: View, { id, account }: LogonSession): Element {
  const path = `/logonSessions/${id}`;
  return resource('LogonSession', view.href(path), [
    links([
      { rel: 'Up', type: 'EnterpriseManager', href: view.href('/') },
      ...COLLECTIONS.map(({ type, path }) => ({ rel: 'Down', type: `${type}ReferenceList`, href: view.href(path) })),
      { rel: 'Down', type: 'TaskList', href: view.href('/tasks') },
      { rel: 'Down', type: 'QueryService', href: view.href('/querySvc') },
      { rel: 'Down', type: 'LookupService', href: view.href('/lookupSvc') },
      ...COLLECTIONS.map(({ type, path }) => ({
        rel: 'Down',
        type: `${type}List`,
        href: view.href(`${path}?format=Entity`),
      })),
      { rel: 'Delete', href: view.href(path) },
    ]),
    text('UserName', `VEEAM-EM\\${account.user}`),
    text('SessionId', id),
  ]);
}

/** `POST /api/sessionMngr/?v=…`. */
export function logOn(server: Server): Hono<VeeamEnv> {
  return new Hono<VeeamEnv>().post('/', (c) => {
    const account = accountOf(c.req.header('authorization'), server.accounts);
    if (account === undefined) throw new EmError(401, 'Unauthorized');
    const version = c.req.query('v') ?? 'latest';
    if (version !== 'latest' && !server.settings().versions.includes(version)) {
      throw new EmError(400, `Version [${version}] is not supported.`);
    }
    const session = server.sessions.open(account);
    c.header(HEADER, session.key);
    c.header('Set-Cookie', `${HEADER}=${session.key}; Path=/api;`);
    return answer(c, server, logonSession(viewOf(c, server), session), 201);
  });
}

/** Answers 401 to everything without a live session. Where a cookie and a header are sent, the cookie counts. */
export function requireSession(server: Server): MiddlewareHandler<VeeamEnv> {
  return async (c, next) => {
    const key = getCookie(c, HEADER) ?? c.req.header(HEADER) ?? '';
    const session = server.sessions.use(key);
    if (session === undefined) throw new EmError(401, 'Unauthorized');
    c.set('session', session);
    await next();
  };
}

/** `/api/logonSessions`: a session sees itself alone. */
export function logonSessions(server: Server): Hono<VeeamEnv> {
  const routes = new Hono<VeeamEnv>();
  routes.get('/', (c) => {
    const children = [logonSession(viewOf(c, server), c.get('session'))];
    return answer(c, server, { name: 'LogonSessions', children, arrayKey: 'LogonSessions' });
  });
  routes.use('/:id', async (c, next) => {
    if (c.get('session').id !== c.req.param('id')) throw new EmError(404, 'There is no such logon session.');
    await next();
  });
  routes.get('/:id', (c) => answer(c, server, logonSession(viewOf(c, server), c.get('session'))));
  routes.delete('/:id', (c) => {
    server.sessions.end(c.get('session'));
    return c.body(null, 204);
  });
  return routes;
}

/** @throws EmError 403 when the caller may not change jobs. */
export function requireAdministrator({ account }: LogonSession): void {
  if (account.role !== 'Portal Administrator') throw new EmError(403, `Access denied: ${account.role}.`);
}
