/**
 * Fault switches: a simulator answers truly until it is told to fail. They live in memory; a restarted simulator is a healthy one.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono, type MiddlewareHandler } from 'hono';
import { z } from 'zod';

const Action = z.union([
  z.strictObject({
    status: z.number().int().min(200).max(599),
    body: z.unknown().optional(),
    headers: z.record(z.string(), z.string()).optional(),
  }),
  z.strictObject({ drop: z.literal(true) }),
  z.strictObject({ delayMs: z.number().nonnegative() }),
]);

const Fault = z.strictObject({
  method: z.string().toUpperCase().optional(),
  path: z.string().transform((source) => new RegExp(source)),
  when: z.enum(['before', 'after']),
  times: z.number().int().positive().optional(),
  action: Action,
});

type Action = z.infer<typeof Action>;
type ActiveFault = z.infer<typeof Fault> & { id: number; hits: number };

export type Env = { Bindings: HttpBindings };

function answerOf(action: Extract<Action, { status: number }>): Response {
  const headers = new Headers(action.headers);
  if (action.body === undefined) return new Response(null, { status: action.status, headers });
  if (typeof action.body === 'string') return new Response(action.body, { status: action.status, headers });
  if (!headers.has('content-type')) headers.set('content-type', 'application/json');
  return new Response(JSON.stringify(action.body), { status: action.status, headers });
}

/**
 * The faults of one simulator.
 *
 * `before`: the request has no effect. `after`: the effect happens and is stored, then the answer is replaced, lost or late.
 * `path` is a regular expression, tried on the path and on path and query. A fault with `times` ends after that many hits.
 */
export function createFaults(): { routes: Hono<Env>; middleware: MiddlewareHandler<Env> } {
  let faults: ActiveFault[] = [];
  let lastId = 0;

  const take = (when: 'before' | 'after', method: string, path: string, query: string): Action | undefined => {
    const fault = faults.find(
      (candidate) =>
        candidate.when === when &&
        (candidate.method === undefined || candidate.method === method) &&
        (candidate.path.test(path) || candidate.path.test(path + query)),
    );
    if (fault === undefined) return undefined;
    fault.hits += 1;
    if (fault.times !== undefined && fault.hits >= fault.times) faults = faults.filter(({ id }) => id !== fault.id);
    return fault.action;
  };
  const visible = () => faults.map(({ path, ...fault }) => ({ ...fault, path: path.source }));

  const middleware: MiddlewareHandler<Env> = async (c, next) => {
    const { pathname, search } = new URL(c.req.url);
    const before = take('before', c.req.method, pathname, search);
    if (before !== undefined && 'drop' in before) {
      c.env.incoming.socket.destroy();
      return RESPONSE_ALREADY_SENT;
    }
    if (before !== undefined && 'status' in before) return answerOf(before);
    if (before !== undefined) await sleep(before.delayMs);

    await next();

    const after = take('after', c.req.method, pathname, search);
    if (after === undefined) return;
    if ('delayMs' in after) {
      await sleep(after.delayMs);
      return;
    }
    // Hono merges headers into an existing answer; the replaced one must leave nothing behind.
    c.res = undefined;
    if ('drop' in after) {
      c.env.incoming.socket.destroy();
      c.res = RESPONSE_ALREADY_SENT;
    } else c.res = answerOf(after);
  };

  const routes = new Hono<Env>()
    .get('/', (c) => c.json({ faults: visible() }))
    .post('/', async (c) => {
      const parsed = Fault.safeParse(await c.req.json().catch(() => undefined));
      if (!parsed.success) return c.json({ code: 'BAD_FAULT', message: z.prettifyError(parsed.error) }, 400);
      lastId += 1;
      faults.push({ ...parsed.data, id: lastId, hits: 0 });
      return c.json({ id: lastId }, 201);
    })
    .delete('/', (c) => {
      faults = [];
      return c.body(null, 204);
    })
    .delete('/:id', (c) => {
      faults = faults.filter(({ id }) => String(id) !== c.req.param('id'));
      return c.body(null, 204);
    });

  return { routes, middleware };
}
