/**
 * The HTTP application of the simulated Avamar 19.x server. Statuses and shapes follow the vendor's swagger; where that is
 * silent, the comment at the place says that the choice is ours.
 * @module
 */
import { Hono } from 'hono';
import { BadBody } from '../kit/checked-body.ts';
import { createFaults } from '../kit/faults.ts';
import { createRequestLog } from '../kit/request-log.ts';
import { activities } from './activities.ts';
import { audit, auditWriter } from './audit.ts';
import { clients } from './clients.ts';
import { controls } from './controls.ts';
import { datasets } from './datasets.ts';
import type { AvamarEnv, Server } from './env.ts';
import { groups } from './groups.ts';
import { oauthClients, requireToken, tokens } from './oauth.ts';
import { replication } from './replication.ts';
import { retentions } from './retentions.ts';
import { rules } from './rules.ts';
import { schedules } from './schedules.ts';
import { AvamarError } from './spring.ts';
import { about, system } from './system.ts';
import { tasks } from './tasks.ts';
import { VCenterUnavailable } from '../hypervisor/vcenter-link.ts';
import { virtualCenters } from './virtual-centers.ts';

export function createAvamarApp(server: Server, beat: () => Promise<void>): Hono<AvamarEnv> {
  const faults = createFaults();
  const requests = createRequestLog();
  const app = new Hono<AvamarEnv>();

  app.route('/_simulator/faults', faults.routes);
  app.route('/_simulator/requests', requests.routes);
  app.route('/_simulator', controls(server, beat));

  app.use('/api/*', requests.middleware);
  app.use('/api/*', async (c, next) => {
    await next();
    c.header('Date', new Date(server.clock.now()).toUTCString());
  });
  app.use('/api/*', faults.middleware);
  app.use('/api/v1/*', (c, next) => server.pageFaults.middleware(c, next));
  app.route('/api/oauth/token', tokens(server));
  app.route('/api/v1/system/about-information', about(server));

  app.use('/api/v1/*', auditWriter(server));
  app.route('/api/v1/oauth2/clients', oauthClients(server));
  app.use('/api/v1/*', requireToken(server));
  app.route('/api/v1/virtualcenters', virtualCenters(server));
  app.route('/api/v1/tasks', tasks(server));
  app.route('/api/v1/clients', clients(server));
  app.route('/api/v1/schedules', schedules(server));
  app.route('/api/v1/retentions', retentions(server));
  app.route('/api/v1/datasets', datasets(server));
  app.route('/api/v1/rules', rules(server));
  app.route('/api/v1/groups', groups(server));
  app.route('/api/v1/replication', replication(server));
  app.route('/api/v1/activities', activities(server));
  app.route('/api/v1/rest-audit', audit(server));
  app.route('/api/v1/system', system(server));

  app.notFound((c) => c.json(new AvamarError(404, `No handler for ${c.req.method} ${c.req.path}`).body(), 404));
  app.onError((error, c) => {
    if (error instanceof AvamarError) return c.json(error.body(), error.status);
    if (error instanceof BadBody) return c.json(new AvamarError(400, error.message).body(), 400);
    if (error instanceof VCenterUnavailable) {
      return c.json(new AvamarError(503, error.message, 'VCenterConnectionException').body(), 503);
    }
    console.error(error);
    return c.json(
      { code: 500, exception: 'InternalException', message: error.message, details: null, event: null },
      500,
    );
  });
  return app;
}
