/**
 * The HTTP application of the simulated Veeam Backup Enterprise Manager. Shapes follow the vendor's reference and
 * recordings; where those are silent, the comment at the place says that the choice is ours.
 * @module
 */
import { Hono } from 'hono';
import { BadBody } from '../kit/checked-body.ts';
import { createFaults } from '../kit/faults.ts';
import { createRequestLog } from '../kit/request-log.ts';
import { VCenterUnavailable } from '../hypervisor/vcenter-link.ts';
import { actions } from './actions.ts';
import { errorAnswer } from './answers.ts';
import { collections } from './collections.ts';
import { controls } from './controls.ts';
import type { Server, VeeamEnv } from './env.ts';
import { EmError } from './errors.ts';
import { jobs } from './jobs.ts';
import type { Kinds } from './kinds.ts';
import { logOn, logonSessions, requireSession } from './logon.ts';
import { lookup, lookupService } from './lookup.ts';
import { query, queryService } from './query.ts';
import { service } from './service.ts';
import { tasks } from './tasks.ts';

// Recorded: clients whose base address ends in a slash ask for `//`, and a slash at the end makes no difference.
const plainPath = (request: Request): string =>
  new URL(request.url).pathname.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');

export function createVeeamApp(server: Server, kinds: Kinds): Hono<VeeamEnv> {
  const faults = createFaults();
  const requests = createRequestLog();
  const app = new Hono<VeeamEnv>({ getPath: plainPath });

  app.route('/_simulator/faults', faults.routes);
  app.route('/_simulator/requests', requests.routes);
  app.route('/_simulator', controls(server));

  app.use('/api/*', requests.middleware);
  app.use('/api/*', async (c, next) => {
    await next();
    c.header('Date', new Date(server.clock.now()).toUTCString());
  });
  app.use('/api/*', faults.middleware);
  app.route('/api', service(server));
  app.route('/api/sessionMngr', logOn(server));

  app.use('/api/*', requireSession(server));
  app.route('/api/logonSessions', logonSessions(server));
  app.route('/api/tasks', tasks(server));
  app.route('/api/query', query(server, kinds));
  app.route('/api/querySvc', queryService(server, kinds));
  app.route('/api/lookup', lookup(server));
  app.route('/api/lookupSvc', lookupService(server));
  app.route('/api', collections(server, kinds));
  app.route('/api', actions(server));
  app.route('/api/jobs', jobs(server));

  app.notFound((c) => errorAnswer(c, server, new EmError(404, `${c.req.method} ${c.req.path} was not found.`)));
  app.onError((error, c) => {
    if (error instanceof EmError) return errorAnswer(c, server, error);
    if (error instanceof BadBody) return c.json({ code: 'BAD_REQUEST', message: error.message }, 400);
    if (error instanceof VCenterUnavailable) return errorAnswer(c, server, new EmError(503, error.message));
    console.error(error);
    return errorAnswer(c, server, new EmError(500, error.message));
  });
  return app;
}
