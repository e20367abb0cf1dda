import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createAdaptorServer, type HttpBindings } from '@hono/node-server';

/** A simulator that listens. `close` waits until the port is free and the state file is closed. */
export interface RunningSimulator {
  /** Without a trailing slash, e.g. `http://127.0.0.1:4020`. */
  readonly url: string;
  close(): Promise<void>;
}

/** Listens on `host:port`; port 0 lets the operating system choose. The only place that knows the transport. */
export async function listen(
  app: { fetch(request: Request, bindings: HttpBindings): Response | Promise<Response> },
  host: string,
  port: number,
): Promise<RunningSimulator> {
  const server = createAdaptorServer({ fetch: (request, bindings) => app.fetch(request, bindings as HttpBindings) });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${shownHost}:${address.port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      if ('closeAllConnections' in server) server.closeAllConnections();
      await closed;
    },
  };
}
