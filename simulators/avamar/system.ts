/**
 * `/api/v1/system`: who this server is.
 * @module
 */
import { Hono } from 'hono';
import type { AvamarEnv, Server } from './env.ts';

const VERSION = '19.10.0-135';

/** The one call of the product that needs no token (swagger). Its fields are undocumented and ours. */
export function about(server: Server): Hono<AvamarEnv> {
  return new Hono<AvamarEnv>().get('/', (c) =>
    c.json({
      productName: 'Avamar',
      version: VERSION,
      hostName: new URL(c.req.url).hostname,
      systemId: server.state.systemId(),
    }),
  );
}

/** `BasicInfoDTO` has the version; `SystemStatus.systemId` is the stable identity of the server. */
export function system({ state, clock }: Server): Hono<AvamarEnv> {
  return new Hono<AvamarEnv>()
    .get('/basic-info', (c) => c.json({ hostName: new URL(c.req.url).hostname, version: VERSION }))
    .get('/status', (c) =>
      c.json({
        systemId: state.systemId(),
        gsanVersion: VERSION,
        mcsVersion: VERSION,
        dpnState: 'Full Access',
        dpnTime: clock.now(),
        ddrState: 'No Data Domain systems',
        licenseStatus: 'VALID',
        schedulerToggleState: true,
        bytesProtected: state.backups.values().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        criticalEvents: 0,
      }),
    );
}
