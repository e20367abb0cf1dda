/**
 * JSON over HTTP with patience: a server that is being restarted is waited for, and the request is sent again.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long one attempt may take, and how long a server that does not answer is waited for. Milliseconds. */
const ATTEMPT_LIMIT_MS = 20_000;
const PATIENCE_MS = 60_000;
const PAUSE_MS = 1_000;

/** A request. It may be sent more than once, so its effect must not depend on how often it arrives. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly form?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** What the body says; `null` when it is empty, the text when it is not JSON. */
  readonly body: unknown;
}

/** A server as the demo reaches it. */
export interface Server {
  /** `the Holdfast API`, for sentences. */
  readonly called: string;
  readonly url: string;
  /** @throws ServerAway after a minute without an answer. */
  send(call: Call): Promise<Answer>;
}

/** A server did not answer for too long. */
export class ServerAway extends Error {
  override readonly name = 'ServerAway';
}

/** What a server is reached with. */
export interface Reach {
  readonly called: string;
  readonly url: string;
  readonly signal: AbortSignal;
  /** Is told when the server no longer answers, and when it answers again. */
  readonly tell: (sentence: string) => void;
}

/** A server that is called under this address. */
export function serverAt({ called, url, signal, tell }: Reach): Server {
  let away = false;
  return {
    called,
    url,
    async send(call) {
      const deadline = Date.now() + PATIENCE_MS;
      for (;;) {
        const answer = await attempt(url, call, signal);
        if (typeof answer !== 'string') {
          if (away) tell(`${called} answers again`);
          away = false;
          return answer;
        }
        signal.throwIfAborted();
        if (Date.now() > deadline) throw new ServerAway(`${called} on ${url} has not answered for a minute: ${answer}`);
        if (!away) tell(`${called} does not answer (${answer}); trying again for a minute`);
        away = true;
        await sleep(PAUSE_MS, undefined, { signal });
      }
    },
  };
}

/** The answer, or why there is none. 503 says "not now": the server is up and what it needs is not. */
async function attempt(url: string, call: Call, signal: AbortSignal): Promise<Answer | string> {
  const { method, path, json, form } = call;
  const content = form === undefined ? 'application/json' : 'application/x-www-form-urlencoded';
  const body = form === undefined ? JSON.stringify(json) : new URLSearchParams(form).toString();
  try {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': content }), ...call.headers },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_LIMIT_MS)]),
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.text();
    return response.status === 503
      ? 'it answers 503'
      : { status: response.status, headers: response.headers, body: parsed(text) };
  } catch (error) {
    return reason(error);
  }
}

function parsed(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** fetch hides the reason in its error's cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message;
}
