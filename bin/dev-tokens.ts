/**
 * The tokens of `npm start`: kept in a file, so that they are the same at the next start.
 * @module
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { connect, type Database } from '../db/connect.ts';
import { recordEvent } from '../db/events.ts';
import { createToken, findToken } from '../db/tokens.ts';
import { ROLES } from '../domain/privileges.ts';

const DevelopmentToken = z.object({
  name: z.string(),
  role: z.enum(ROLES),
  enterprise: z.string().nullable(),
  token: z.string(),
});

/** A token for development. */
export type DevelopmentToken = z.infer<typeof DevelopmentToken>;

const WANTED = [
  { name: 'development administrator', role: 'CLOUD_ADMIN' },
  { name: 'development platform', role: 'PLATFORM' },
] as const;

/**
 * Makes sure that there is a token for each role that sees every enterprise. Tokens in the file that this database
 * still knows are used again; the others are replaced.
 * @returns the file, `<dataDir>/dev-tokens.json` with mode 0600, and the tokens in it.
 */
export async function ensureDevelopmentTokens(
  databaseUrl: string,
  dataDir: string,
): Promise<{ file: string; tokens: DevelopmentToken[] }> {
  const file = join(dataDir, 'dev-tokens.json');
  const kept = await readTokens(file);
  const db = connect({ url: databaseUrl, poolSize: 1, application: 'holdfast-up' });
  try {
    const tokens: DevelopmentToken[] = [];
    for (const { name, role } of WANTED) {
      const known = kept.find((token) => token.name === name && token.role === role);
      const valid = known !== undefined && (await findToken(db, known.token))?.role === role;
      tokens.push(valid ? known : await newToken(db, name, role));
    }
    if (JSON.stringify(tokens) !== JSON.stringify(kept)) await writeTokens(dataDir, file, tokens);
    return { file, tokens };
  } finally {
    await db.destroy();
  }
}

async function newToken(db: Database, name: string, role: DevelopmentToken['role']): Promise<DevelopmentToken> {
  return await db.transaction().execute(async (trx) => {
    const { token, row } = await createToken(trx, { name, role, enterpriseId: null });
    await recordEvent(trx, {
      entity: 'TOKEN',
      action: 'CREATE',
      severity: 'INFO',
      message: `Token ${name} (${role}) was created by npm start.`,
      entityId: row.id,
      principal: 'npm start',
    });
    return { name, role, enterprise: null, token };
  });
}

/** A file that is missing or holds something else counts as empty: the tokens are made anew. */
async function readTokens(file: string): Promise<DevelopmentToken[]> {
  const text = await readFile(file, 'utf8').catch(() => '[]');
  try {
    return z.array(DevelopmentToken).parse(JSON.parse(text));
  } catch {
    return [];
  }
}

async function writeTokens(dataDir: string, file: string, tokens: readonly DevelopmentToken[]): Promise<void> {
  await mkdir(dataDir, { recursive: true });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(tokens, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, file);
}
