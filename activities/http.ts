/**
 * Calls over HTTP for the adapters, in JSON or in what else a system speaks: certificates are verified or pinned per
 * system, every call has a limit, and every failure says whether the other system may have done what it was asked.
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, errors, request } from 'undici';
import type { z } from 'zod';
import type { Tls } from '../db/columns.ts';
import {
  type CallContext,
  ExternalSystemError,
  type FailureKind,
  VENDOR_CALL_LIMIT_MS,
  WRITE_PERMISSION_MS,
} from './calls.ts';
import { NotConnected, trustingConnector } from './tls-trust.ts';

const RESPONSE_LIMIT_BYTES = 32 * 1024 * 1024;

/** The format of bodies and answers. */
export interface MediaFormat {
  /** The one type that is accepted and sent. */
  readonly type: string;
  /** Reads a body that is not empty. @throws when it is of another format (an error page). */
  readonly parse: (text: string) => unknown;
}

const JSON_FORMAT: MediaFormat = { type: 'application/json', parse: (text) => JSON.parse(text) };

/** The system that is called, as the adapter knows it. */
export interface HttpSystem {
  readonly system: 'HYPERVISOR' | 'BACKUP_SYSTEM';
  /** Begins every message, for example `the backup system avamar-1`. */
  readonly called: string;
  /** Base address; paths of requests are appended to its path. A trailing slash makes no difference. */
  readonly endpoint: string;
  readonly tls: Tls;
  /** What it speaks; absent: JSON. */
  readonly format?: MediaFormat;
  /** The vendor's own words in the body of an error. */
  readonly wordsOf: (body: unknown) => string | undefined;
  /** Whether the vendor marks this error of a status that means a refusal as one that may pass. */
  readonly passing?: (body: unknown) => boolean;
  /** Told of every call that was sent, when it has ended. */
  readonly onCall?: OnCall | undefined;
}

/** How a call ended: well, by the kind of its failure, or without waiting for the answer of a read. */
export interface CallEnd {
  readonly effect: 'READ' | 'WRITE';
  readonly outcome: 'OK' | FailureKind | 'STOPPED';
}

export type OnCall = (end: CallEnd) => void;

export interface HttpRequest<T> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Begins with a slash; its parts are already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[]>>;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  /** A body that is written already, in the system's format. */
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the call is for, after "to": `create the schedule`. */
  readonly purpose: string;
  /** What a good answer looks like; an empty body is `undefined`. */
  readonly answer: z.ZodType<T>;
}

export interface HttpAnswer<T> {
  readonly status: number;
  readonly body: T;
  /** The other system's clock, from the `Date` header; to the second. */
  readonly date: Date | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** @throws ExternalSystemError from both; the reason of `context.signal` when that stopped a read. */
export interface HttpClient {
  /** A call without effect: stops with `context.signal`. A lost answer is `UNREACHABLE`. */
  read<T>(context: CallContext, call: HttpRequest<T>): Promise<HttpAnswer<T>>;
  /**
   * A call with an effect: asks `context.beforeWrite` just before it is sent, and is then waited for whatever the
   * signal says. A lost answer is `NO_ANSWER`.
   */
  write<T>(context: CallContext, call: HttpRequest<T>): Promise<HttpAnswer<T>>;
}

/**
 * A client for one system. Redirects are never followed: a password must not travel to another host.
 * @throws ExternalSystemError `REFUSED` when the endpoint is no http or https address.
 */
export function httpClient(target: HttpSystem): HttpClient {
  const base = baseUrl(target);
  const format = target.format ?? JSON_FORMAT;
  const agent = new Agent({
    connect: trustingConnector(target.tls),
    allowH2: false,
    headersTimeout: VENDOR_CALL_LIMIT_MS,
    bodyTimeout: VENDOR_CALL_LIMIT_MS,
    maxResponseSize: RESPONSE_LIMIT_BYTES,
  });

  const failure = (kind: FailureKind, message: string, more: Partial<ExternalSystemError> = {}): ExternalSystemError =>
    new ExternalSystemError({
      kind,
      system: target.system,
      message: `${target.called} ${message}`,
      status: more.status,
      vendorMessage: more.vendorMessage,
      cause: more.cause,
    });

  const send = async <T>(call: HttpRequest<T>, lost: FailureKind, stop?: AbortSignal): Promise<HttpAnswer<T>> => {
    const limit = AbortSignal.timeout(VENDOR_CALL_LIMIT_MS);
    let status: number;
    let text: string;
    let headers: IncomingHttpHeaders;
    try {
      const response = await request(addressOf(base, call), {
        method: call.method,
        dispatcher: agent,
        signal: stop === undefined ? limit : AbortSignal.any([limit, stop]),
        headers: headersOf(call, format),
        body: bodyOf(call),
      });
      status = response.statusCode;
      ({ headers } = response);
      text = await response.body.text();
    } catch (cause) {
      if (stop?.aborted === true) throw stop.reason;
      if (cause instanceof NotConnected) {
        throw failure('UNREACHABLE', `cannot be reached to ${call.purpose}: ${cause.message}`, { cause });
      }
      if (cause instanceof errors.ResponseExceededMaxSizeError) {
        throw failure(lost === 'NO_ANSWER' ? lost : 'FAILED', `gave too long an answer when asked to ${call.purpose}`, {
          cause,
        });
      }
      const why = limit.aborted ? `within ${VENDOR_CALL_LIMIT_MS / 1_000} s` : `(${wordsOfFault(cause)})`;
      throw failure(lost, `did not answer ${why} when asked to ${call.purpose}`, { cause });
    }

    const body = parsed(text, format);
    if (status >= 200 && status < 300) {
      const understood = call.answer.safeParse(body);
      if (understood.success) return { status, body: understood.data, date: dateOf(headers.date), headers };
      const issue = understood.error.issues[0];
      const at = issue === undefined ? '' : ` (${[...issue.path, issue.message].join(': ')})`;
      const kind = lost === 'NO_ANSWER' ? lost : 'FAILED';
      throw failure(kind, `gave an answer that is not understood when asked to ${call.purpose}${at}`, { status });
    }
    const vendorMessage = target.wordsOf(body);
    const { location } = headers;
    const words = vendorMessage ?? (location === undefined ? `status ${status}` : `a redirect to ${location}`);
    const kind = kindOf(status, lost, target.passing?.(body) === true);
    const lacksRight = status === 403 && kind === 'REFUSED';
    const right = lacksRight ? `, since its account lacks the right to ${call.method} ${call.path}` : '';
    throw failure(kind, `${VERBS[kind]} to ${call.purpose}${right}: ${words}`, { status, vendorMessage });
  };

  const counted = async <T>(effect: CallEnd['effect'], sent: Promise<T>): Promise<T> => {
    try {
      const answer = await sent;
      target.onCall?.({ effect, outcome: 'OK' });
      return answer;
    } catch (error) {
      target.onCall?.({ effect, outcome: error instanceof ExternalSystemError ? error.kind : 'STOPPED' });
      throw error;
    }
  };

  return {
    async read(context, call) {
      context.signal.throwIfAborted();
      context.progress(call.purpose);
      return counted('READ', send(call, 'UNREACHABLE', context.signal));
    },
    async write(context, call) {
      context.signal.throwIfAborted();
      context.progress(call.purpose);
      await freshPermission(context);
      // Permitted means sent: the permission may have been noted as the start of what cannot be repeated.
      return counted('WRITE', send(call, 'NO_ANSWER'));
    },
  };
}

/**
 * A permission to write holds 5 s. A process that was frozen in the meantime (a paused machine, SIGSTOP) asks again
 * before it sends: another attempt may have taken its place.
 */
async function freshPermission(context: CallContext): Promise<void> {
  for (;;) {
    const asked = performance.now();
    await context.beforeWrite();
    if (performance.now() - asked <= WRITE_PERMISSION_MS) return;
  }
}

const VERBS: Readonly<Record<FailureKind, string>> = {
  REFUSED: 'refused',
  LOGIN_REFUSED: 'refused the credentials when asked',
  UNREACHABLE: 'could not be reached through its gateway',
  FAILED: 'failed',
  NO_ANSWER: 'did not answer through its gateway when asked',
};

/**
 * What a status means. A gateway's 502 and 504 do not tell what became of a write behind it. An account that lacks a
 * right (403) is known and was refused: other credentials for it would not help.
 */
function kindOf(status: number, lost: FailureKind, passing: boolean): FailureKind {
  if (status === 401) return 'LOGIN_REFUSED';
  if (status === 502 || status === 504) return lost;
  if (status >= 500 || status === 408 || status === 423 || status === 429 || passing) return 'FAILED';
  return 'REFUSED';
}

function baseUrl(target: HttpSystem): URL {
  const url = URL.parse(target.endpoint);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ExternalSystemError({
      kind: 'REFUSED',
      system: target.system,
      message: `the endpoint of ${target.called} is not an address that begins with http:// or https://`,
    });
  }
  return url;
}

function addressOf(base: URL, call: HttpRequest<unknown>): URL {
  const url = new URL(`${base.pathname.replace(/\/+$/, '')}${call.path}`, base.origin);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    for (const one of typeof value === 'string' ? [value] : value) url.searchParams.append(name, one);
  }
  return url;
}

function headersOf(call: HttpRequest<unknown>, format: MediaFormat): Record<string, string> {
  const type = call.form !== undefined ? 'application/x-www-form-urlencoded' : format.type;
  const hasBody = call.form !== undefined || call.json !== undefined || call.text !== undefined;
  return { accept: format.type, ...(hasBody ? { 'content-type': type } : {}), ...call.headers };
}

function bodyOf(call: HttpRequest<unknown>): string | null {
  if (call.form !== undefined) return new URLSearchParams(call.form).toString();
  if (call.text !== undefined) return call.text;
  return call.json === undefined ? null : JSON.stringify(call.json);
}

/** What a body says, its text when it is of another format (an error page), `undefined` when it is empty. */
function parsed(text: string, format: MediaFormat): unknown {
  const bare = text.replace(/^\uFEFF/, '').trim();
  if (bare === '') return undefined;
  try {
    return format.parse(bare);
  } catch {
    return bare;
  }
}

function dateOf(header: string | undefined): Date | undefined {
  const date = new Date(String(header));
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function wordsOfFault(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}
