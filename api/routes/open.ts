/**
 * What needs no token: whether the service works, where things are, and what the errors mean.
 * @module
 */
import { readFile } from 'node:fs/promises';
import { createRoute } from '@hono/zod-openapi';
import { sql } from 'kysely';
import { z } from 'zod';
import { ERRORS, errorDefinition, HoldfastError, isErrorCode } from '../../domain/errors.ts';
import { type ApiDependencies, newRoutes } from '../context.ts';
import { json } from '../fields.ts';
import { errorPage, LEGACY_CODES, problemAnswer } from '../problems.ts';

const PROBE_LIMIT_MS = 2_000;

const Reachable = z.object({ reachable: z.boolean() });

const Readiness = z
  .object({ status: z.enum(['ready', 'not ready']), database: Reachable, temporal: Reachable })
  .meta({ id: 'Readiness' });

const TAGS = ['Service'];

const index = createRoute({
  method: 'get',
  path: '/',
  operationId: 'index',
  tags: TAGS,
  summary: 'Where things are',
  responses: {
    200: json(z.object({ name: z.string(), links: z.record(z.string(), z.string()) }).meta({ id: 'Index' }), 'Links.'),
  },
});

const healthz = createRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'healthz',
  tags: TAGS,
  summary: 'Whether the process is alive',
  responses: { 200: json(z.object({ status: z.literal('alive') }).meta({ id: 'Health' }), 'Alive.') },
});

const readyz = createRoute({
  method: 'get',
  path: '/readyz',
  operationId: 'readyz',
  tags: TAGS,
  summary: 'Whether the database and Temporal can be reached',
  responses: { 200: json(Readiness, 'Ready.'), 503: json(Readiness, 'Not ready; the log says why.') },
});

const markdown = { 'text/markdown': { schema: z.string() } };

const errors = createRoute({
  method: 'get',
  path: '/errors',
  operationId: 'listErrors',
  tags: TAGS,
  summary: 'All error codes',
  responses: { 200: { description: 'A page.', content: markdown } },
});

const error = createRoute({
  method: 'get',
  path: '/errors/{code}',
  operationId: 'readError',
  tags: TAGS,
  summary: 'What an error code means and how to fix it',
  request: { params: z.object({ code: z.string() }) },
  responses: {
    200: { description: 'The page.', content: markdown },
    404: problemAnswer('NOT_FOUND'),
  },
});

/** The routes that need no token. */
export function openRoutes({ db, temporal, logger, config }: ApiDependencies) {
  const probe = async (name: string, ask: () => Promise<unknown>): Promise<{ reachable: boolean }> => {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no answer within ${PROBE_LIMIT_MS} ms`)), PROBE_LIMIT_MS);
    try {
      await Promise.race([ask(), late.promise]);
      return { reachable: true };
    } catch (err) {
      logger.warn({ err }, `${name} cannot be reached`);
      return { reachable: false };
    } finally {
      clearTimeout(timer);
    }
  };

  const links: Record<string, string> = {
    openapi: '/openapi.json',
    api: '/v1',
    errors: '/errors',
    health: '/healthz',
    readiness: '/readyz',
    ...(config.metrics.served ? { metrics: '/metrics' } : {}),
    temporalUi: config.temporal.uiUrl,
  };

  return newRoutes()
    .openapi(index, (c) => c.json({ name: 'Holdfast', links }, 200))
    .openapi(healthz, (c) => c.json({ status: 'alive' as const }, 200))
    .openapi(readyz, async (c) => {
      const { connection } = temporal;
      const { namespace } = config.temporal;
      const [database, temporalServer] = await Promise.all([
        probe('the database', () => sql`select 1`.execute(db)),
        probe('Temporal', () =>
          connection.withDeadline(Date.now() + PROBE_LIMIT_MS, () =>
            connection.workflowService.describeNamespace({ namespace }),
          ),
        ),
      ]);
      const ready = database.reachable && temporalServer.reachable;
      const answer = { database, temporal: temporalServer };
      return ready
        ? c.json({ status: 'ready' as const, ...answer }, 200)
        : c.json({ status: 'not ready' as const, ...answer }, 503);
    })
    .openapi(errors, (c) => {
      const lines = Object.keys(ERRORS)
        .filter(isErrorCode)
        .map((code) => {
          const { status, title } = errorDefinition(code);
          return `- [${code}](${errorPage(code)}) (${status}): ${title}`;
        });
      return c.body(`# Errors\n\n${LEGACY_CODES}\n\n${lines.join('\n')}\n`, 200, MARKDOWN);
    })
    .openapi(error, async (c) => {
      const { code } = c.req.valid('param');
      if (!isErrorCode(code)) throw new HoldfastError('NOT_FOUND', 'There is no such error code. See /errors.');
      const page = await readFile(new URL(`../../docs/errors/${code}.md`, import.meta.url), 'utf8');
      return c.body(page, 200, MARKDOWN);
    });
}

const MARKDOWN = { 'Content-Type': 'text/markdown; charset=utf-8' };
