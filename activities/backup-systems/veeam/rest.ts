/**
 * Calls to the Enterprise Manager REST API: in XML alone, with a session, errors in the vendor's words.
 * @module
 */
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import { type HttpAnswer, httpClient } from '../../http.ts';
import type { ManagerConnection } from '../backup-system.ts';
import { apiAddress } from './endpoint.ts';
import { Document, type Greeting, greeting, type Session, veeamLogin } from './login.ts';
import { isAbsent } from './refusal.ts';
import { attribute, textOf, XML_FORMAT, xmlDocument, type XmlElement } from './xml.ts';

/** A change, begun by one call. */
export interface Write {
  readonly method: 'POST' | 'PUT' | 'DELETE';
  /** Below the API's address; its parts are already encoded. */
  readonly path: string;
  readonly body?: XmlElement;
  /** What the call is for, after "to": `clone the job`. */
  readonly purpose: string;
}

export interface VeeamRest {
  readonly manager: ManagerConnection;
  /** The server's clock now, by the last answer that told it. */
  now(): Date;
  /** Reads a document. */
  read(context: CallContext, path: string, purpose: string): Promise<HttpAnswer<XmlElement>>;
  /** The same in that session alone: what belongs to it is not visible in another. */
  readIn(session: Session, context: CallContext, path: string, purpose: string): Promise<HttpAnswer<XmlElement>>;
  /** Sends a change; the task that it begins belongs to the session. */
  write(
    context: CallContext,
    write: Write,
  ): Promise<{ readonly answer: HttpAnswer<unknown>; readonly session: Session }>;
  /** Clears away what a session keeps of a task that has ended; it would go with the session anyway. */
  forget(session: Session, context: CallContext, path: string): Promise<void>;
  /** The status of the answer when the removal of a thing is asked for that cannot be there. */
  statusOfRemoval(context: CallContext, path: string): Promise<number>;
  /** What the API says of itself to anybody. */
  greeting(context: CallContext): Promise<Greeting>;
  /** The version of the API that was agreed on. */
  version(context: CallContext): Promise<string>;
}

/** A server of this kind takes the accepted type for that of the body too, so both are always the same. */
const XML_BODY = { 'content-type': XML_FORMAT.type };

/**
 * @param clock the time of this machine.
 * @throws ExternalSystemError `REFUSED` when the manager has no endpoint, or one that is no address.
 */
export function veeamRest(manager: ManagerConnection, clock: () => Date): VeeamRest {
  const http = httpClient({
    system: 'BACKUP_SYSTEM',
    called: `the backup system ${manager.name}`,
    endpoint: apiAddress(manager),
    tls: manager.tls,
    onCall: manager.onCall,
    format: XML_FORMAT,
    wordsOf: (body) => {
      const error = Document.safeParse(body).data;
      return attribute(error, 'Message') ?? textOf(error, 'FirstChanceExceptionMessage');
    },
  });
  const login = veeamLogin(http, manager);

  const inSession = async <T>(context: CallContext, send: (session: Session) => Promise<T>): Promise<T> => {
    const session = await login.session(context);
    try {
      return await send(session);
    } catch (error) {
      if (!(error instanceof ExternalSystemError) || error.status !== 401) throw error;
      // The session was refused, so nothing was done: one new login and the same call once more.
      return send(await login.session(context, session));
    }
  };
  let aheadMs = 0;
  const readIn: VeeamRest['readIn'] = async (session, context, path, purpose) => {
    const call = { method: 'GET', path, headers: session.headers, purpose, answer: Document } as const;
    const answer = await http.read(context, call);
    if (answer.date !== undefined) aheadMs = answer.date.getTime() - clock().getTime();
    return answer;
  };

  return {
    manager,
    now: () => new Date(clock().getTime() + aheadMs),
    read: (context, path, purpose) => inSession(context, (session) => readIn(session, context, path, purpose)),
    readIn,
    write: (context, { method, path, body, purpose }) =>
      inSession(context, async (session) => {
        const text = body === undefined ? {} : { text: xmlDocument(body) };
        const headers = { ...XML_BODY, ...session.headers };
        const answer = await http.write(context, { method, path, ...text, headers, purpose, answer: z.unknown() });
        return { answer, session };
      }),
    async forget(session, context, path) {
      const { headers } = session;
      const call = {
        method: 'DELETE',
        path,
        headers,
        purpose: 'clear an ended task away',
        answer: z.unknown(),
      } as const;
      await http.read(context, call).catch(() => {});
    },
    async statusOfRemoval(context, path) {
      const call = { method: 'DELETE', path, purpose: 'tell what the account may do', answer: z.unknown() } as const;
      try {
        const { status } = await inSession(context, ({ headers }) => http.read(context, { ...call, headers }));
        return status;
      } catch (error) {
        if (error instanceof ExternalSystemError && error.status !== undefined) return error.status;
        throw error;
      }
    },
    greeting: (context) => greeting(http, context),
    version: async (context) => (await login.session(context)).version,
  };
}

/** A document; `undefined` when what it is about is not there. */
export async function readIfThere(
  rest: VeeamRest,
  context: CallContext,
  path: string,
  purpose: string,
): Promise<HttpAnswer<XmlElement> | undefined> {
  try {
    return await rest.read(context, path, purpose);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}
