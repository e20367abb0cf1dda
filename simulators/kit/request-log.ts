import { Hono, type MiddlewareHandler } from 'hono';
import { matchedRoutes } from 'hono/route';
import type { Env } from './faults.ts';

const RING_SIZE = 500;

type Logged = { at: string; method: string; path: string; status: number };

/**
 * What was asked of a simulator since its start: counts by method and route pattern, and the last 500 requests.
 * The status is the one that the handler gave; a dropped answer is logged with 0.
 */
export function createRequestLog(): { routes: Hono<Env>; middleware: MiddlewareHandler<Env> } {
  let counts: Record<string, number> = {};
  let ring: Logged[] = [];

  const middleware: MiddlewareHandler<Env> = async (c, next) => {
    await next();
    const { pathname, search } = new URL(c.req.url);
    const route = matchedRoutes(c)
      .filter(({ method }) => method !== 'ALL')
      .at(-1);
    const key = `${c.req.method} ${route?.path ?? '(no route)'}`;
    counts[key] = (counts[key] ?? 0) + 1;
    const status = c.res.headers.has('x-hono-already-sent') ? 0 : c.res.status;
    ring.push({ at: new Date().toISOString(), method: c.req.method, path: pathname + search, status });
    if (ring.length > RING_SIZE) ring = ring.slice(-RING_SIZE);
  };

  const routes = new Hono<Env>()
    .get('/', (c) =>
      c.json({ total: Object.values(counts).reduce((sum, count) => sum + count, 0), counts, requests: ring }),
    )
    .delete('/', (c) => {
      counts = {};
      ring = [];
      return c.body(null, 204);
    });

  return { routes, middleware };
}
