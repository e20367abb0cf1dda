/**
 * Who asks, and whether they may.
 * @module
 */
import type { MiddlewareHandler } from 'hono';
import type { Database } from '../../db/connect.ts';
import { findToken } from '../../db/tokens.ts';
import { HoldfastError } from '../../domain/errors.ts';
import { CROSS_ENTERPRISE_ROLES, mayDo, type Principal, type Privilege } from '../../domain/privileges.ts';
import type { ApiEnv } from '../context.ts';

const BEARER = /^Bearer +(\S+)$/i;

/** Finds the principal of the bearer token. @throws HoldfastError UNAUTHENTICATED. */
export function authenticate(db: Database): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const token = BEARER.exec(c.req.header('Authorization') ?? '')?.[1];
    if (token === undefined) {
      throw new HoldfastError('UNAUTHENTICATED', 'Send a token: Authorization: Bearer hf_…');
    }
    const row = await findToken(db, token);
    // A tenant's token without an enterprise would see every enterprise: the table forbids it, and so do we.
    if (row === undefined || CROSS_ENTERPRISE_ROLES.includes(row.role) !== (row.enterprise_id === null)) {
      throw new HoldfastError('UNAUTHENTICATED', 'The token is not known, or it was revoked. Ask for a new one.');
    }
    c.set('principal', { tokenId: row.id, name: row.name, role: row.role, enterpriseId: row.enterprise_id });
    await next();
  };
}

/** Lets only principals pass that hold one of the privileges; runs before the request is looked at any closer. */
export function requires(...privileges: readonly [Privilege, ...Privilege[]]): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const principal = c.get('principal');
    if (!privileges.some((privilege) => mayDo(principal, privilege))) throw missing(principal, privileges.join(' or '));
    await next();
  };
}

/** Checks a privilege that a request needs only for a part of what it asks. @throws HoldfastError FORBIDDEN. */
export function requirePrivilege(principal: Principal, privilege: Privilege, toDoWhat: string): void {
  if (!mayDo(principal, privilege)) throw missing(principal, privilege, ` ${toDoWhat}`);
}

function missing(principal: Principal, privilege: string, why = ''): HoldfastError {
  return new HoldfastError(
    'FORBIDDEN',
    `This needs the privilege ${privilege}${why}; the role ${principal.role} does not have it.`,
  );
}
