import type { MiddlewareHandler } from 'hono';
import type { Logger } from 'pino';
import type { Principal } from '../domain/privileges.ts';
import type { ApiEnv } from './context.ts';

/** One line for each request, without its query, headers or body: those may hold what does not belong into a log. */
export function accessLog(logger: Logger): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const began = performance.now();
    await next();
    const principal = c.get('principal') as Principal | undefined;
    logger.info(
      {
        requestId: c.get('requestId'),
        method: c.req.method,
        path: c.req.path,
        status: c.res.status,
        durationMs: Math.round(performance.now() - began),
        ...(principal === undefined
          ? {}
          : { principal: principal.name, role: principal.role, tokenId: principal.tokenId }),
      },
      'request',
    );
  };
}
