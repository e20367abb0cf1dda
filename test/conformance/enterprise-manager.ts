/**
 * A person at a Veeam Enterprise Manager: a small client of its REST API, written without the plugin.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, fetch } from 'undici';

export interface EnterpriseManager {
  /** @returns the XML of the answer. */
  get(path: string): Promise<string>;
  /** Sends a change and waits for the end of its task. @throws Error with the server's words when it fails. */
  change(method: 'POST' | 'PUT' | 'DELETE', path: string, xml?: string): Promise<void>;
}

/** How long a change may take. Milliseconds. */
const LIMIT_MS = 60_000;

/**
 * @param api ends in `/api`.
 * @param trusted the authority of the server's certificate, in PEM; absent: the system's.
 */
export function enterpriseManager(api: string, user: string, password: string, trusted?: string): EnterpriseManager {
  const dispatcher = new Agent(trusted === undefined ? {} : { connect: { ca: trusted } });
  let session: string | undefined;
  const logIn = async (): Promise<string> => {
    const headers = { authorization: `Basic ${btoa(`${user}:${password}`)}` };
    const answer = await fetch(`${api}/sessionMngr/?v=latest`, { method: 'POST', headers, dispatcher });
    const id = answer.headers.get('x-restsvcsessionid');
    if (id === null) throw new Error(`the login answered ${answer.status}`);
    return id;
  };
  const call = async (method: string, path: string, xml?: string): Promise<string> => {
    for (let isSecond = false; ; isSecond = true) {
      session ??= await logIn();
      const headers = { 'x-restsvcsessionid': session, accept: 'application/xml', 'content-type': 'application/xml' };
      const answer = await fetch(`${api}${path}`, {
        method,
        headers,
        dispatcher,
        ...(xml === undefined ? {} : { body: xml }),
      });
      const text = await answer.text();
      if (answer.ok) return text;
      if (answer.status !== 401 || isSecond) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      session = undefined;
    }
  };
  return {
    get: (path) => call('GET', path),
    async change(method, path, xml) {
      const task = textOf(await call(method, path, xml), 'TaskId');
      const deadline = performance.now() + LIMIT_MS;
      for (;;) {
        const state = await call('GET', `/tasks/${task}`);
        if (textOf(state, 'State') === 'Finished') {
          if (state.includes('Success="true"')) return;
          throw new Error(`${method} ${path}: ${textOf(state, 'Message')}`);
        }
        if (performance.now() > deadline)
          throw new Error(`${method} ${path} has not ended after ${LIMIT_MS / 1_000} s`);
        await sleep(20);
      }
    },
  };
}

const textOf = (xml: string, name: string): string => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? '';
