/**
 * The session with an Enterprise Manager. It ends after 15 idle minutes, and with it the tasks that were begun in it.
 * @module
 */
import { z } from 'zod';
import { VEEAM } from '../../../domain/plugin-types.ts';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { HttpClient } from '../../http.ts';
import type { ManagerConnection } from '../backup-system.ts';
import { failure, refused } from './refusal.ts';
import { attribute, descendants, type XmlElement } from './xml.ts';

const SESSION_HEADER = 'x-restsvcsessionid';

/** An answer that holds a document. */
export const Document = z.custom<XmlElement>(
  (body) => typeof body === 'object' && body !== null && 'children' in body,
  'it is no XML document',
);

export interface Session {
  /** Sent with every call; no cookie is kept, since a server heeds a cookie before the header. */
  readonly headers: Readonly<Record<string, string>>;
  /** The version of the API that was agreed on. */
  readonly version: string;
}

export interface Login {
  /** @param stale a session that was refused; it is not given out again. */
  session(context: CallContext, stale?: Session): Promise<Session>;
}

/** What the API says of itself to anybody. */
export interface Greeting {
  readonly versions: readonly string[];
  /** The server's clock. */
  readonly date: Date | undefined;
}

/** Reads the one page that needs no login. */
export async function greeting(http: HttpClient, context: CallContext): Promise<Greeting> {
  const call = {
    method: 'GET',
    path: '/',
    purpose: 'read which versions of the API it has',
    answer: Document,
  } as const;
  const { body, date } = await http.read(context, call);
  const versions = [...descendants(body, 'SupportedVersion')].flatMap((one) => attribute(one, 'Name') ?? []);
  return { versions, date };
}

/** The newest version that the server and the plugin have in common; a server that names none is asked for its latest. */
export function commonVersion(versions: readonly string[]): string | undefined {
  if (versions.length === 0) return 'latest';
  return VEEAM.versions.toReversed().find((version) => versions.includes(version));
}

/**
 * Logs in once for all callers at a time. A login is no write: it changes nothing that an operation owns.
 * @param http reaches the API's address.
 */
export function veeamLogin(http: HttpClient, manager: ManagerConnection): Login {
  let current: Session | undefined;
  let pending: Promise<Session> | undefined;

  const logIn = async (progress: CallContext['progress']): Promise<Session> => {
    // Not the caller's signal: the login also serves the others that wait for it.
    const context = { signal: new AbortController().signal, beforeWrite: async () => {}, progress };
    const { credentials, name } = manager;
    if (credentials === null) throw loginRefused(name, 'it has no credentials; Veeam needs a user and a password');
    const { versions } = await greeting(http, context);
    const version = commonVersion(versions);
    if (version === undefined) {
      const have = versions.join(', ');
      throw refused(
        `the backup system ${name} has the API versions ${have}; the plugin speaks ${VEEAM.versions.join(', ')}`,
      );
    }
    const pair = `${credentials.user}:${credentials.password.reveal()}`;
    try {
      const { headers } = await http.read(context, {
        method: 'POST',
        path: '/sessionMngr/',
        query: { v: version },
        headers: { authorization: `Basic ${Buffer.from(pair, 'utf8').toString('base64')}` },
        purpose: 'log in',
        answer: z.unknown(),
      });
      const id = headers[SESSION_HEADER];
      if (typeof id !== 'string' || id === '') {
        throw failure('FAILED', `the backup system ${name} let Holdfast log in and gave no session`);
      }
      current = { headers: { [SESSION_HEADER]: id }, version };
      return current;
    } catch (error) {
      if (error instanceof ExternalSystemError && error.kind === 'LOGIN_REFUSED') {
        throw loginRefused(name, error.vendorMessage ?? 'the user or the password is wrong', error);
      }
      throw error;
    }
  };

  return {
    async session(context, stale) {
      if (current !== undefined && current !== stale) return current;
      pending ??= logIn(context.progress).finally(() => {
        pending = undefined;
      });
      return pending;
    },
  };
}

function loginRefused(name: string, why: string, cause?: ExternalSystemError): ExternalSystemError {
  return new ExternalSystemError({
    kind: 'LOGIN_REFUSED',
    system: 'BACKUP_SYSTEM',
    message: `the backup system ${name} refused the login: ${why}`,
    status: cause?.status,
    vendorMessage: cause?.vendorMessage,
    cause,
  });
}
