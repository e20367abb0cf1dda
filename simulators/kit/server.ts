import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer, type HttpBindings } from '@hono/node-server';

/** A simulator that listens. `close` waits until the port is free and the state file is closed. */
export interface RunningSimulator {
  /** Without a trailing slash, e.g. `http://127.0.0.1:4020`; https with a certificate. */
  readonly url: string;
  close(): Promise<void>;
}

/** A key and its certificate, PEM. */
export type Certificate = { key: string; cert: string };

/** How long an idle connection is kept, as servers of this kind do: one that is used again just as it ends fails a call. */
const IDLE_LIMIT_MS = 60_000;

/**
 * Listens on `host:port`; port 0 lets the operating system choose. With a certificate it speaks https alone. The only
 * place that knows the transport.
 */
export async function listen(
  app: { fetch(request: Request, bindings: HttpBindings): Response | Promise<Response> },
  host: string,
  port: number,
  certificate?: Certificate,
): Promise<RunningSimulator> {
  const fetch = (request: Request, bindings: unknown) => app.fetch(request, bindings as HttpBindings);
  const server = createAdaptorServer(
    certificate === undefined ? { fetch } : { fetch, createServer, serverOptions: certificate },
  );
  if ('keepAliveTimeout' in server) server.keepAliveTimeout = IDLE_LIMIT_MS;
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://${shownHost}:${address.port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
      await closed;
    },
  };
}
