/**
 * A token for the Avamar REST API: it is asked for with the manager's credentials and those of an OAuth client, which is
 * registered once (Avamar 19.x swagger, `/oauth2/clients`; `/api/oauth/token`).
 * @module
 */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { type CallContext, ExternalSystemError } from '../../calls.ts';
import type { HttpClient } from '../../http.ts';
import type { ManagerConnection } from '../backup-system.ts';

/** A token is renewed so long before it ends that no call begins with one that ends on its way. */
const RENEW_BEFORE_MS = 60_000;

const Token = z.object({ access_token: z.string().min(1), expires_in: z.number().default(1800) });

export interface Login {
  /** @param stale a token that was refused; it is not given out again. */
  token(context: CallContext, stale?: string): Promise<string>;
  /** The OAuth client's id: Avamar's audit names it beside every request. */
  readonly clientId: string;
}

/**
 * Logs in once for all callers at a time. Nothing needs to be stored to log in again from another process: the OAuth
 * client's id follows from the manager's id, its secret from that and the password. A login is no write: it changes
 * nothing that an operation owns.
 * @param http reaches `/api` of the server.
 */
export function avamarLogin(http: HttpClient, manager: ManagerConnection, now: () => Date): Login {
  const clientId = `holdfast-${manager.id}`;
  let current: { readonly token: string; readonly endsAt: number } | undefined;
  let pending: Promise<string> | undefined;

  const logIn = async (progress: CallContext['progress']): Promise<string> => {
    // Not the caller's signal: the login also serves the others that wait for it.
    const context = { signal: new AbortController().signal, beforeWrite: async () => {}, progress };
    const { credentials } = manager;
    if (credentials === null) throw loginRefused(manager, 'it has no credentials; Avamar needs a user and a password');
    const { user } = credentials;
    const password = credentials.password.reveal();
    const clientSecret = createHmac('sha256', password).update(clientId).digest('base64url');
    const registration = {
      clientId,
      clientSecret,
      clientName: clientId,
      authorizedGrantTypes: ['password'],
      scopes: ['read', 'write'],
      autoApproveScopes: ['all'],
      // A required field that the password grant never uses.
      redirectUris: ['https://localhost/'],
    };
    const asUser = { authorization: basic(user, password) };
    const register = (method: 'POST' | 'PUT') =>
      statusOf(
        http.read(context, {
          method,
          path: method === 'POST' ? '/v1/oauth2/clients' : `/v1/oauth2/clients/${clientId}`,
          json: registration,
          headers: asUser,
          purpose: 'register Holdfast as an OAuth client',
          answer: z.unknown(),
        }),
      );
    const grant = () =>
      http.read(context, {
        method: 'POST',
        path: '/oauth/token',
        form: { grant_type: 'password', username: user, password, scope: 'write' },
        headers: { authorization: basic(clientId, clientSecret) },
        purpose: 'log in',
        answer: Token,
      });

    const refusedBy = (error: ExternalSystemError) =>
      loginRefused(manager, error.vendorMessage ?? error.message, error);
    let answer: Awaited<ReturnType<typeof grant>>;
    try {
      answer = await grant();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // 401: the OAuth client is not known here, or under another secret, from an earlier password. Anything else is
      // about the user, and asking once more would only bring its lock nearer.
      if (error.status !== 401 || !(await isRegistered(register))) throw refusedBy(error);
      answer = await grant().catch((again: unknown) => {
        throw isRefusal(again) ? refusedBy(again) : again;
      });
    }
    const { access_token: token, expires_in: seconds } = answer.body;
    const lifetime = seconds * 1_000;
    current = { token, endsAt: now().getTime() + lifetime - Math.min(RENEW_BEFORE_MS, lifetime / 10) };
    return token;
  };

  return {
    clientId,
    async token(context, stale) {
      if (current !== undefined && current.token !== stale && now().getTime() < current.endsAt) return current.token;
      pending ??= logIn(context.progress).finally(() => {
        pending = undefined;
      });
      return pending;
    },
  };
}

/** Registers the OAuth client, or gives the one that is there (400) its secret anew. @returns whether that was done. */
async function isRegistered(register: (method: 'POST' | 'PUT') => Promise<number>): Promise<boolean> {
  const made = await register('POST');
  return made < 300 || (made === 400 && (await register('PUT')) < 300);
}

const basic = (name: string, password: string): string =>
  `Basic ${Buffer.from(`${name}:${password}`, 'utf8').toString('base64')}`;

/** The status of a call whose refusal is an answer too. */
async function statusOf(call: Promise<{ readonly status: number }>): Promise<number> {
  try {
    return (await call).status;
  } catch (error) {
    if (isRefusal(error) && error.status !== undefined) return error.status;
    throw error;
  }
}

function isRefusal(error: unknown): error is ExternalSystemError {
  return error instanceof ExternalSystemError && (error.kind === 'REFUSED' || error.kind === 'LOGIN_REFUSED');
}

function loginRefused(manager: ManagerConnection, why: string, cause?: ExternalSystemError): ExternalSystemError {
  return new ExternalSystemError({
    kind: 'LOGIN_REFUSED',
    system: 'BACKUP_SYSTEM',
    message: `the backup system ${manager.name} refused the login: ${why}`,
    status: cause?.status,
    vendorMessage: cause?.vendorMessage,
    cause,
  });
}
