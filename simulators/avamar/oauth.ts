/**
 * Registration of OAuth clients (`/api/v1/oauth2/clients`), tokens (`/api/oauth/token`) and the check of a Bearer token.
 * @module
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { Hono, type MiddlewareHandler } from 'hono';
import { z } from 'zod';
import type { AvamarEnv, Server } from './env.ts';
import { AvamarError, bodyOf, notFound, vendorEnum } from './spring.ts';
import type { OAuthClient, Token } from './state.ts';

const GrantType = vendorEnum(['password', 'implicit', 'refresh_token', 'client_credentials', 'authorization_code']);
const Registration = z.object({
  clientId: z.string().min(1).optional(),
  clientSecret: z.string().min(1).optional(),
  clientName: z.string().min(1),
  authorizedGrantTypes: z.array(GrantType),
  scopes: z.array(z.string()),
  autoApproveScopes: z.array(z.string()),
  redirectUris: z.array(z.string()),
  accessTokenValiditySeconds: z.number().int().positive().default(1800),
  refreshTokenValiditySeconds: z.number().int().positive().default(43_200),
});

function basicCredentials(header: string | undefined): [name: string, password: string] | undefined {
  const match = /^Basic\s+(.+)$/i.exec(header ?? '');
  const text = Buffer.from(match?.[1] ?? '', 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return match === null || colon < 0 ? undefined : [text.slice(0, colon), text.slice(colon + 1)];
}

const bearer = (header: string | undefined): string | undefined => /^Bearer\s+(.+)$/i.exec(header ?? '')?.[1];

// Spring's own shape for token failures; no recording of a 401 was found.
const unauthorized = (description: string) => ({ error: 'invalid_token', error_description: description });

function liveToken({ state, clock }: Server, header: string | undefined): Token | string {
  const value = bearer(header);
  if (value === undefined) return 'Full authentication is required to access this resource';
  const token = state.tokens.get(value);
  if (token === undefined) return 'Cannot convert access token to JSON';
  return token.accessExpires <= clock.now() ? 'Access token expired' : token;
}

/** Answers 401 to everything without a live Bearer token. */
export function requireToken(server: Server): MiddlewareHandler<AvamarEnv> {
  return async (c, next) => {
    const token = liveToken(server, c.req.header('authorization'));
    if (typeof token === 'string') {
      return c.json(unauthorized(token), 401, {
        'www-authenticate': 'Bearer realm="oauth2-resource", error="invalid_token"',
      });
    }
    c.set('caller', { userName: token.userName, clientId: token.clientId, jti: token.jti });
    await next();
    return undefined;
  };
}

// Clients register themselves before they have a token, so this resource takes the administrator's Basic credentials too.
function requireAdministrator(server: Server): MiddlewareHandler<AvamarEnv> {
  return async (c, next) => {
    const header = c.req.header('authorization');
    const basic = basicCredentials(header);
    if (basic !== undefined) {
      if (basic[0] !== server.user || basic[1] !== server.password) return c.json(unauthorized('Bad credentials'), 401);
      c.set('caller', { userName: basic[0], clientId: '', jti: '' });
    } else {
      const token = liveToken(server, header);
      if (typeof token === 'string') return c.json(unauthorized(token), 401);
      c.set('caller', { userName: token.userName, clientId: token.clientId, jti: token.jti });
    }
    await next();
    return undefined;
  };
}

/** `/api/v1/oauth2/clients` (swagger, `McOAuth2ClientDTO`). */
export function oauthClients(server: Server): Hono<AvamarEnv> {
  const { oauthClients: clients } = server.state;
  const routes = new Hono<AvamarEnv>();
  routes.use(requireAdministrator(server));
  const need = (id: string): OAuthClient => {
    const client = clients.get(id);
    if (client === undefined) throw notFound('OAuth2 client', id);
    return client;
  };
  routes.post('/', async (c) => {
    const { clientId = randomUUID(), clientSecret = randomUUID(), ...rest } = await bodyOf(c, Registration);
    // 400 for a client that is there already: observed by a client of live servers.
    if (clients.get(clientId) !== undefined) throw new AvamarError(400, `OAuth2 client ${clientId} already exists.`);
    return c.json(clients.put(clientId, { clientId, clientSecret, ...rest }));
  });
  routes.get('/:clientId', (c) => c.json(need(c.req.param('clientId'))));
  routes.put('/:clientId', async (c) => {
    const known = need(c.req.param('clientId'));
    const { clientId: _, clientSecret = known.clientSecret, ...rest } = await bodyOf(c, Registration);
    return c.json(clients.put(known.clientId, { ...known, ...rest, clientSecret }));
  });
  routes.delete('/:clientId', (c) => {
    clients.delete(need(c.req.param('clientId')).clientId);
    return c.body(null, 204);
  });
  return routes;
}

/** Three base64url parts like the vendor's RS256 token; only this server reads it, so its signature is random. */
function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}.${randomBytes(256).toString('base64url')}`;
}

/** `POST /api/oauth/token`: grants `password` and `refresh_token`. */
export function tokens(server: Server): Hono<AvamarEnv> {
  const { state, clock } = server;
  const issue = (client: OAuthClient, userName: string, scope: string): Token => {
    const now = clock.now();
    for (const old of state.tokens.values()) if (old.refreshExpires <= now) state.tokens.delete(old.accessToken);
    const jti = randomUUID();
    const accessExpires = now + client.accessTokenValiditySeconds * 1000;
    const refreshExpires = now + client.refreshTokenValiditySeconds * 1000;
    const claims = { user_name: userName, scope: scope.split(' '), client_id: client.clientId };
    const accessToken = jwt({ ...claims, jti, exp: Math.floor(accessExpires / 1000) });
    const refreshToken = jwt({ ...claims, ati: jti, jti: randomUUID(), exp: Math.floor(refreshExpires / 1000) });
    const token = {
      accessToken,
      refreshToken,
      jti,
      clientId: client.clientId,
      userName,
      scope,
      accessExpires,
      refreshExpires,
    };
    return state.tokens.put(accessToken, token);
  };

  return new Hono<AvamarEnv>().post('/', async (c) => {
    const credentials = basicCredentials(c.req.header('authorization'));
    const client = credentials === undefined ? undefined : state.oauthClients.get(credentials[0]);
    if (client === undefined || client.clientSecret !== credentials?.[1]) {
      return c.json({ error: 'unauthorized', error_description: 'Bad credentials' }, 401);
    }
    const form = new URLSearchParams(await c.req.text());
    const grant = form.get('grant_type') ?? '';
    const refuse = (error: string, description: string) => c.json({ error, error_description: description }, 400);
    if (!client.authorizedGrantTypes.includes(grant))
      return refuse('invalid_client', `Unauthorized grant type: ${grant}`);
    let token: Token;
    if (grant === 'password') {
      if (form.get('username') !== server.user || form.get('password') !== server.password) {
        return refuse('invalid_grant', 'Bad credentials');
      }
      token = issue(client, server.user, form.get('scope') ?? client.scopes.join(' '));
    } else if (grant === 'refresh_token') {
      const known = state.tokens.values().find(({ refreshToken }) => refreshToken === form.get('refresh_token'));
      if (known === undefined || known.clientId !== client.clientId || known.refreshExpires <= clock.now()) {
        return refuse('invalid_grant', 'Invalid refresh token');
      }
      state.tokens.delete(known.accessToken);
      token = issue(client, known.userName, known.scope);
    } else return refuse('unsupported_grant_type', `Unsupported grant type: ${grant}`);
    return c.json({
      access_token: token.accessToken,
      token_type: 'bearer',
      refresh_token: token.refreshToken,
      expires_in: Math.floor((token.accessExpires - clock.now()) / 1000),
      scope: token.scope,
      jti: token.jti,
    });
  });
}
