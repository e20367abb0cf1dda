/**
 * Fault switches: a simulator answers truly until it is told to fail. They live in memory; a restarted simulator is a healthy one.
 * @module
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { z } from 'zod';

const Action = z.union([
  z.strictObject({
    status: z.number().int().min(200).max(599),
    body: z.unknown().optional(),
    headers: z.record(z.string(), z.string()).optional(),
  }),
  z.strictObject({ drop: z.literal(true) }),
  z.strictObject({ delayMs: z.number().nonnegative() }),
  z.strictObject({ hold: z.literal(true) }),
]);

const pattern = z.string().transform((source, context) => {
  try {
    return new RegExp(source);
  } catch {
    context.addIssue({ code: 'custom', message: 'must be a regular expression' });
    return z.NEVER;
  }
});

const Fault = z.strictObject({
  method: z.string().toUpperCase().optional(),
  path: pattern,
  body: pattern.optional(),
  when: z.enum(['before', 'after']),
  times: z.number().int().positive().optional(),
  action: Action,
});

type Action = z.infer<typeof Action>;
type ActiveFault = z.infer<typeof Fault> & {
  readonly id: number;
  hits: number;
  /** How many requests it holds now. */
  holding: number;
  /** Resolves when it is removed. */
  readonly removed: PromiseWithResolvers<void>;
};

export type Env = { Bindings: HttpBindings };

function answerOf(action: Extract<Action, { status: number }>): Response {
  const headers = new Headers(action.headers);
  if (action.body === undefined) return new Response(null, { status: action.status, headers });
  if (typeof action.body === 'string') return new Response(action.body, { status: action.status, headers });
  if (!headers.has('content-type')) headers.set('content-type', 'application/json');
  return new Response(JSON.stringify(action.body), { status: action.status, headers });
}

/** Waits until the fault is removed. @returns false when the client went away before that. */
async function held(fault: ActiveFault, c: Context<Env>): Promise<boolean> {
  const { outgoing } = c.env;
  if (outgoing.destroyed) return false;
  const answered = new AbortController();
  const left = once(outgoing, 'close', { signal: answered.signal }).then(
    () => false,
    () => true,
  );
  fault.holding += 1;
  try {
    return await Promise.race([fault.removed.promise.then(() => true), left]);
  } finally {
    fault.holding -= 1;
    answered.abort();
  }
}

/**
 * The faults of one simulator.
 *
 * `before`: the request has no effect. `after`: the effect happens and is stored, then the answer is replaced, lost or late.
 * `path` is a regular expression, tried on the path and on path and query; `body`, where it is given, on the body's text.
 * A fault with `times` ends after that many hits.
 *
 * `hold` keeps requests waiting until the fault is removed. `before`: the request is handled then, and has no effect when its
 * client has gone away. `after`: the effect is there, only the answer waits. The list of faults tells how many each holds.
 */
export function createFaults(): { routes: Hono<Env>; middleware: MiddlewareHandler<Env> } {
  let faults: ActiveFault[] = [];
  let lastId = 0;

  const remove = (isGone: (fault: ActiveFault) => boolean): void => {
    for (const fault of faults.filter(isGone)) fault.removed.resolve();
    faults = faults.filter((fault) => !isGone(fault));
  };
  const spent = (fault: ActiveFault): boolean => fault.times !== undefined && fault.hits >= fault.times;
  const matches = (fault: ActiveFault, when: 'before' | 'after', c: Context<Env>, body: string): boolean => {
    const { pathname, search } = new URL(c.req.url);
    return (
      fault.when === when &&
      !spent(fault) &&
      (fault.method === undefined || fault.method === c.req.method) &&
      (fault.path.test(pathname) || fault.path.test(pathname + search)) &&
      (fault.body === undefined || fault.body.test(body))
    );
  };
  const take = async (when: 'before' | 'after', c: Context<Env>): Promise<ActiveFault | undefined> => {
    const body = faults.some((fault) => fault.body !== undefined) ? await c.req.text() : '';
    const found = faults.find((fault) => matches(fault, when, c, body));
    if (found === undefined) return undefined;
    found.hits += 1;
    // One that holds stays listed until somebody lets go what it holds.
    if (spent(found) && !('hold' in found.action)) remove(({ id }) => id === found.id);
    return found;
  };
  const visible = () =>
    faults.map(({ path, body, removed: _removed, ...fault }) => ({
      ...fault,
      path: path.source,
      ...(body === undefined ? {} : { body: body.source }),
    }));

  /** @returns what is left to be done; `GONE`: the client has gone away while it was held. */
  const carriedOut = async (fault: ActiveFault, c: Context<Env>): Promise<Action | 'GONE' | undefined> => {
    if ('hold' in fault.action) return (await held(fault, c)) ? undefined : 'GONE';
    if (!('delayMs' in fault.action)) return fault.action;
    await sleep(fault.action.delayMs);
    return undefined;
  };

  const middleware: MiddlewareHandler<Env> = async (c, next) => {
    const before = await take('before', c);
    const instead = before === undefined ? undefined : await carriedOut(before, c);
    if (instead === 'GONE') return RESPONSE_ALREADY_SENT;
    if (instead !== undefined && 'drop' in instead) {
      c.env.incoming.socket.destroy();
      return RESPONSE_ALREADY_SENT;
    }
    if (instead !== undefined && 'status' in instead) return answerOf(instead);

    await next();

    const after = await take('after', c);
    const changed = after === undefined ? undefined : await carriedOut(after, c);
    if (changed === undefined || changed === 'GONE') return;
    // Hono merges headers into an existing answer; the replaced one must leave nothing behind.
    c.res = undefined;
    if ('drop' in changed) {
      c.env.incoming.socket.destroy();
      c.res = RESPONSE_ALREADY_SENT;
    } else if ('status' in changed) c.res = answerOf(changed);
  };

  const routes = new Hono<Env>()
    .get('/', (c) => c.json({ faults: visible() }))
    .post('/', async (c) => {
      const parsed = Fault.safeParse(await c.req.json().catch(() => undefined));
      if (!parsed.success) return c.json({ code: 'BAD_FAULT', message: z.prettifyError(parsed.error) }, 400);
      lastId += 1;
      faults.push({ ...parsed.data, id: lastId, hits: 0, holding: 0, removed: Promise.withResolvers<void>() });
      return c.json({ id: lastId }, 201);
    })
    .delete('/', (c) => {
      remove(() => true);
      return c.body(null, 204);
    })
    .delete('/:id', (c) => {
      remove(({ id }) => String(id) === c.req.param('id'));
      return c.body(null, 204);
    });

  return { routes, middleware };
}
