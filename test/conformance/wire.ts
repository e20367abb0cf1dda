/**
 * The wire between a plugin and its backup system. Every call passes through it and is counted, and it fails as wires,
 * gateways and busy servers do. It knows no vendor, so it stands before a real server as well as before a simulator.
 * @module
 */
import { once } from 'node:events';
import {
  Agent as HttpAgent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from 'node:http';
import { Agent as HttpsAgent, createServer as createTlsServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

/** What may happen to one call. */
export type Trouble =
  /** It does not arrive. */
  | 'REQUEST_LOST'
  /** It arrives and is obeyed; the answer does not come back. */
  | 'ANSWER_LOST'
  /** It is obeyed, its answer is lost, and then nobody answers any more. */
  | 'GONE_AFTERWARDS'
  /** It is obeyed, and the answer says that it failed. */
  | 'SAID_TO_FAIL'
  /** It is not obeyed: the server is overloaded. */
  | 'OVERLOADED'
  | 'SLOW'
  /** The answer ends in the middle of its body. */
  | 'CUT_SHORT'
  /** The answer begins with a byte order mark. */
  | 'BYTE_ORDER_MARK'
  /** The server no longer accepts the login that the call carries. */
  | 'LOGIN_ENDED'
  /** A later page of a list is the first one again. */
  | 'SAME_PAGE_AGAIN'
  /** The answer sends the client to another server. */
  | 'REDIRECTED'
  /** It is not obeyed: the account lacks the right to make it. */
  | 'FORBIDDEN';

/** A call that was made. */
export interface Call {
  /** 1 is the first since the last `forget`. */
  readonly number: number;
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** What it asks, without ids: calls of one kind are answered by the same code of the server. */
  readonly kind: string;
  /** The list that it reads a page of: its path without the number of the page. */
  readonly list: string;
  readonly isLogin: boolean;
  /** Which of the calls that change something it is; `undefined` for one that changes nothing. */
  readonly write: number | undefined;
}

/** How the protocol of a backup system shows what the wire must know. */
export interface Protocol {
  /** What follows the address in a manager's endpoint, for example `/api/v1`. */
  readonly api: string;
  /** Matches method and path of a login, for example `POST /api/token`. */
  readonly login: RegExp;
  /** Matches method and path of calls that look like writes and change nothing that an operation owns. */
  readonly harmless: RegExp;
  /** Headers that carry the login, in small letters. */
  readonly credentialHeaders: readonly string[];
  /** Query parameters that tell the number of a page. */
  readonly pageNumber: readonly string[];
  /** Query parameters that tell the size of a page. */
  readonly pageSize: readonly string[];
}

/** A trouble that was put on the wire. */
export interface Strike {
  /** The calls that it has hit. */
  readonly hit: readonly Call[];
}

export interface Wire {
  /** What the plugin is to take as the address of the server, without a path. */
  readonly url: string;
  /** The calls since the last `forget`. */
  readonly calls: readonly Call[];
  forget(): void;
  /** Makes the calls that fit meet that trouble, `times` of them. */
  trouble(what: Trouble, fits: (call: Call) => boolean, times?: number): Strike;
  /** Makes every list come in pages of that size. */
  smallPages(size: number): void;
  /** Nobody listens any more, until `heal`. */
  goAway(): Promise<void>;
  /** Ends all troubles. */
  heal(): Promise<void>;
  close(): Promise<void>;
}

/** Where a redirected client is sent; `REDIRECTED` proves that it does not go there. */
export const ELSEWHERE = 'http://127.0.0.1:9/elsewhere';
const SLOW_MS = 40;

/**
 * Stretches a wire to a server.
 * @param options.trusted the authority of the server's certificate, in PEM; absent: the system's.
 * @param options.certificate makes the plugin's end speak TLS.
 */
export async function startWire(
  upstream: string,
  protocol: Protocol,
  options: { readonly trusted?: string; readonly certificate?: { readonly key: string; readonly cert: string } } = {},
): Promise<Wire> {
  const target = new URL(upstream);
  const isTls = target.protocol === 'https:';
  // A connection that is kept may be closed by the other end just when it is used again: a trouble that nobody asked for.
  const agent = isTls ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  let calls: Call[] = [];
  let strikes: { what: Trouble; fits: (call: Call) => boolean; left: number; hit: Call[] }[] = [];
  let pages: number | undefined;
  let isGone = false;
  const firstPages = new Map<string, { readonly path: string; readonly answer: Answer }>();

  const noted = (method: string, path: string): Call => {
    const line = `${method} ${path}`;
    const isLogin = protocol.login.test(line);
    const isWrite = method !== 'GET' && method !== 'HEAD' && !isLogin && !protocol.harmless.test(line);
    const write = isWrite ? calls.filter((call) => call.write !== undefined).length + 1 : undefined;
    const list = withoutPage(path, protocol);
    const call = { number: calls.length + 1, method, path, kind: kindOf(method, path), list, isLogin, write };
    calls.push(call);
    return call;
  };
  /** What happens to the call. A page can only be the first one again when it is a later one. */
  const struck = (call: Call, isLaterPage: boolean): Trouble | undefined => {
    const strike = strikes.find(
      ({ what, left, fits }) => left > 0 && fits(call) && (what !== 'SAME_PAGE_AGAIN' || isLaterPage),
    );
    if (strike === undefined) return undefined;
    strike.left -= 1;
    strike.hit.push(call);
    return strike.what;
  };

  const forward = async (incoming: IncomingMessage, path: string, body: Buffer, endLogin: boolean): Promise<Answer> => {
    const headers: IncomingHttpHeaders = { ...incoming.headers, host: target.host };
    if (endLogin)
      for (const name of protocol.credentialHeaders) if (headers[name] !== undefined) headers[name] = 'ended';
    const send = isTls ? httpsRequest : httpRequest;
    const sent = send({
      protocol: target.protocol,
      hostname: target.hostname,
      port: target.port,
      method: incoming.method,
      path,
      headers,
      agent,
      ...(options.trusted === undefined ? {} : { ca: options.trusted }),
    });
    sent.end(body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 500, headers: answer.headers, body: await buffer(answer) };
  };

  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await buffer(incoming);
    const path = incoming.url ?? '/';
    const call = noted(incoming.method ?? 'GET', path);
    const earlier = call.method === 'GET' ? firstPages.get(call.list) : undefined;
    const what = struck(call, earlier !== undefined && earlier.path !== path);
    if (what === 'REQUEST_LOST') return void incoming.socket.destroy();
    if (what === 'OVERLOADED') return answerWith(outgoing, plain(503));
    if (what === 'FORBIDDEN') return answerWith(outgoing, plain(403));
    if (what === 'REDIRECTED') return answerWith(outgoing, plain(302, { location: ELSEWHERE }));
    if (what === 'SAME_PAGE_AGAIN' && earlier !== undefined) return answerWith(outgoing, earlier.answer);
    const sized = pages === undefined ? path : resized(path, protocol, pages);
    const answer = await forward(incoming, sized, body, what === 'LOGIN_ENDED');
    if (call.method === 'GET' && earlier === undefined) firstPages.set(call.list, { path, answer });
    switch (what) {
      case 'ANSWER_LOST':
        return void incoming.socket.destroy();
      case 'GONE_AFTERWARDS':
        return goAway();
      case 'SAID_TO_FAIL':
        return answerWith(outgoing, plain(500));
      case 'SLOW':
        await sleep(SLOW_MS);
        return answerWith(outgoing, answer);
      case 'CUT_SHORT':
        outgoing.writeHead(answer.status, { ...passable(answer.headers), 'content-length': answer.body.length });
        outgoing.write(answer.body.subarray(0, Math.floor(answer.body.length / 2)));
        await sleep(5);
        return void incoming.socket.destroy();
      case 'BYTE_ORDER_MARK':
        return answerWith(outgoing, { ...answer, body: Buffer.concat([Buffer.from('\uFEFF'), answer.body]) });
      default:
        return answerWith(outgoing, answer);
    }
  };
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    // A server that is not there is the plugin's to survive: the connection ends without an answer.
    serve(incoming, outgoing).catch(() => incoming.socket.destroy());
  };
  const server =
    options.certificate === undefined ? createServer(listener) : createTlsServer(options.certificate, listener);
  server.keepAliveTimeout = 0;
  const goAway = async (): Promise<void> => {
    if (isGone) return;
    isGone = true;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `${options.certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    get calls() {
      return calls;
    },
    forget() {
      calls = [];
      firstPages.clear();
    },
    trouble(what, fits, times = 1) {
      const strike = { what, fits, left: times, hit: [] as Call[] };
      strikes.push(strike);
      return strike;
    },
    smallPages(size) {
      pages = size;
    },
    goAway,
    async heal() {
      strikes = [];
      pages = undefined;
      if (!isGone) return;
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      isGone = false;
    },
    async close() {
      await goAway();
      agent.destroy();
    },
  };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const plain = (status: number, headers: IncomingHttpHeaders = {}): Answer => ({
  status,
  headers: { 'content-type': 'text/plain', ...headers },
  body: Buffer.from(`status ${status}`),
});

/** Without what belongs to one connection alone. */
function passable(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { connection: _1, 'keep-alive': _2, 'transfer-encoding': _3, 'content-length': _4, ...rest } = headers;
  return rest;
}

function answerWith(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  const hasBody = status !== 204 && status !== 304;
  outgoing.writeHead(status, { ...passable(headers), ...(hasBody ? { 'content-length': body.length } : {}) });
  outgoing.end(hasBody ? body : undefined);
}

/** Method and path without ids; of the query only what chooses the code that answers. */
function kindOf(method: string, path: string): string {
  const url = new URL(path, 'http://wire');
  const parts = url.pathname.split('/').map((part) => (/^v\d+$/.test(part) || !/[\d%:]/.test(part) ? part : '*'));
  const chosen = ['type', 'action'].flatMap((name) => url.searchParams.get(name) ?? []);
  return [method, parts.join('/'), ...chosen].join(' ');
}

/** The list that a page is of. A link to the next page may be spelled in another way than the first was asked for. */
function withoutPage(path: string, protocol: Protocol): string {
  const url = new URL(path, 'http://wire');
  for (const name of [...protocol.pageNumber, ...protocol.pageSize]) url.searchParams.delete(name);
  const asked = [...url.searchParams].map(([name, value]) => `${name.toLowerCase()}=${value}`);
  return `${url.pathname}?${asked.toSorted().join('&')}`;
}

function resized(path: string, protocol: Protocol, size: number): string {
  return path.replaceAll(/([?&])(\w+)=\d+/g, (whole, mark: string, name: string) =>
    protocol.pageSize.includes(name) ? `${mark}${name}=${size}` : whole,
  );
}
