/**
 * Tokens. A token is 256 random bits, so its plain SHA-256 is all that is stored; the token itself is shown once.
 * @module
 */
import { createHash, randomBytes } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { Role } from '../domain/privileges.ts';
import type { Queryable } from './connect.ts';
import { type Page, type PageRequest, readPage } from './pages.ts';
import type { TokenTable } from './schema.ts';

/** A token without its hash. */
export type TokenRow = Omit<Selectable<TokenTable>, 'hash'>;

const COLUMNS = ['id', 'enterprise_id', 'role', 'name', 'created_at', 'revoked_at'] as const;

/** What every token begins with, so that a scanner recognises one that went astray. */
const PREFIX = 'hf_';
const SHAPE = /^hf_[A-Za-z0-9_-]{43}$/;

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/**
 * Makes a token.
 * @param owner the enterprise; `null` for the roles that see every enterprise, and only for those.
 * @returns the row, and the token, which cannot be read again.
 */
export async function createToken(
  db: Queryable,
  owner: { readonly role: Role; readonly name: string; readonly enterpriseId: string | null },
): Promise<{ token: string; row: TokenRow }> {
  const token = PREFIX + randomBytes(32).toString('base64url');
  const row = await db
    .insertInto('token')
    .values({ role: owner.role, name: owner.name, enterprise_id: owner.enterpriseId, hash: hashOf(token) })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow();
  return { token, row };
}

/** The row of a token that is valid now, or `undefined`. */
export async function findToken(db: Queryable, token: string): Promise<TokenRow | undefined> {
  if (!SHAPE.test(token)) return undefined;
  return await db
    .selectFrom('token')
    .select(COLUMNS)
    .where('hash', '=', hashOf(token))
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
}

/** Revokes a token, once. @returns the row, or `undefined` when there is no such valid token (of that enterprise). */
export function revokeToken(db: Queryable, id: string, enterpriseId?: string): Promise<TokenRow | undefined> {
  return db
    .updateTable('token')
    .set({ revoked_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .where((eb) => (enterpriseId === undefined ? eb.lit(true) : eb('enterprise_id', '=', enterpriseId)))
    .returning(COLUMNS)
    .executeTakeFirst();
}

/** The tokens of an enterprise, revoked ones too, newest first. */
export function listTokens(db: Queryable, enterpriseId: string, page: PageRequest): Promise<Page<TokenRow>> {
  const query = db.selectFrom('token').select(COLUMNS).where('enterprise_id', '=', enterpriseId);
  return readPage(query, { at: 'created_at', id: 'id' }, page, (row) => ({ at: row.created_at, id: row.id }));
}

/** Every token with the name of its enterprise, for the command line. */
export function allTokens(db: Queryable) {
  return db
    .selectFrom('token')
    .leftJoin('enterprise', 'enterprise.id', 'token.enterprise_id')
    .select(['token.id', 'token.role', 'token.name', 'token.created_at', 'token.revoked_at'])
    .select('enterprise.name as enterprise_name')
    .orderBy('token.created_at')
    .execute();
}
