/**
 * The HTTP API.
 * @module
 */
import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { errorDefinition, HoldfastError } from '../domain/errors.ts';
import { accessLog } from './access-log.ts';
import { authenticate } from './auth/authenticate.ts';
import { type ApiDependencies, newRoutes } from './context.ts';
import { describeApi } from './openapi.ts';
import { problemResponse, toHoldfastError } from './problems.ts';
import { allowanceRoutes } from './routes/allowances.ts';
import { backupManagerRoutes } from './routes/backup-managers.ts';
import { backupPolicyRoutes } from './routes/backup-policies.ts';
import { backupResultRoutes } from './routes/backup-results.ts';
import { datacenterRoutes } from './routes/datacenters.ts';
import { enterpriseRoutes } from './routes/enterprises.ts';
import { eventRoutes } from './routes/events.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { openRoutes } from './routes/open.ts';
import { operationRoutes } from './routes/operations.ts';
import { pluginTypeRoutes } from './routes/plugin-types.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { virtualMachineRoutes } from './routes/virtual-machines.ts';
import { vmOperationRoutes } from './routes/vm-operations.ts';

const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Many clients send a content type with every POST, also where there is nothing to say: an empty JSON body says `{}`.
 */
const emptyBodyIsEmptyObject: MiddlewareHandler = async (c, next) => {
  const maybeEmpty = (c.req.header('content-length') ?? '0') === '0';
  const json = c.req.header('content-type')?.startsWith('application/json') === true;
  if (json && maybeEmpty && (await c.req.text()) === '') c.req.bodyCache.text = Promise.resolve('{}') as never;
  await next();
};

/**
 * Makes the API. It opens nothing itself: connections are handed in.
 * @example const app = createApp({ db, operations, temporal, sealing, logger, config });
 */
export function createApp(dependencies: ApiDependencies) {
  const { db, logger, config } = dependencies;
  const app = newRoutes();

  app.use(requestId());
  app.use(accessLog(logger));
  app.use(secureHeaders());
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) => {
        c.header('Allow', methods.join(', '));
        return problemResponse(
          c,
          new HoldfastError('METHOD_NOT_ALLOWED', `This path takes ${methods.join(', ')}, not ${c.req.method}.`),
        );
      },
    }),
  );
  app.use('/v1/*', async (c, next) => {
    await next();
    c.header('Cache-Control', 'no-store');
  });
  app.use('/v1/*', authenticate(db));
  app.use(
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: () => {
        throw new HoldfastError('PAYLOAD_TOO_LARGE', 'The body is larger than 1 MiB.');
      },
    }),
  );
  app.use(emptyBodyIsEmptyObject);

  app.onError((error, c) => {
    const told = toHoldfastError(error);
    if (errorDefinition(told.code).status >= 500) {
      logger.error({ err: error, requestId: c.get('requestId') }, 'a request failed');
    }
    return problemResponse(c, told);
  });
  app.notFound((c) => problemResponse(c, new HoldfastError('NOT_FOUND', 'There is nothing at this path.')));

  app.route('/', openRoutes(dependencies));
  if (config.metrics.served) app.route('/', metricsRoutes(dependencies));
  app.route('/', pluginTypeRoutes());
  app.route('/', enterpriseRoutes(dependencies));
  app.route('/', tokenRoutes(dependencies));
  app.route('/', datacenterRoutes(dependencies));
  app.route('/', backupManagerRoutes(dependencies));
  app.route('/', backupPolicyRoutes(dependencies));
  app.route('/', allowanceRoutes(dependencies));
  app.route('/', virtualMachineRoutes(dependencies));
  app.route('/', vmOperationRoutes(dependencies));
  app.route('/', operationRoutes(dependencies));
  app.route('/', backupResultRoutes(dependencies));
  app.route('/', eventRoutes(dependencies));
  describeApi(app);
  return app;
}
