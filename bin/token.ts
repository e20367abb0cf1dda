/**
 * `holdfast token`: tokens at the command line, the first of them all.
 * @module
 */
import { parseArgs } from 'node:util';
import { connect, type Database, type Queryable } from '../db/connect.ts';
import { enterpriseByName } from '../db/enterprises.ts';
import { recordEvent } from '../db/events.ts';
import { allTokens, createToken, revokeToken } from '../db/tokens.ts';
import { CROSS_ENTERPRISE_ROLES, ROLES, type Role } from '../domain/privileges.ts';
import type { Config } from '../temporal.config.ts';
import { StartError } from './parts/part.ts';

const USAGE = `Usage:
  holdfast token create --role CLOUD_ADMIN|PLATFORM [--name <name>]
  holdfast token create --role ENTERPRISE_ADMIN|USER --enterprise <name> [--name <name>]
  holdfast token list
  holdfast token revoke <id>`;

const PRINCIPAL = 'the command line';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Creates, lists or revokes tokens. A new token is printed once and stored nowhere.
 * @param config with `databaseUrl`.
 * @throws StartError for what a person can correct.
 */
export async function runToken(argv: readonly string[], config: Config): Promise<void> {
  const [command, ...rest] = argv;
  const run = command === 'create' ? create : command === 'list' ? list : command === 'revoke' ? revoke : undefined;
  if (run === undefined) throw new StartError(USAGE);
  if (config.databaseUrl === undefined)
    throw new StartError('There is no database: run npm start, or set DATABASE_URL.');
  const db = connect({ url: config.databaseUrl, poolSize: 1, application: 'holdfast-token' });
  try {
    for (const line of await run(rest, db)) console.log(line);
  } finally {
    await db.destroy();
  }
}

async function create(argv: readonly string[], db: Database): Promise<string[]> {
  const { values } = parseArgs({
    args: [...argv],
    options: { role: { type: 'string' }, enterprise: { type: 'string' }, name: { type: 'string' } },
  });
  const role = ROLES.find((known) => known === values.role);
  if (role === undefined) throw new StartError(`--role must be one of ${ROLES.join(', ')}.\n\n${USAGE}`);
  const { token, row, enterprise } = await db.transaction().execute(async (trx) => {
    const owner = await ownerOf(trx, role, values.enterprise);
    const name = values.name ?? `${owner === null ? '' : `${owner.name} `}${role.toLowerCase().replaceAll('_', ' ')}`;
    const created = await createToken(trx, { role, name, enterpriseId: owner?.id ?? null });
    await recordEvent(trx, {
      entity: 'TOKEN',
      action: 'CREATE',
      severity: 'INFO',
      message: `Token ${name} (${role}) was created at the command line.`,
      enterpriseId: owner?.id ?? null,
      entityId: created.row.id,
      principal: PRINCIPAL,
    });
    return { ...created, enterprise: owner };
  });
  const whose = enterprise === null ? 'for every enterprise' : `of ${enterprise.name}`;
  return [token, '', `Token ${row.id}, ${role} ${whose}, named "${row.name}". It is not shown again.`];
}

async function ownerOf(trx: Queryable, role: Role, name: string | undefined) {
  if (CROSS_ENTERPRISE_ROLES.includes(role)) {
    if (name !== undefined) throw new StartError(`${role} sees every enterprise: leave --enterprise out.`);
    return null;
  }
  if (name === undefined) throw new StartError(`${role} belongs to an enterprise: give --enterprise <name>.`);
  const enterprise = await enterpriseByName(trx, name);
  if (enterprise === undefined)
    throw new StartError(
      `There is no enterprise "${name}". GET /v1/enterprises lists them; names are taken as they are.`,
    );
  return enterprise;
}

async function list(argv: readonly string[], db: Database): Promise<string[]> {
  parseArgs({ args: [...argv], options: {} });
  const tokens = await allTokens(db);
  if (tokens.length === 0) return ['There are no tokens.'];
  return tokens.map((token) =>
    [
      token.id,
      token.role.padEnd(16),
      (token.enterprise_name ?? '-').padEnd(20),
      token.revoked_at === null ? 'valid  ' : 'revoked',
      token.created_at.toISOString(),
      token.name,
    ].join('  '),
  );
}

async function revoke(argv: readonly string[], db: Database): Promise<string[]> {
  const { positionals } = parseArgs({ args: [...argv], options: {}, allowPositionals: true });
  const [id, ...others] = positionals;
  if (id === undefined || others.length > 0 || !UUID.test(id)) throw new StartError(USAGE);
  const name = await db.transaction().execute(async (trx) => {
    const row = await revokeToken(trx, id);
    if (row === undefined) throw new StartError(`There is no valid token ${id}.`);
    await recordEvent(trx, {
      entity: 'TOKEN',
      action: 'REVOKE',
      severity: 'INFO',
      message: `Token ${row.name} (${row.role}) was revoked at the command line.`,
      enterpriseId: row.enterprise_id,
      entityId: id,
      principal: PRINCIPAL,
    });
    return row.name;
  });
  return [`Token ${id} ("${name}") is revoked.`];
}
