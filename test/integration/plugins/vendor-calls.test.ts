import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type HttpRequest, httpClient } from '../../../activities/http.ts';
import { type CountCall, vendorCalls } from '../../../activities/vendor-calls.ts';
import { freePort } from '../../../db/embedded.ts';
import { openContext } from '../../conformance/port-calls.ts';

const servers: Server[] = [];
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

/** A server that answers each path with its status; `/lost` with nothing at all, `/slow` never. */
async function vendor(): Promise<{ endpoint: string; asked: Promise<unknown> }> {
  let slow: () => void = () => {};
  const asked = new Promise<void>((resolve) => {
    slow = resolve;
  });
  const server = createServer((request, response) => {
    if (request.url === '/lost') request.socket.destroy();
    else if (request.url === '/slow') slow();
    else response.writeHead(Number(request.url?.slice(1))).end('{}');
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

test('every call that was sent is counted with its end, and served with the metrics of the SDK', async () => {
  const port = await freePort();
  const runtime = Runtime.install({
    logger: new DefaultLogger('ERROR', () => {}),
    shutdownSignals: [],
    telemetryOptions: { metrics: { prometheus: { bindAddress: `127.0.0.1:${port}` } } },
  });
  const countCall: CountCall = vendorCalls(runtime.metricMeter);
  const { endpoint, asked } = await vendor();
  const http = httpClient({
    system: 'BACKUP_SYSTEM',
    called: 'the backup system avamar-1',
    endpoint,
    tls: { mode: 'system' },
    wordsOf: () => undefined,
    onCall: (end) => countCall({ system: 'BACKUP_SYSTEM', name: 'avamar-1' }, end),
  });
  const call = (path: string, method: 'GET' | 'POST' = 'GET'): HttpRequest<unknown> => ({
    method,
    path,
    purpose: 'look',
    answer: z.unknown(),
  });
  await http.read(openContext(), call('/200'));
  await http.read(openContext(), call('/200'));
  await http.write(openContext(), call('/200', 'POST'));
  for (const path of ['/404', '/503']) await expect(http.read(openContext(), call(path))).rejects.toThrow();
  await expect(http.write(openContext(), call('/lost', 'POST'))).rejects.toThrow();
  const stop = new AbortController();
  const stopped = http.read({ ...openContext(), signal: stop.signal }, call('/slow'));
  await asked;
  stop.abort(new Error('stop'));
  await expect(stopped).rejects.toThrow('stop');
  // Turned away before it was sent: no call at all.
  const fenced = { ...openContext(), beforeWrite: () => Promise.reject(new Error('fenced')) };
  await expect(http.write(fenced, call('/200', 'POST'))).rejects.toThrow('fenced');

  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const counted = text.split('\n').filter((line) => line.startsWith('holdfast_vendor_calls_total'));
  const sample = (effect: string, outcome: string, count: number) =>
    `holdfast_vendor_calls_total{call="${effect}",name="avamar-1",outcome="${outcome}",system="BACKUP_SYSTEM"} ${count}`;
  expect(counted.toSorted()).toEqual([
    sample('READ', 'FAILED', 1),
    sample('READ', 'OK', 2),
    sample('READ', 'REFUSED', 1),
    sample('READ', 'STOPPED', 1),
    sample('WRITE', 'NO_ANSWER', 1),
    sample('WRITE', 'OK', 1),
  ]);
});
