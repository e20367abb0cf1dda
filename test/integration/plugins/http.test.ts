import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type HttpRequest, httpClient } from '../../../activities/http.ts';
import type { Tls } from '../../../db/columns.ts';
import { openContext } from '../../conformance/port-calls.ts';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function serve(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(createServer(listener))}`;
}

function clientOf(endpoint: string, tls: Tls = { mode: 'system' }) {
  const wordsOf = (body: unknown) => z.object({ message: z.string() }).safeParse(body).data?.message;
  return httpClient({ system: 'BACKUP_SYSTEM', called: 'the backup system b-1', endpoint, tls, wordsOf });
}

const call: HttpRequest<unknown> = { method: 'GET', path: '/thing', purpose: 'look at the thing', answer: z.unknown() };
const write: HttpRequest<unknown> = { ...call, method: 'POST', json: { a: 1 }, purpose: 'change the thing' };

describe('an answer', () => {
  test.each([
    [400, 'REFUSED', 'REFUSED'],
    [404, 'REFUSED', 'REFUSED'],
    [409, 'REFUSED', 'REFUSED'],
    [401, 'LOGIN_REFUSED', 'LOGIN_REFUSED'],
    [403, 'REFUSED', 'REFUSED'],
    [408, 'FAILED', 'FAILED'],
    [423, 'FAILED', 'FAILED'],
    [429, 'FAILED', 'FAILED'],
    [500, 'FAILED', 'FAILED'],
    [503, 'FAILED', 'FAILED'],
    [502, 'UNREACHABLE', 'NO_ANSWER'],
    [504, 'UNREACHABLE', 'NO_ANSWER'],
  ])('of status %i means %s to a read and %s to a write', async (status, toRead, toWrite) => {
    const http = clientOf(await serve((_, response) => response.writeHead(status).end('{"message":"No."}')));
    const expected = {
      status,
      vendorMessage: 'No.',
      message: expect.stringMatching(/^the backup system b-1 .*: No\.$/),
    };
    await expect(http.read(openContext(), call)).rejects.toMatchObject({ ...expected, kind: toRead });
    await expect(http.write(openContext(), write)).rejects.toMatchObject({ ...expected, kind: toWrite });
  });

  test('of status 403 says that a right is missing, and which call needs it', async () => {
    const http = clientOf(await serve((_, response) => response.writeHead(403).end('{"message":"Not for you."}')));
    await expect(http.read(openContext(), call)).rejects.toThrow(
      'the backup system b-1 refused to look at the thing, since its account lacks the right to GET /thing: Not for you.',
    );
    await expect(http.write(openContext(), write)).rejects.toThrow(
      'the backup system b-1 refused to change the thing, since its account lacks the right to POST /thing: Not for you.',
    );
  });

  test('that redirects is not followed', async () => {
    let asked = 0;
    const other = await serve((_, response) => {
      asked += 1;
      response.end('{}');
    });
    const http = clientOf(await serve((_, response) => response.writeHead(302, { location: `${other}/thing` }).end()));
    await expect(http.read(openContext(), call)).rejects.toMatchObject({
      kind: 'REFUSED',
      message: expect.stringContaining(`a redirect to ${other}`),
    });
    expect(asked).toBe(0);
  });

  test('that is not understood is a failure of a read and leaves a write open', async () => {
    const http = clientOf(await serve((_, response) => response.end('<html>Welcome</html>')));
    const answer = z.object({ id: z.string() });
    await expect(http.read(openContext(), { ...call, answer })).rejects.toMatchObject({ kind: 'FAILED' });
    await expect(http.write(openContext(), { ...write, answer })).rejects.toMatchObject({ kind: 'NO_ANSWER' });
  });

  test('that is endless is cut off', async () => {
    const megabyte = Buffer.alloc(1024 * 1024, 'x');
    const http = clientOf(
      await serve((_, response) => {
        const pour = (): void => {
          while (!response.destroyed && response.write(megabyte));
        };
        response.on('drain', pour);
        pour();
      }),
    );
    await expect(http.read(openContext(), call)).rejects.toMatchObject({
      kind: 'FAILED',
      message: expect.stringContaining('too long an answer'),
    });
  });

  test('that is lost leaves a write open', async () => {
    const http = clientOf(await serve((request) => request.socket.destroy()));
    await expect(http.read(openContext(), call)).rejects.toMatchObject({ kind: 'UNREACHABLE' });
    await expect(http.write(openContext(), write)).rejects.toMatchObject({ kind: 'NO_ANSWER' });
  });

  test('carries the clock of the other system, and a path under a prefix is reached', async () => {
    let url: string | undefined;
    const endpoint = await serve((request, response) => {
      url = request.url;
      response.writeHead(200, { date: 'Sun, 01 Mar 2026 10:00:00 GMT' }).end('{"ok":true}');
    });
    const answer = await clientOf(`${endpoint}/proxy/api/`).read(openContext(), {
      ...call,
      query: { filter: ['a==1', 'b==2'] },
    });
    expect(answer).toMatchObject({ status: 200, body: { ok: true }, date: new Date('2026-03-01T10:00:00Z') });
    expect(url).toBe('/proxy/api/thing?filter=a%3D%3D1&filter=b%3D%3D2');
  });
});

describe('another format than JSON', () => {
  const format = {
    type: 'application/xml',
    parse: (text: string) => {
      if (!text.startsWith('<')) throw new Error('no XML');
      return { xml: text };
    },
  };
  const speaking = (endpoint: string) =>
    httpClient({
      system: 'BACKUP_SYSTEM',
      called: 'the backup system b-1',
      endpoint,
      tls: { mode: 'system' },
      format,
      wordsOf: (body) => z.object({ xml: z.string() }).safeParse(body).data?.xml,
    });

  test('is the one type that is accepted and sent, and an answer is read as it', async () => {
    let headers: IncomingMessage['headers'] = {};
    let sent = '';
    const endpoint = await serve((request, response) => {
      ({ headers } = request);
      request.on('data', (chunk) => {
        sent += String(chunk);
      });
      request.on('end', () => response.writeHead(202, { 'x-thing': 'yes' }).end('\uFEFF<ok/>'));
    });
    const { json: _json, ...bare } = write;
    const answer = await speaking(endpoint).write(openContext(), { ...bare, text: '<a/>' });
    expect(answer).toMatchObject({ status: 202, body: { xml: '<ok/>' }, headers: { 'x-thing': 'yes' } });
    expect(headers).toMatchObject({ accept: 'application/xml', 'content-type': 'application/xml' });
    expect(sent).toBe('<a/>');
  });

  test('gives the words of an error, and leaves an error page without any', async () => {
    const answers = ['<e/>', 'Service Unavailable'];
    const http = speaking(await serve((_, response) => response.writeHead(503).end(answers.shift())));
    await expect(http.read(openContext(), call)).rejects.toMatchObject({ kind: 'FAILED', vendorMessage: '<e/>' });
    await expect(http.read(openContext(), call)).rejects.toMatchObject({ kind: 'FAILED', vendorMessage: undefined });
  });
});

describe('no connection', () => {
  test('means that nothing was done, to a write too', async () => {
    const port = await listening(createServer());
    const [server] = servers.splice(0);
    server?.close();
    const http = clientOf(`http://127.0.0.1:${port}`);
    await expect(http.read(openContext(), call)).rejects.toMatchObject({ kind: 'UNREACHABLE' });
    await expect(http.write(openContext(), write)).rejects.toMatchObject({ kind: 'UNREACHABLE' });
  });

  test('is what a name that does not exist means', async () => {
    await expect(clientOf('http://no-such-host.invalid').write(openContext(), write)).rejects.toMatchObject({
      kind: 'UNREACHABLE',
    });
  });

  test('can be made to an endpoint that is no address', () => {
    for (const endpoint of ['avamar', 'ftp://avamar', '']) {
      expect(() => clientOf(endpoint)).toThrow(expect.objectContaining({ kind: 'REFUSED' }));
    }
  });
});

describe('a stop', () => {
  test('ends a read at once, and a write only before it is sent', async () => {
    const arrived: IncomingMessage[] = [];
    let isHere = (): void => {};
    const http = clientOf(
      await serve((request, response) => {
        arrived.push(request);
        isHere();
        if (request.method === 'POST') setTimeout(() => response.end('{"done":true}'), 100);
      }),
    );
    const arrival = () => new Promise<void>((resolve) => (isHere = resolve));

    const stopRead = new AbortController();
    const readHere = arrival();
    const read = http.read({ ...openContext(), signal: stopRead.signal }, call);
    await readHere;
    stopRead.abort(new Error('stopped'));
    await expect(read).rejects.toThrow('stopped');

    const stopWrite = new AbortController();
    const writeHere = arrival();
    const written = http.write({ ...openContext(), signal: stopWrite.signal }, write);
    await writeHere;
    stopWrite.abort(new Error('stopped'));
    await expect(written).resolves.toMatchObject({ body: { done: true } });

    const before = arrived.length;
    await expect(
      http.write({ ...openContext(), signal: AbortSignal.abort(new Error('stopped')) }, write),
    ).rejects.toThrow('stopped');
    expect(arrived.length).toBe(before);
  });

  test('by the fence keeps a write from being sent', async () => {
    let asked = 0;
    const http = clientOf(
      await serve((_, response) => {
        asked += 1;
        response.end('{}');
      }),
    );
    const beforeWrite = async () => {
      throw new Error('FENCED');
    };
    await expect(http.write({ ...openContext(), beforeWrite }, write)).rejects.toThrow('FENCED');
    expect(asked).toBe(0);
  });
});

describe('trust in a certificate', () => {
  const sha256 = new X509Certificate(TEST_CERTIFICATE).fingerprint256;

  async function secure(): Promise<{ endpoint: string; asked: () => number }> {
    let asked = 0;
    const server = createTlsServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, (_, response) => {
      asked += 1;
      response.end('{}');
    });
    return { endpoint: `https://127.0.0.1:${await listening(server)}`, asked: () => asked };
  }

  test('that is self-signed is not given by default', async () => {
    const { endpoint, asked } = await secure();
    await expect(clientOf(endpoint).write(openContext(), write)).rejects.toMatchObject({
      kind: 'UNREACHABLE',
      message: expect.stringContaining('self-signed certificate'),
    });
    expect(asked()).toBe(0);
  });

  test('is given by its authority, and by its fingerprint however that is written', async () => {
    const { endpoint } = await secure();
    const trusts: Tls[] = [
      { mode: 'ca', pem: TEST_CERTIFICATE },
      { mode: 'fingerprint', sha256 },
      { mode: 'fingerprint', sha256: sha256.replaceAll(':', '').toLowerCase() },
    ];
    for (const tls of trusts) {
      const http = clientOf(endpoint, tls);
      await expect(http.read(openContext(), call)).resolves.toMatchObject({ status: 200 });
      await expect(http.read(openContext(), call)).resolves.toMatchObject({ status: 200 });
    }
  });

  test('of another fingerprint is refused before anything is sent, and the found one is named', async () => {
    const { endpoint, asked } = await secure();
    const http = clientOf(endpoint, { mode: 'fingerprint', sha256: '00'.repeat(32) });
    await expect(http.write(openContext(), write)).rejects.toMatchObject({
      kind: 'UNREACHABLE',
      message: expect.stringContaining(sha256.replaceAll(':', '').toLowerCase()),
    });
    expect(asked()).toBe(0);
  });
});
